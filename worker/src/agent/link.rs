//! One connected stream to the coordinator, from `hello` to its end.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::agent_service_client::AgentServiceClient;
use vismae_proto::v1::{
    AgentMessage, CoordinatorMessage, Drain, Heartbeat, Hello, Leaving, Refused, TaskCommand, coordinator_message,
    task_command,
};

use super::metrics;
use super::process::STOP_GRACE;
use super::slots::Slots;

/// Messages waiting for the coordinator: a burst of log lines from every slot, bounded in memory.
const OUTBOUND: usize = 1024;
/// How long the coordinator may take to answer `hello`.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long tasks may take to stop before the agent leaves without them: longer than it waits before it kills one.
const DRAIN_GRACE: Duration = STOP_GRACE.saturating_add(Duration::from_secs(5));
/// How long the coordinator may leave a full queue unread: while it does, nothing else is looked after here.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the coordinator may take to read the stream to its end.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Why there is no stream, or no more.
#[derive(Debug)]
pub(super) enum LinkEnd {
    /// The agent was told to end, and every task has.
    Drained,
    /// The coordinator wants nothing to do with this agent.
    Refused(String),
    /// The coordinator went away, or never answered as one.
    Lost(String),
}

/// A stream on which the coordinator has welcomed this agent.
pub(super) struct Link {
    inbound: Streaming<CoordinatorMessage>,
    outbound: mpsc::Sender<AgentMessage>,
    heartbeat: Duration,
    /// The shortest time in one place of a step that counts; none where the coordinator does not ask.
    stall: Option<Duration>,
}

