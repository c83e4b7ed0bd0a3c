//! `AgentService`: one stream for each agent.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use vismae_core::effect::JoinError;
use vismae_core::event::Event;
use vismae_core::ids::{TaskId, WorkerId};
use vismae_core::worker::{Arrival, Lease};
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::agent_service_server::AgentService;
use vismae_proto::v1::{AgentMessage, CoordinatorMessage, Hello, LogLine, Refused, TaskEvent, coordinator_message};
use vismae_proto::{convert, status};

use super::Context;
use crate::audit::{Entry, Lost};
use crate::driver::{CallError, Stopped};
use crate::links::{Link, OUTBOUND, Outbound};
use crate::server::Peer;

/// How long an agent may take to introduce itself.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Tasks of one stream whose lines are told apart without asking again.
const TASKS_MAX: usize = 1024;

/// Lets agents in, and hears them.
#[derive(Debug)]
pub(crate) struct Agents {
    context: Context,
}

impl Agents {
    pub(super) fn new(context: Context) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl AgentService for Agents {
    type AttachStream = ReceiverStream<Result<CoordinatorMessage, Status>>;

    async fn attach(&self, request: Request<Streaming<AgentMessage>>) -> Result<Response<Self::AttachStream>, Status> {
        let Some(peer) = request.extensions().get::<Peer>().cloned() else {
            return Err(status::unauthenticated("the connection is not known"));
        };
        let (outbound, answers) = mpsc::channel(OUTBOUND);
        let (context, inbound) = (self.context.clone(), request.into_inner());
        let listener = Listener { context, peer, inbound, outbound, wrote: HashMap::new() };
        self.context.streams.spawn(listener.run());
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

/// Why a stream ends.
enum End {
    /// The agent hears why, and is welcome to come back.
    Status(Status),
    /// The agent hears why, and must not come back.
    Refused(String),
    /// There is nobody to tell.
    Gone,
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        Self::Status(status::shutting_down())
    }
}

/// The coordinator's ear for one agent.
struct Listener {
    context: Context,
    peer: Peer,
    inbound: Streaming<AgentMessage>,
    outbound: Outbound,
    /// Tasks that have written to their logs, and whether they were this agent's: asked once, for its lines come before its end.
    wrote: HashMap<TaskId, bool>,
}

impl Listener {
    async fn run(mut self) {
        let shutdown = self.context.shutdown.clone();
        let end = tokio::select! {
            biased;
            () = shutdown.cancelled() => End::Status(status::shutting_down()),
            end = self.serve() => end,
        };
        // A full queue means that nobody reads: then the end of the stream has to speak for itself.
        match end {
            End::Status(status) => self.outbound.try_send(Err(status)).ok(),
            End::Refused(reason) => {
                tracing::info!(reason, "agent refused");
                let message = Some(coordinator_message::Message::Refused(Refused { reason }));
                self.outbound.try_send(Ok(CoordinatorMessage { message })).ok()
            }
            End::Gone => None,
        };
    }

    /// Lets the agent in and listens until there is a reason to end.
    async fn serve(&mut self) -> End {
        let arrival = match self.introduction().await {
            Ok(arrival) => arrival,
            Err(end) => return end,
        };
        let ended = CancellationToken::new();
        let worker = arrival.worker.clone();
        let admitted = match self.check_identity(&worker) {
            Ok(()) => self.admit(arrival, &ended).await,
            Err(end) => Err(end),
        };
        if self.note(&worker, admitted.as_ref().err()).await.is_err() {
            return End::Status(status::shutting_down());
        }
        let lease = match admitted {
            Ok(lease) => lease,
            Err(end) => return end,
        };
        let end = tokio::select! {
            end = self.listen(&lease) => end,
            // The driver has ended the stay, and has said why.
            () = ended.cancelled() => End::Gone,
        };
        match self.context.handle.tell(Event::WorkerLost(lease)).await {
            Ok(()) => end,
            Err(stopped) => stopped.into(),
        }
    }

    /// The first message, which must say who speaks.
    async fn introduction(&mut self) -> Result<Arrival, End> {
        let first = tokio::time::timeout(HELLO_TIMEOUT, self.inbound.message());
        let message = match first.await {
            Err(_) => return Err(End::Status(status::stream_ended(format!("no hello within {HELLO_TIMEOUT:?}")))),
            Ok(Err(_) | Ok(None)) => return Err(End::Gone),
            Ok(Ok(Some(first))) => first.message,
        };
        let Some(Message::Hello(hello)) = message else {
            return Err(End::Refused("the first message is no `hello`".to_owned()));
        };
        read(&hello).map_err(End::Refused)
    }

    /// An agent that has shown a certificate speaks for the worker whose name is in it, alone or before the first dot.
    fn check_identity(&self, worker: &WorkerId) -> Result<(), End> {
        let Some(names) = &self.peer.certificate else { return Ok(()) };
        let is_it = |name: &String| name.split('.').next() == Some(worker.as_str());
        if names.iter().any(is_it) {
            return Ok(());
        }
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "no worker".to_owned() } else { names.join(", ") };
        Err(End::Refused(format!("the certificate is for {names}, expected one with the DNS name `{worker}`")))
    }

    /// Writes down who came, or was not let in.
    async fn note(&self, worker: &WorkerId, refused: Option<&End>) -> Result<(), Lost> {
        let subject = format!("workers/{worker}");
        let names = self.peer.certificate.as_deref().map(|names| names.join(","));
        let (outcome, reason) = match refused {
            None => ("OK", None),
            Some(End::Refused(reason)) => ("REFUSED", Some(reason.clone())),
            Some(End::Status(status)) => ("REFUSED", Some(status.message().to_owned())),
            Some(End::Gone) => ("GONE", None),
        };
        let entry = Entry {
            caller: &names.map_or("anyone".to_owned(), |names| format!("agent:{names}")),
            address: self.peer.address.to_string(),
            method: "vismae.v1.AgentService/Attach",
            subject: Some(&subject),
            outcome: outcome.to_owned(),
            reason,
        };
        self.context.audit.write(&entry).await
    }

    /// Asks the core to let the worker in. A name that is taken may be that of a stay which only seems to be alive, such as
    /// this agent's own before its connection broke: only a holder that outlives its lease keeps the newcomer out.
    async fn admit(&self, arrival: Arrival, ended: &CancellationToken) -> Result<Lease, End> {
        let ask = || self.context.handle.join(arrival.clone(), Link::new(self.outbound.clone(), ended.child_token()));
        let answer = match ask().await {
            Err(CallError::Refused(JoinError::NameTaken(_))) => {
                tokio::time::sleep(self.context.lease).await;
                ask().await
            }
            other => other,
        };
        answer.map_err(|error| match error {
            CallError::Refused(error) => End::Refused(error.to_string()),
            CallError::Stopped(stopped) => stopped.into(),
        })
    }

    /// Passes on what the agent says.
    async fn listen(&mut self, lease: &Lease) -> End {
        loop {
            let message = match self.inbound.message().await {
                Ok(Some(message)) => message.message,
                Ok(None) => return End::Gone,
                Err(status) => {
                    tracing::debug!(%lease, %status, "an agent's stream broke");
                    return End::Gone;
                }
            };
            let event = match message {
                Some(Message::Heartbeat(_)) => Event::WorkerHeard(lease.clone()),
                Some(Message::Leaving(_)) => Event::WorkerLeaving(lease.clone()),
                Some(Message::Task(event)) => match report(lease, event) {
                    Ok(event) => event,
                    Err(status) => return End::Status(status),
                },
                Some(Message::Log(line)) => match self.log(lease, line).await {
                    Ok(()) => continue,
                    Err(stopped) => return stopped.into(),
                },
                // A newer agent may say more than this coordinator understands.
                Some(Message::Hello(_)) | None => continue,
            };
            if let Err(stopped) = self.context.handle.tell(event).await {
                return stopped.into();
            }
        }
    }

    /// Keeps a line of a log, as long as it is of a task that this agent runs.
    async fn log(&mut self, lease: &Lease, line: LogLine) -> Result<(), Stopped> {
        let Ok(task) = line.task.parse::<TaskId>() else {
            tracing::debug!(task = line.task, "a log line of no task");
            return Ok(());
        };
        let is_own = match self.wrote.get(&task) {
            Some(is_own) => *is_own,
            None => {
                let (from, about) = (lease.clone(), task.clone());
                let is_own = self.context.handle.read(move |core| core.holds(&from, &about)).await?;
                if self.wrote.len() >= TASKS_MAX {
                    self.wrote.clear();
                }
                self.wrote.insert(task.clone(), is_own);
                is_own
            }
        };
        if is_own {
            self.context.logs.append(&task, line);
        }
        Ok(())
    }
}

fn read(hello: &Hello) -> Result<Arrival, String> {
    convert::arrival_from_wire(hello).map_err(|violations| violations.to_string())
}

/// A report that can't be read can't be ignored: its task would be waited for without end.
fn report(lease: &Lease, event: TaskEvent) -> Result<Event, Status> {
    match convert::report_from_wire(event) {
        Ok((task, report)) => Ok(Event::Task { from: lease.clone(), task, report }),
        Err(violations) => Err(status::invalid(&violations)),
    }
}
