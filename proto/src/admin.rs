//! What every vismae process serves besides gRPC: `/metrics`, `/healthz` and `/readyz` over plain HTTP.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The media type of the Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until the token is cancelled and the requests in flight are answered.
///
/// `render` gives the metrics in the Prometheus text format. `ready` says whether work can be sent this way: `/readyz`
/// answers 503 while it is false, `/healthz` answers 200 as long as the process can answer at all.
///
/// # Errors
/// Those of accepting connections.
pub async fn serve(
    listener: TcpListener,
    render: impl Fn() -> String + Send + Sync + 'static,
    ready: impl Fn() -> bool + Send + Sync + 'static,
    shutdown: CancellationToken,
) -> io::Result<()> {
    axum::serve(listener, routes(render, ready)).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

fn routes(
    render: impl Fn() -> String + Send + Sync + 'static,
    ready: impl Fn() -> bool + Send + Sync + 'static,
) -> Router {
    let (render, ready) = (Arc::new(render), Arc::new(ready));
    let metrics = move || async move { ([(header::CONTENT_TYPE, PROMETHEUS)], render()) };
    let readiness = move || async move {
        if ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_health_and_readiness_are_served_until_shutdown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ready, shutdown) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let is_ready = {
            let ready = Arc::clone(&ready);
            move || ready.load(Ordering::Relaxed)
        };
        let served = tokio::spawn(serve(listener, || "a_metric 1\n".to_owned(), is_ready, shutdown.clone()));

        let metrics = ask(address, "/metrics").await;
        assert!(metrics.contains("version=0.0.4") && metrics.ends_with("a_metric 1\n"), "{metrics}");
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        ready.store(true, Ordering::Relaxed);
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/nothing").await.starts_with("HTTP/1.1 404"));

        shutdown.cancel();
        served.await.unwrap().unwrap();
    }
}
