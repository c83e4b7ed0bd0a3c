//! `AgentService`: one stream for each agent.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use vismae_core::effect::JoinError;
use vismae_core::event::Event;
use vismae_core::worker::{Arrival, Lease};
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::agent_service_server::AgentService;
use vismae_proto::v1::{AgentMessage, CoordinatorMessage, Hello, LogLine, Refused, TaskEvent, coordinator_message};
use vismae_proto::{convert, status};

use super::Context;
use crate::driver::{CallError, Stopped};
use crate::links::{Link, OUTBOUND, Outbound};

/// How long an agent may take to introduce itself.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

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
        let (outbound, answers) = mpsc::channel(OUTBOUND);
        let listener = Listener { context: self.context.clone(), inbound: request.into_inner(), outbound };
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
    inbound: Streaming<AgentMessage>,
    outbound: Outbound,
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
        let lease = match self.admit(arrival, &ended).await {
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
                Some(Message::Log(line)) => {
                    self.log(line);
                    continue;
                }
                // A newer agent may say more than this coordinator understands.
                Some(Message::Hello(_)) | None => continue,
            };
            if let Err(stopped) = self.context.handle.tell(event).await {
                return stopped.into();
            }
        }
    }

    /// Keeps a line of a log; one whose task has no readable name can't be shown to anyone.
    fn log(&self, line: LogLine) {
        match line.task.parse() {
            Ok(task) => self.context.logs.append(&task, line),
            Err(error) => tracing::debug!(%error, "a log line of no task"),
        }
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
