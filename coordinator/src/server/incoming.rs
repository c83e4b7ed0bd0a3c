//! Connections that come in: counted, shaken hands with in time, and handed on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use super::connection::Connection;
use super::tls::Tls;

/// Connections at once; one more is closed as soon as it comes.
const CONNECTIONS: usize = 20_000;
/// Handshakes at once.
const HANDSHAKES: usize = 1024;
/// The pause after an error of accepting, most of which mean that this process has too many files open.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts for as long as the stream lives, with the newest settings of TLS where there are any. A peer may take so long for its
/// handshake, and then to begin to speak HTTP/2.
pub(super) fn incoming(
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<Tls>>>,
    patience: Duration,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(HANDSHAKES);
    tokio::spawn(accept(listener, tls, patience, ready));
    ReceiverStream::new(connections)
}

async fn accept(
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<Tls>>>,
    patience: Duration,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    let counted = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this future, and so are the handshakes.
    let mut handshakes = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = ready.closed() => return,
            _ = handshakes.join_next(), if !handshakes.is_empty() => continue,
            accepted = listener.accept(), if handshakes.len() < HANDSHAKES => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&counted).try_acquire_owned() else {
            tracing::warn!(%address, connections = CONNECTIONS, "a connection is one too many, and closed");
            continue;
        };
        // Without it every answer of a few bytes would wait for the one before to be acknowledged.
        stream.set_nodelay(true).ok();
        match &tls {
            None => {
                let connection = Connection::plain(stream, address, patience, permit);
                if ready.send(Ok(connection)).await.is_err() {
                    return;
                }
            }
            Some(tls) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow().config));
                let ready = ready.clone();
                handshakes.spawn(async move {
                    match tokio::time::timeout(patience, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            ready.send(Ok(Connection::tls(stream, address, patience, permit))).await.ok();
                        }
                        Ok(Err(error)) => tracing::debug!(%address, %error, "a handshake failed"),
                        Err(_) => tracing::debug!(%address, "a handshake took longer than {patience:?}"),
                    }
                });
            }
        }
    }
}
