//! What every request passes before it reaches a service: who sends it, whether that is too much, and what is written down of it.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use vismae_proto::status;

use super::connection::Peer;
use super::methods::Method;
use crate::access::{Access, Caller, Excess, Grants, Unknown};
use crate::audit::{Audit, Entry};

/// The service for agents, which show a certificate instead of a token and whose arrivals are written down by the service itself.
const AGENTS: &str = "vismae.v1.AgentService";
/// How long whoever has too many streams open may wait for one of them to end.
const STREAM_PAUSE: Duration = Duration::from_secs(10);

/// Decides about every request.
#[derive(Debug)]
pub(super) struct Gate {
    /// Absent where everyone may do everything.
    pub(super) access: Option<watch::Receiver<Arc<Access>>>,
    /// Whether agents must show a certificate.
    pub(super) certificates: bool,
    pub(super) audit: Audit,
}

/// What a request is let in with.
struct Pass {
    caller: Caller,
    /// Counts the stream for as long as the answer lasts.
    stream: Option<OwnedSemaphorePermit>,
}

impl Gate {
    async fn admit(&self, head: &Head) -> Result<Pass, Status> {
        let Some(peer) = &head.peer else {
            return Err(status::unauthenticated("the connection is not known"));
        };
        if head.service() == AGENTS {
            return match (&peer.certificate, self.certificates) {
                (None, true) => Err(status::unauthenticated(
                    "no certificate was shown, expected one that the coordinator's client authority has signed: see `--cert` and `--key`",
                )),
                _ => Ok(Pass { caller: Caller::anyone(), stream: None }),
            };
        }
        let Some(access) = self.access.as_ref().map(|access| Arc::clone(&access.borrow())) else {
            return Ok(Pass { caller: Caller::anyone(), stream: None });
        };
        let address = peer.address.ip().to_string();
        let caller = if head.is_open() {
            Caller::new(address, Grants::default())
        } else {
            identify(&access, head.authorization.as_ref(), &address).await?
        };
        access.limits.request(caller.name()).map_err(too_much)?;
        let is_stream = head.method.is_some_and(|method| method.answers_in_stream);
        let stream = is_stream.then(|| access.limits.stream(caller.name())).transpose().map_err(too_much)?;
        Ok(Pass { caller, stream })
    }

    /// Writes down what was done, and what was refused to somebody.
    async fn note(&self, head: &Head, caller: Option<&Caller>, outcome: Outcome) -> Result<(), Status> {
        let refused = matches!(outcome.code, Code::Unauthenticated | Code::PermissionDenied);
        // Whoever is over a limit has been written down often enough: the log must not grow as fast as strangers can ask.
        let is_flood = caller.is_none() && outcome.code == Code::ResourceExhausted;
        if head.is_open() || is_flood || !refused && (head.looks() || head.service() == AGENTS) {
            return Ok(());
        }
        let subject = caller.and_then(Caller::subject);
        let entry = Entry {
            caller: caller.map_or("unknown", Caller::name),
            address: head.peer.as_ref().map(|peer| peer.address.to_string()).unwrap_or_default(),
            method: if head.method.is_some() { &head.path } else { "unknown" },
            subject: subject.as_deref(),
            outcome: code_word(outcome.code),
            reason: outcome.reason,
        };
        self.audit.write(&entry).await.map_err(|_| status::shutting_down())
    }
}

/// What a request says before its message.
struct Head {
    /// Absent when there is none such.
    method: Option<&'static Method>,
    /// As `vismae.v1.JobService/CancelPipeline`.
    path: String,
    peer: Option<Peer>,
    authorization: Option<HeaderValue>,
}

impl Head {
    fn of(request: &Request<Body>) -> Self {
        let path = request.uri().path().trim_start_matches('/').to_owned();
        Self {
            method: Method::at(&path),
            path,
            peer: request.extensions().get::<Peer>().cloned(),
            authorization: request.headers().get(AUTHORIZATION).cloned(),
        }
    }

    fn service(&self) -> &str {
        self.method.map_or("", |method| &method.service)
    }

    /// Whether it only looks at something.
    fn looks(&self) -> bool {
        self.method.is_some_and(Method::looks)
    }

    fn is_open(&self) -> bool {
        self.method.is_some_and(Method::is_open)
    }
}

struct Outcome {
    code: Code,
    reason: Option<String>,
}

impl Outcome {
    fn of(status: &Status) -> Self {
        Self { code: status.code(), reason: Some(status.message().to_owned()) }
    }