impl Link {
    /// Says who this is and waits for the welcome.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn attach(channel: Channel, hello: Hello) -> Result<Self, LinkEnd> {
        let (outbound, queue) = mpsc::channel(OUTBOUND);
        if outbound.try_send(AgentMessage { message: Some(Message::Hello(hello)) }).is_err() {
            return Err(LinkEnd::Lost("the first message could not be queued".to_owned()));
        }
        let greet = async {
            let attached = AgentServiceClient::new(channel).attach(ReceiverStream::new(queue)).await;
            let mut inbound = attached.map_err(refused_or_lost)?.into_inner();
            match read(inbound.message().await)? {
                coordinator_message::Message::Welcome(welcome) => Ok((inbound, welcome)),
                coordinator_message::Message::Refused(Refused { reason }) => Err(LinkEnd::Refused(reason)),
                coordinator_message::Message::Task(_) | coordinator_message::Message::Drain(_) => {
                    Err(LinkEnd::Lost("the first answer is a command, expected a welcome".to_owned()))
                }
            }
        };
        let (inbound, welcome) = tokio::time::timeout(WELCOME_TIMEOUT, greet)
            .await
            .map_err(|_| LinkEnd::Lost(format!("no answer to hello within {WELCOME_TIMEOUT:?}")))??;
        let heartbeat = Duration::from_millis(u64::from(welcome.heartbeat_millis.max(100)));
        let stall = Some(Duration::from_millis(welcome.stall_millis.into())).filter(|stall| !stall.is_zero());
        Ok(Self { inbound, outbound, heartbeat, stall })
    }

    /// Serves the coordinator until one side ends the stream.
    pub(super) async fn serve(mut self, slots: &mut Slots, shutdown: &CancellationToken) -> LinkEnd {
        metrics::connected(true);
        slots.watch_for(self.stall);
        let end = match self.exchange(slots, shutdown).await {
            Ok(()) => self.close().await,
            Err(end) => end,
        };
        metrics::connected(false);
        end
    }

    /// Passes messages both ways until this agent has nothing more to do here.
    async fn exchange(&mut self, slots: &mut Slots, shutdown: &CancellationToken) -> Result<(), LinkEnd> {
        let mut heartbeat = tokio::time::interval(self.heartbeat);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // A coordinator before this one, or the same one before the stream broke, may not have heard it.
        for word in slots.unsettled() {
            self.pass(Message::Task(word)).await?;
        }
        let mut leaving = None;
        loop {
            if leaving.is_some() && slots.is_idle() {
                return Ok(());
            }
            tokio::select! {
                received = self.inbound.message() => match read(received)? {
                    coordinator_message::Message::Task(command) if leaving.is_some() && is_start(&command) => {
                        // It crossed the word of leaving, which tells the coordinator to place the task elsewhere.
                        tracing::debug!(task = command.task, "a start is ignored while leaving");
                    }
                    coordinator_message::Message::Task(command) => {
                        if let Some(refusal) = slots.command(command) {
                            self.pass(Message::Task(refusal)).await?;
                        }
                    }
                    coordinator_message::Message::Refused(Refused { reason }) => return Err(LinkEnd::Refused(reason)),
                    coordinator_message::Message::Drain(Drain {}) => {
                        tracing::info!("the coordinator's operator wants this worker to leave");
                        shutdown.cancel();
                    }
                    coordinator_message::Message::Welcome(_) => tracing::debug!("a second welcome is ignored"),
                },
                message = slots.next_message() => self.pass(message).await?,
                _ = heartbeat.tick() => self.say(Message::Heartbeat(Heartbeat {})),
                () = shutdown.cancelled(), if leaving.is_none() => {
                    leaving = Some(tokio::time::Instant::now() + DRAIN_GRACE);
                    self.pass(Message::Leaving(Leaving {})).await?;
                    slots.stop_all("the worker is leaving");
                }
                () = overdue(leaving) => return Ok(()),
            }
        }
    }

    /// Ends the stream from this side, and lets the coordinator read it to its end: the last results are in it.
    async fn close(self) -> LinkEnd {
        let Self { mut inbound, outbound, .. } = self;
        drop(outbound);
        let read_out = async { while matches!(inbound.message().await, Ok(Some(_))) {} };
        if tokio::time::timeout(CLOSE_GRACE, read_out).await.is_err() {
            tracing::warn!("the coordinator did not end the stream within {CLOSE_GRACE:?}");
        }
        LinkEnd::Drained
    }

    /// Sends what must arrive.
    async fn pass(&self, message: Message) -> Result<(), LinkEnd> {
        let send = self.outbound.send(AgentMessage { message: Some(message) });
        match tokio::time::timeout(SEND_TIMEOUT, send).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(LinkEnd::Lost("the stream to the coordinator is closed".to_owned())),
            Err(_) => Err(LinkEnd::Lost(format!("the coordinator has read nothing for {SEND_TIMEOUT:?}"))),
        }
    }

    /// A heartbeat that finds the queue full is not needed: the messages in front of it say the same.
    fn say(&self, message: Message) {
        if self.outbound.try_send(AgentMessage { message: Some(message) }).is_err() {
            tracing::debug!("message not queued: the coordinator's stream is full or gone");
        }
    }
}

/// A coordinator that does not believe who this is will not the next time either.
fn refused_or_lost(status: tonic::Status) -> LinkEnd {
    let reason = status.message().to_owned();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => LinkEnd::Refused(reason),
        _ => LinkEnd::Lost(reason),
    }
}

fn read(received: Result<Option<CoordinatorMessage>, tonic::Status>) -> Result<coordinator_message::Message, LinkEnd> {
    let lost = |reason: &str| Err(LinkEnd::Lost(reason.to_owned()));
    match received {
        Ok(Some(CoordinatorMessage { message: Some(message) })) => Ok(message),
        Ok(Some(_)) => lost("an empty message"),
        Ok(None) => lost("the coordinator closed the stream"),
        Err(status) => lost(status.message()),
    }
}

fn is_start(command: &TaskCommand) -> bool {
    matches!(command.command, Some(task_command::Command::Start(_)))
}

async fn overdue(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
