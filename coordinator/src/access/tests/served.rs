//! Keys of an identity provider that are fetched from its URL.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A provider whose keys come from a server that gives every request the same answer.
async fn served(provider: &Provider, head: &str, body: &str) -> Access {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
            // Whoever has read enough hangs up.
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    provider.access_by(&url)
}

#[tokio::test]
async fn keys_come_from_a_url() {
    let provider = Provider::new();
    let keys = json!({ "keys": [provider.jwk("one")] }).to_string();
    let access = served(&provider, "200 OK", &keys).await;
    let (name, _) = access.identify(&provider.token("one", &[]), SystemTime::now()).await.unwrap();
    assert_eq!(name, "oidc:ada");
}

#[tokio::test]
async fn a_url_that_leads_elsewhere_or_sends_too_much_gives_no_keys_and_says_why() {
    let provider = Provider::new();
    let keys = json!({ "keys": [provider.jwk("one")] }).to_string();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redirect = format!("302 Found\r\nlocation: http://{}/keys", other.local_addr().unwrap());
    let padded = format!("{keys}{}", " ".repeat(2 << 20));
    for (head, body, problem) in [
        (redirect.as_str(), "", "302"),
        ("200 OK", padded.as_str(), "more than 1048576 bytes"),
        ("500 Oops", keys.as_str(), "500"),
        ("200 OK", "<html>", "no JSON"),
        ("200 OK", "{}", "`keys` is missing"),
    ] {
        let access = served(&provider, head, body).await;
        let refused = access.identify(&provider.token("one", &[]), SystemTime::now()).await;
        let Err(Unknown::Keys(told)) = refused else { panic!("{problem}: {refused:?}") };
        assert!(told.contains(problem), "{problem}: {told}");
    }
    let visited = tokio::time::timeout(Duration::from_millis(50), other.accept()).await;
    assert!(visited.is_err(), "the redirect was followed");
}