    /// A service that refuses says so in the head of its answer; one that does not has none to say there.
    fn read(response: &Response<Body>) -> Self {
        match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != Code::Ok => Self::of(&status),
            _ => Self { code: Code::Ok, reason: None },
        }
    }
}

/// Who sends a request. Whoever must be found out about with effort, or guesses, is slowed down like everyone else before that.
async fn identify(access: &Access, authorization: Option<&HeaderValue>, address: &str) -> Result<Caller, Status> {
    let (token, now) = (bearer(authorization), SystemTime::now());
    if let Some((name, grants)) = token.and_then(|token| access.recall(token, now)) {
        return Ok(Caller::new(name, grants));
    }
    access.limits.request(address).map_err(too_much)?;
    let token = token.ok_or_else(|| refuse(&Unknown::Missing))?;
    let (name, grants) = access.identify(token, now).await.map_err(|unknown| refuse(&unknown))?;
    Ok(Caller::new(name, grants))
}

fn bearer(authorization: Option<&HeaderValue>) -> Option<&str> {
    let (scheme, token) = authorization?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn refuse(unknown: &Unknown) -> Status {
    match unknown {
        Unknown::Keys(_) => status::not_available(unknown.to_string()),
        _ => status::unauthenticated(unknown.to_string()),
    }
}

fn too_much(excess: Excess) -> Status {
    let (limit, retry) = match &excess {
        Excess::Requests { retry, .. } => ("requests_per_second", *retry),
        Excess::Streams { .. } => ("streams", STREAM_PAUSE),
    };
    status::exhausted(limit, excess.to_string(), Some(retry))
}

/// As programs know it: `PERMISSION_DENIED`.
fn code_word(code: Code) -> String {
    let camel = format!("{code:?}");
    let mut word = String::with_capacity(camel.len() + 4);
    for (at, letter) in camel.char_indices() {
        if at > 0 && letter.is_uppercase() && code != Code::Ok {
            word.push('_');
        }
        word.push(letter.to_ascii_uppercase());
    }
    word
}

/// Puts the gate in front of the services.
#[derive(Debug, Clone)]
pub(super) struct GateLayer(pub(super) Arc<Gate>);

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, services: S) -> Gated<S> {
        Gated { services, gate: Arc::clone(&self.0) }
    }
}

/// The services behind the gate.
#[derive(Debug, Clone)]
pub(super) struct Gated<S> {
    services: S,
    gate: Arc<Gate>,
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.services.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let gate = Arc::clone(&self.gate);
        // The one that is ready; its clone need not be.
        let fresh = self.services.clone();
        let mut services = std::mem::replace(&mut self.services, fresh);
        Box::pin(async move {
            let head = Head::of(&request);
            let pass = match gate.admit(&head).await {
                Ok(pass) => pass,
                Err(refused) => {
                    let lost = gate.note(&head, None, Outcome::of(&refused)).await.err();
                    return Ok(lost.unwrap_or(refused).into_http());
                }
            };
            let caller = pass.caller.clone();
            if let Some(peer) = head.peer.as_ref().filter(|_| !head.is_open()) {
                peer.note_let_in();
            }
            request.extensions_mut().insert(pass.caller);
            let changes = !head.looks() && !head.is_open() && head.service() != AGENTS;
            let answer = async move {
                let mut response = services.call(request).await?;
                let mut outcome = Outcome::read(&response);
                // What a message that is too long is refused with, as this is a limit like the others.
                if outcome.code == Code::OutOfRange {
                    let status = status::exhausted("message_size", outcome.reason.unwrap_or_default(), None);
                    outcome = Outcome::of(&status);
                    response = status.into_http();
                }
                Ok(match gate.note(&head, Some(&caller), outcome).await {
                    Ok(()) => response,
                    Err(lost) => lost.into_http(),
                })
            };
            // A change that was asked for is made though its caller hangs up, and is then to be written down all the same.
            let response = match changes {
                true => match tokio::spawn(answer).await {
                    Ok(answered) => answered?,
                    Err(_) => status::shutting_down().into_http(),
                },
                false => answer.await?,
            };
            Ok(match pass.stream {
                Some(counted) => response.map(|body| Body::new(Counted { body, _counted: counted })),
                None => response,
            })
        })
    }
}

/// The body of a stream that is counted until its end.
struct Counted {
    body: Body,
    _counted: OwnedSemaphorePermit,
}

impl http_body::Body for Counted {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
