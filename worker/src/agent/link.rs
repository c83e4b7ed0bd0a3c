//! One connected stream to the coordinator, from `hello` to its end.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Channel;
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::agent_service_client::AgentServiceClient;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{
    AgentMessage, CoordinatorMessage, Heartbeat, Hello, Leaving, Refused, Welcome, coordinator_message,
};

use super::metrics;
use super::slots::Slots;

/// Messages waiting for the coordinator: a burst of log lines from every slot, bounded in memory.
const OUTBOUND: usize = 1024;
/// How long the coordinator may take to answer `hello`.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long tasks may take to stop before the agent leaves without them.
const DRAIN_GRACE: Duration = Duration::from_secs(25);

/// Why a stream ended.
#[derive(Debug)]
pub(super) enum LinkEnd {
    /// The agent was told to end, and every task has.
    Drained,
    /// The coordinator wants nothing to do with this agent.
    Refused(String),
    /// The coordinator went away.
    Lost(String),
}

/// Attaches to the coordinator and serves it until one side ends the stream.
pub(super) async fn serve(channel: Channel, hello: Hello, slots: &mut Slots, shutdown: &CancellationToken) -> LinkEnd {
    let (outbound, queue) = mpsc::channel(OUTBOUND);
    let (relay, relayed) = mpsc::channel(OUTBOUND);
    if outbound.try_send(AgentMessage { message: Some(Message::Hello(hello)) }).is_err() {
        return LinkEnd::Lost("the first message could not be queued".to_owned());
    }
    let attached = AgentServiceClient::new(channel).attach(ReceiverStream::new(queue)).await;
    let mut inbound = match attached {
        Ok(response) => response.into_inner(),
        Err(status) => return LinkEnd::Lost(status.message().to_owned()),
    };
    let welcome = match tokio::time::timeout(WELCOME_TIMEOUT, inbound.message()).await {
        Err(_) => return LinkEnd::Lost(format!("no answer to hello within {WELCOME_TIMEOUT:?}")),
        Ok(first) => match read(first) {
            Ok(coordinator_message::Message::Welcome(welcome)) => welcome,
            Ok(coordinator_message::Message::Refused(Refused { reason })) => return LinkEnd::Refused(reason),
            Ok(_) => return LinkEnd::Lost("the first answer is not a welcome".to_owned()),
            Err(reason) => return LinkEnd::Lost(reason),
        },
    };
    metrics::connected(true);
    let end = Link { outbound, relay, slots }.run(inbound, relayed, welcome, shutdown).await;
    metrics::connected(false);
    end
}

fn read(received: Result<Option<CoordinatorMessage>, tonic::Status>) -> Result<coordinator_message::Message, String> {
    match received {
        Ok(Some(CoordinatorMessage { message: Some(message) })) => Ok(message),
        Ok(Some(_)) => Err("an empty message".to_owned()),
        Ok(None) => Err("the coordinator closed the stream".to_owned()),
        Err(status) => Err(status.message().to_owned()),
    }
}

struct Link<'a> {
    /// To the coordinator.
    outbound: mpsc::Sender<AgentMessage>,
    /// From the task processes to this task, which looks at each message before it goes out.
    relay: mpsc::Sender<AgentMessage>,
    slots: &'a mut Slots,
}

impl Link<'_> {
    async fn run(
        self,
        mut inbound: Streaming<CoordinatorMessage>,
        mut relayed: mpsc::Receiver<AgentMessage>,
        welcome: Welcome,
        shutdown: &CancellationToken,
    ) -> LinkEnd {
        let period = Duration::from_millis(u64::from(welcome.heartbeat_millis.max(100)));
        let mut heartbeat = tokio::time::interval(period);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut leaving = None;
        loop {
            let drained = leaving.is_some() && self.slots.is_idle() && relayed.is_empty();
            if drained {
                return LinkEnd::Drained;
            }
            tokio::select! {
                received = inbound.message() => match read(received) {
                    Ok(coordinator_message::Message::Task(command)) => {
                        if let Some(refusal) = self.slots.command(command, &self.relay) {
                            self.say(Message::Task(refusal));
                        }
                    }
                    Ok(coordinator_message::Message::Refused(Refused { reason })) => return LinkEnd::Refused(reason),
                    Ok(coordinator_message::Message::Welcome(_)) => tracing::debug!("a second welcome is ignored"),
                    Err(reason) => return LinkEnd::Lost(reason),
                },
                Some(message) = relayed.recv() => {
                    self.observe(&message);
                    if self.outbound.send(message).await.is_err() {
                        return LinkEnd::Lost("the stream to the coordinator is closed".to_owned());
                    }
                }
                ended = self.slots.next_ended() => {
                    if let Some(last) = ended
                        && self.outbound.send(AgentMessage { message: Some(Message::Task(last)) }).await.is_err()
                    {
                        return LinkEnd::Lost("the stream to the coordinator is closed".to_owned());
                    }
                }
                _ = heartbeat.tick() => self.say(Message::Heartbeat(Heartbeat {})),
                () = shutdown.cancelled(), if leaving.is_none() => {
                    leaving = Some(tokio::time::Instant::now() + DRAIN_GRACE);
                    self.say(Message::Leaving(Leaving {}));
                    self.slots.stop_all("the worker is leaving");
                }
                () = overdue(leaving) => return LinkEnd::Drained,
            }
        }
    }

    /// A heartbeat that finds the queue full is not needed: the messages in front of it say the same.
    fn say(&self, message: Message) {
        if self.outbound.try_send(AgentMessage { message: Some(message) }).is_err() {
            tracing::debug!("message not queued: the coordinator's stream is full or gone");
        }
    }

    fn observe(&self, message: &AgentMessage) {
        let Some(Message::Task(event)) = &message.message else { return };
        let Some(slot) = self.slots.slot_of(&event.task) else { return };
        if let Some(Event::Progress(progress)) = &event.event {
            metrics::progress(slot, progress);
        }
    }
}

async fn overdue(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
