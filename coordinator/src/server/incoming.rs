//! Connections that come in: counted, shaken hands with in time, and handed on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use super::connection::{Connection, Patience};
use super::occupancy::Occupancy;
use super::tls::Tls;

/// Handshakes at once.
const HANDSHAKES: usize = 1024;
/// The pause after an error of accepting, most of which mean that this process has too many files open.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts for as long as the stream lives, with the newest settings of TLS where there are any. A connection that there is no place
/// for is closed as soon as it comes.
pub(super) fn incoming(
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<Tls>>>,
    patience: Patience,
    occupancy: Arc<Occupancy>,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(HANDSHAKES);
    tokio::spawn(accept(listener, tls, patience, occupancy, ready));
    ReceiverStream::new(connections)
}

async fn accept(
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<Tls>>>,
    patience: Patience,
    occupancy: Arc<Occupancy>,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
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
        let place = match occupancy.enter(address.ip()) {
            Ok(place) => place,
            Err(full) => {
                tracing::warn!(%address, %full, "a connection is one too many, and closed");
                continue;
            }
        };
        // Without it every answer of a few bytes would wait for the one before to be acknowledged.
        stream.set_nodelay(true).ok();
        match &tls {
            None => {
                let connection = Connection::plain(stream, address, patience, place);
                if ready.send(Ok(connection)).await.is_err() {
                    return;
                }
            }
            Some(tls) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow().config));
                let ready = ready.clone();
                handshakes.spawn(async move {
                    match tokio::time::timeout(patience.begin, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            ready.send(Ok(Connection::tls(stream, address, patience, place))).await.ok();
                        }
                        Ok(Err(error)) => tracing::debug!(%address, %error, "a handshake failed"),
                        Err(_) => tracing::debug!(%address, "a handshake took longer than {:?}", patience.begin),
                    }
                });
            }
        }
    }
}
