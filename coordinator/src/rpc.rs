//! The services of `vismae.v1`: each turns wire messages into events and reads, and the core's answers back.

mod agent;
mod fields;
mod filter;
mod jobs;
mod namespaces;
mod order;
mod paging;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Status};
use vismae_proto::status;
use vismae_proto::v1::agent_service_server::AgentServiceServer;
use vismae_proto::v1::job_service_server::JobServiceServer;
use vismae_proto::v1::namespace_service_server::NamespaceServiceServer;
use vismae_proto::v1::worker_service_server::WorkerServiceServer;

use crate::access::{Access, Caller, Denied};
use crate::audit::Audit;
use crate::driver::{Handle, Stopped};
use crate::logs::Logs;

/// Bytes of one message of an agent: a log line or a handful of figures, with much room to spare.
const AGENT_MESSAGE_MAX: usize = 1 << 20;

/// Bytes of one message of a person or a program: twice the largest pipeline.
const MESSAGE_MAX: usize = 1 << 20;

/// What every service works with.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// To the core.
    pub(crate) handle: Handle,
    /// Which stores pipelines may work in; absent where all of them.
    pub(crate) access: Option<watch::Receiver<Arc<Access>>>,
    /// Where it is written down who did what.
    pub(crate) audit: Audit,
    /// What tasks wrote.
    pub(crate) logs: Logs,
    /// How long a silent worker is believed.
    pub(crate) lease: Duration,
    /// Cancelled when streams must end.
    pub(crate) shutdown: CancellationToken,
    /// Counts the streams that are open.
    pub(crate) streams: TaskTracker,
}

/// The service for people and their programs.
pub(crate) fn jobs(context: Context) -> JobServiceServer<jobs::Jobs> {
    JobServiceServer::new(jobs::Jobs::new(context)).max_decoding_message_size(MESSAGE_MAX)
}

/// The service for those who share out the slots.
pub(crate) fn namespaces(context: Context) -> NamespaceServiceServer<namespaces::Namespaces> {
    NamespaceServiceServer::new(namespaces::Namespaces::new(context)).max_decoding_message_size(MESSAGE_MAX)
}

/// The service that shows the workers.
pub(crate) fn workers(context: Context) -> WorkerServiceServer<workers::Workers> {
    WorkerServiceServer::new(workers::Workers::new(context)).max_decoding_message_size(MESSAGE_MAX)
}

/// The service for agents.
pub(crate) fn agent(context: Context) -> AgentServiceServer<agent::Agents> {
    AgentServiceServer::new(agent::Agents::new(context)).max_decoding_message_size(AGENT_MESSAGE_MAX)
}

/// Who sends a request. Every request has passed the gate, which says so; one that has not is refused.
fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let known = request.extensions().get::<Caller>().cloned();
    known.ok_or_else(|| status::unauthenticated("the caller is not known"))
}

fn denied(denied: Denied) -> Status {
    status::denied(denied.to_string())
}

/// A core that is gone means that the coordinator is on its way out.
fn stopped(_: Stopped) -> Status {
    status::shutting_down()
}
