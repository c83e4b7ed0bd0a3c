//! A connection, in plain text or not, that must begin to speak in time, and then ask for something that it may.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::occupancy::Place;
use super::tls::dns_names;

/// Bytes with which every HTTP/2 client begins. Whoever keeps them back holds a connection that no keep-alive looks after yet.
const PREFACE: usize = 24;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The DNS names of the certificate it has shown and that was verified.
    pub(crate) certificate: Option<Arc<[String]>>,
    /// Whether one of its requests was let in.
    let_in: Arc<AtomicBool>,
}

impl Peer {
    fn new(address: SocketAddr, certificate: Option<Arc<[String]>>) -> Self {
        Self { address, certificate, let_in: Arc::default() }
    }

    /// Takes note that one of its requests was let in: it may stay.
    pub(super) fn note_let_in(&self) {
        self.let_in.store(true, Ordering::Relaxed);
    }
}

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until it has shaken hands, and once more until it begins to speak.
    pub(super) begin: Duration,
    /// From then until a request of it is let in; those that anyone may make do not count.
    pub(super) stranger: Duration,
}

/// A connection that counts as one as long as it lives.
pub(super) struct Connection {
    stream: Stream,
    peer: Peer,
    /// Bytes of the preface that have not come yet, and how long they may take.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    /// How long it may be held by somebody who is not let in.
    stranger: Option<Pin<Box<Sleep>>>,
    patience: Patience,
    _place: Place,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    pub(super) fn plain(stream: TcpStream, address: SocketAddr, patience: Patience, place: Place) -> Self {
        Self::new(Stream::Plain(stream), Peer::new(address, None), patience, place)
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>, address: SocketAddr, patience: Patience, place: Place) -> Self {
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = shown.map(|certificate| dns_names(certificate).into());
        Self::new(Stream::Tls(Box::new(stream)), Peer::new(address, certificate), patience, place)
    }

    fn new(stream: Stream, peer: Peer, patience: Patience, place: Place) -> Self {
        let preface = Some((PREFACE, Box::pin(sleep(patience.begin))));
        Self { stream, peer, preface, stranger: None, patience, _place: place }
    }

    /// Whether it has had its time, which the task is woken at the end of.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((_, wait)) = &mut self.preface {
            return wait.as_mut().poll(cx);
        }
        if self.peer.let_in.load(Ordering::Relaxed) {
            self.stranger = None;
        }
        self.stranger.as_mut().map_or(Poll::Pending, |wait| wait.as_mut().poll(cx))
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if read.is_pending() {
            ready!(this.poll_overdue(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Some((missing, _)) = &mut this.preface {
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                this.preface = None;
                this.stranger = Some(Box::pin(sleep(this.patience.stranger)));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
