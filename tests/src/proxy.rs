//! A proxy in front of an HTTP server that spoils what passes through it.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::http::request;
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::faults::{Fault, Faults};

/// Pieces that a trickling body comes in.
const PIECES: usize = 12;
/// The pause between two pieces.
const PAUSE: Duration = Duration::from_millis(5);

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A running proxy; dropping it closes every connection.
#[derive(Debug)]
pub struct Proxy {
    /// The port it listens on.
    pub port: u16,
    /// Where it is reached.
    pub address: SocketAddr,
    /// What it does to requests.
    pub faults: Arc<Faults>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Starts one in front of a port of this machine, for this machine.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(upstream: u16, faults: Faults) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), upstream, faults).await
    }

    /// As [`Proxy::start`], for whoever reaches an address of this machine.
    ///
    /// # Panics
    /// When no port is free, or this machine has no such address.
    pub async fn start_on(host: IpAddr, upstream: u16, faults: Faults) -> Self {
        let listener = TcpListener::bind((host, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let port = address.port();
        let faults = Arc::new(faults);
        let _accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, upstream, Arc::clone(&faults))));
        Self { port, address, faults, _accepting }
    }
}

async fn accept(listener: TcpListener, upstream: u16, faults: Arc<Faults>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, upstream, Arc::clone(&faults)));
        // Those that ended make room.
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection until it ends, as it was meant to or not.
async fn serve(stream: TcpStream, upstream: u16, faults: Arc<Faults>) {
    let Ok((stream, wire)) = Wire::of(stream) else { return };
    let service = service_fn(|request| answer(request, upstream, Arc::clone(&faults), wire.clone()));
    let _ended = server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A second handle on a connection, by which it can be made to end with a reset.
#[derive(Debug, Clone)]
struct Wire(Arc<StdStream>);

impl Wire {
    fn of(stream: TcpStream) -> io::Result<(TcpStream, Self)> {
        let stream = stream.into_std()?;
        let wire = Self(Arc::new(stream.try_clone()?));
        Ok((TcpStream::from_std(stream)?, wire))
    }

    /// Ends the connection: what is not sent yet is lost, and the other side is told so.
    fn reset(&self) -> io::Error {
        // Where this fails the connection ends all the same, in a gentler way.
        let _ = SockRef::from(self.0.as_ref()).set_linger(Some(Duration::ZERO));
        io::ErrorKind::ConnectionReset.into()
    }
}

async fn answer(
    request: Request<Incoming>,
    upstream: u16,
    faults: Arc<Faults>,
    wire: Wire,
) -> Result<Response<Body>, io::Error> {
    let fault = faults.decide(&request);
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let whole = || Full::new(body.clone()).map_err(never).boxed_unsync();
    let ask = || forward(Request::from_parts(head.clone(), whole()), upstream);
    if let Some(hold) = faults.takes_hold(&head.method, &head.uri, &body) {
        if hold.is_done {
            ask().await?.swallow().await?;
        }
        faults.note_held();
        return std::future::pending().await;
    }
    match fault {
        Some(Fault::Status(status)) => {
            let said = Full::from("<Error><Code>SlowDown</Code><Message>injected</Message></Error>");
            let answer = Response::builder().status(status).body(said.map_err(never).boxed_unsync());
            return answer.map_err(io::Error::other);
        }
        Some(Fault::ResetBefore) => return Err(wire.reset()),
        Some(Fault::TornUpload) => {
            tear(head, &body, upstream).await;
            return Err(wire.reset());
        }
        Some(Fault::LostAnswer) => {
            ask().await?.swallow().await?;
            return Err(wire.reset());
        }
        Some(Fault::Twice) => ask().await?.swallow().await?,
        Some(Fault::Late(pause)) => tokio::time::sleep(pause).await,
        _ => {}
    }
    let Exchange { answer, connection } = ask().await?;
    let (mut head, body) = answer.into_parts();
    let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let half = length.unwrap_or(0) / 2;
    match fault {
        Some(Fault::ChunksCut) => drop(head.headers.remove(CONTENT_LENGTH)),
        Some(Fault::Shortened) => drop(head.headers.insert(CONTENT_LENGTH, half.into())),
        _ => {}
    }
    let spoiled = Spoiled { body, fault, passed: 0, half, wire, _connection: connection };
    let frames = stream::unfold(spoiled, |mut spoiled| async move { Some((spoiled.next().await?, spoiled)) });
    let pieces = frames.flat_map(move |frame| trickle(frame, fault));
    Ok(Response::from_parts(head, StreamBody::new(pieces).boxed_unsync()))
}

/// Sends the server half of what it is told to expect, and then nothing more.
async fn tear(head: request::Parts, body: &Bytes, upstream: u16) {
    let half = Ok(Frame::data(body.slice(..body.len() / 2)));
    let torn = stream::iter([half, Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
    // Whatever the server says to that, nobody hears it.
    let _ended = forward(Request::from_parts(head, StreamBody::new(torn).boxed_unsync()), upstream).await;
}

fn never(impossible: Infallible) -> io::Error {
    match impossible {}
}

/// One exchange with the server, on a connection of its own.
struct Exchange {
    answer: Response<Incoming>,
    /// Carries the body of the answer, and ends when it is dropped.
    connection: AbortOnDropHandle<hyper::Result<()>>,
}

impl Exchange {
    /// Waits for the end of an answer that nobody gets.
    async fn swallow(self) -> io::Result<()> {
        self.answer.into_body().collect().await.map(drop).map_err(io::Error::other)
    }
}

async fn forward(request: Request<Body>, upstream: u16) -> io::Result<Exchange> {
    let stream = TcpStream::connect(("127.0.0.1", upstream)).await?;
    let (mut sender, connection) =
        client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok(Exchange { answer, connection })
}

/// The body of an answer, on its way through the proxy.
struct Spoiled {
    body: Incoming,
    fault: Option<Fault>,
    passed: u64,
    half: u64,
    wire: Wire,
    _connection: AbortOnDropHandle<hyper::Result<()>>,
}

impl Spoiled {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let cut = matches!(
            self.fault,
            Some(Fault::ResetWithin | Fault::Truncated | Fault::ChunksCut | Fault::Shortened | Fault::Stalled)
        );
        if cut && self.passed >= self.half {
            // What came before leaves first: a body that breaks at once takes it along.
            tokio::task::yield_now().await;
            return match self.fault {
                Some(Fault::ResetWithin) => Some(Err(self.wire.reset())),
                Some(Fault::Stalled) => std::future::pending().await,
                Some(Fault::Shortened) => None,
                _ => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            };
        }
        let bytes = loop {
            match self.body.frame().await?.map(Frame::into_data) {
                Ok(Ok(bytes)) if !bytes.is_empty() => break bytes,
                Ok(_) => {}
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        };
        let left = usize::try_from(self.half.saturating_sub(self.passed)).unwrap_or(usize::MAX);
        let bytes = if cut { bytes.slice(..bytes.len().min(left)) } else { bytes };
        self.passed += bytes.len() as u64;
        let holds_middle = left < bytes.len();
        if self.fault == Some(Fault::BitFlipped) && holds_middle {
            let mut flipped = bytes.to_vec();
            flipped[left] ^= 0x04;
            self.fault = None;
            return Some(Ok(flipped.into()));
        }
        Some(Ok(bytes))
    }
}

/// A piece of a body as it is sent on: in one, or in small ones with pauses between.
fn trickle(piece: io::Result<Bytes>, fault: Option<Fault>) -> impl stream::Stream<Item = io::Result<Frame<Bytes>>> {
    let pieces = match piece {
        Ok(bytes) if fault == Some(Fault::Trickle) => {
            let size = bytes.len().div_ceil(PIECES).max(1);
            (0..bytes.len()).step_by(size).map(|at| Ok(bytes.slice(at..bytes.len().min(at + size)))).collect()
        }
        whole => vec![whole],
    };
    stream::iter(pieces).then(move |piece| async move {
        if fault == Some(Fault::Trickle) {
            tokio::time::sleep(PAUSE).await;
        }
        piece.map(Frame::data)
    })
}
