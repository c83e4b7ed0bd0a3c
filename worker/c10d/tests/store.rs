//! The store: who hears it, and what it says to those who ask in vain.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};
use vismae_c10d::{StoreError, TcpStore};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const TIMEOUT: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);

#[test]
fn a_key_set_by_one_client_is_read_by_another() {
    let server = TcpStore::serve(LOOPBACK).unwrap();
    let client = TcpStore::connect(server.address(), TIMEOUT).unwrap();
    server.root().set("name", b"va\0lue").unwrap();
    server.root().set("empty", b"").unwrap();
    assert_eq!(client.root().get("name", TIMEOUT).unwrap(), b"va\0lue");
    assert_eq!(client.root().get("empty", TIMEOUT).unwrap(), b"");
    assert_eq!(server.root().add("count", 2).unwrap(), 2);
    assert_eq!(client.root().add("count", 3).unwrap(), 5);
}

#[test]
fn a_prefix_is_a_name_space_of_its_own() {
    let server = TcpStore::serve(LOOPBACK).unwrap();
    let (first, second) = (server.with_prefix("a").unwrap(), server.with_prefix("b").unwrap());
    first.set("key", b"1").unwrap();
    second.set("key", b"2").unwrap();
    let client = TcpStore::connect(server.address(), TIMEOUT).unwrap();
    assert_eq!(client.with_prefix("a").unwrap().get("key", TIMEOUT).unwrap(), b"1");
    assert_eq!(client.with_prefix("b").unwrap().get("key", TIMEOUT).unwrap(), b"2");
}

#[test]
fn the_store_listens_on_the_address_it_was_given_and_on_no_other() {
    let server = TcpStore::serve(LOOPBACK).unwrap();
    assert!(server.address().ip().is_loopback());
    assert_ne!(server.address().port(), 0);
    let port = format!("{:04X}", server.address().port());
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let listening: Vec<&str> = tables
        .iter()
        .flat_map(|table| table.lines())
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, local_port) = fields.get(1)?.split_once(':')?;
            // State 0A is LISTEN.
            (local_port == port && fields.get(3) == Some(&"0A")).then_some(address)
        })
        .collect();
    assert_eq!(listening, ["0100007F"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind(LOOPBACK).unwrap();
    let address = taken.local_addr().unwrap();
    let error = TcpStore::serve(address).unwrap_err();
    assert!(matches!(error, StoreError::Bind { .. }));
    assert!(error.to_string().contains(&format!("`{address}`")), "{error}");
}

#[test]
fn connecting_to_nobody_ends_with_the_address_and_the_time() {
    let nobody = TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap();
    let start = Instant::now();
    let error = TcpStore::connect(nobody, Duration::from_millis(500)).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(error.to_string().starts_with(&format!("no store answered at `{nobody}` within `500ms`")), "{error}");
    assert!(!error.to_string().contains("frame #"), "no C++ stack trace: {error}");
}

#[test]
fn a_server_that_does_not_run_is_not_waited_for_without_end() {
    // Connections are made for it, and nobody reads what comes over them.
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let silent = listener.local_addr().unwrap();
    let start = Instant::now();
    let error = TcpStore::connect(silent, Duration::from_millis(500)).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(error.to_string().starts_with(&format!("no store answered at `{silent}` within `500ms`")), "{error}");
}

#[test]
fn a_key_that_never_comes_is_named() {
    let server = TcpStore::serve(LOOPBACK).unwrap();
    for error in [server.root().get("ghost", SHORT).unwrap_err(), server.root().wait("ghost", SHORT).unwrap_err()] {
        assert!(error.to_string().contains("cannot wait for key `ghost`"), "{error}");
    }
}

#[test]
fn who_waits_for_a_store_can_be_freed() {
    let server = TcpStore::serve(LOOPBACK).unwrap();
    let client = TcpStore::connect(server.address(), Duration::from_secs(5)).unwrap();
    let handle = client.abort_handle();
    let begun = Instant::now();
    let free = std::thread::spawn(move || {
        std::thread::sleep(SHORT);
        handle.abort();
    });
    assert!(client.root().get("ghost", Duration::from_secs(60)).is_err());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    free.join().unwrap();
    // The server, and its other clients, go on.
    assert_eq!(server.root().add("count", 1).unwrap(), 1);
    assert_eq!(TcpStore::connect(server.address(), Duration::from_secs(5)).unwrap().root().add("count", 1).unwrap(), 2);
}
