//! Ranks as threads of this process, each with a store connection and a Gloo group of its own, on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use vismae_c10d::{Backend, GlooDevice, GroupOptions, Membership, ProcessGroup, TcpStore};

pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn gloo() -> GroupOptions {
    GroupOptions {
        backend: Backend::Gloo(GlooDevice::Address(Ipv4Addr::LOCALHOST.into())),
        join_timeout: TIMEOUT,
        collective_timeout: TIMEOUT,
    }
}

/// Joins the group that meets at `address` under `prefix`.
pub(crate) fn join(address: SocketAddr, prefix: &str, rank: u32, world_size: u32) -> ProcessGroup {
    let store = TcpStore::connect(address, TIMEOUT).unwrap().with_prefix(prefix).unwrap();
    ProcessGroup::new(&store, Membership::new(rank, world_size).unwrap(), &gloo()).unwrap()
}

/// Runs `body` on every rank of a group, and returns the results in order of rank.
pub(crate) fn run<T: Send>(world_size: u32, body: impl Fn(&ProcessGroup) -> T + Sync) -> Vec<T> {
    let server = TcpStore::serve(LOOPBACK).unwrap();
    let (address, body) = (server.address(), &body);
    std::thread::scope(|scope| {
        let ranks: Vec<_> =
            (0..world_size).map(|rank| scope.spawn(move || body(&join(address, "group", rank, world_size)))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}
