//! Counts every request and measures how long it took, under the names that gRPC servers commonly use.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::methods::Method;
use crate::metrics::{self, Rpc};

/// Measures the requests to the services behind it.
#[derive(Debug, Clone)]
pub(super) struct MeasureLayer;

impl<S> Layer<S> for MeasureLayer {
    type Service = Measured<S>;

    fn layer(&self, services: S) -> Measured<S> {
        Measured { services }
    }
}

/// Services whose requests are measured.
#[derive(Debug, Clone)]
pub(super) struct Measured<S> {
    services: S,
}

impl<S> Service<Request<Body>> for Measured<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.services.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut course = Course::begin(request.uri().path());
        let answer = self.services.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // Whoever is refused is told so in the head, and no body follows.
            if let Some(status) = Status::from_header_map(response.headers()) {
                course.end(status.code());
                return Ok(response);
            }
            Ok(response.map(|body| Body::new(Answer { body, course })))
        })
    }
}

/// One request, from its head to the end of its answer.
struct Course {
    rpc: Rpc,
    began: Instant,
    /// Absent while the answer goes on; an answer that is dropped then was cancelled by its caller, or by the end of the connection.
    ended: Option<Code>,
}

impl Course {
    fn begin(path: &str) -> Self {
        // What strangers make up must not become labels.
        let rpc = match Method::at(path.trim_start_matches('/')) {
            Some(Method { service, name, kind, .. }) => Rpc { kind, service, method: name },
            None => Rpc { kind: "unknown", service: "unknown", method: "unknown" },
        };
        metrics::rpc_started(&rpc);
        Self { rpc, began: Instant::now(), ended: None }
    }

    fn end(&mut self, code: Code) {
        self.ended = Some(code);
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        metrics::rpc_handled(&self.rpc, self.ended.unwrap_or(Code::Cancelled), self.began.elapsed());
    }
}

/// The body of an answer, whose last frame says how it ended.
struct Answer {
    body: Body,
    course: Course,
}

impl http_body::Body for Answer {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    self.course.end(status.code());
                }
            }
            Poll::Ready(Some(Err(status))) => self.course.end(status.code()),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
