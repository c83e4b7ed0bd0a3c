//! Agents without tasks.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use vismae_proto::client::{Trust, connect_with};
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::agent_service_client::AgentServiceClient;
use vismae_proto::v1::{AgentMessage, CoordinatorMessage, Heartbeat, Hello};

use crate::identities::Identities;
use crate::{Outcome, process};

/// Connections opened at the same time.
const OPENING: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(60);
/// What a coordinator asks of its agents.
const BEAT: Duration = Duration::from_secs(1);

/// An agent that was let in.
pub(crate) struct Agent {
    pub(crate) outbound: mpsc::Sender<AgentMessage>,
    pub(crate) inbound: Streaming<CoordinatorMessage>,
}

impl Agent {
    /// Connects, and waits for the welcome.
    pub(crate) async fn attach(url: &str, trust: &Trust, name: String, slots: usize) -> Outcome<Self> {
        let (outbound, queue) = mpsc::channel(16);
        let hello = Hello {
            worker: name,
            devices: vec!["cpu".to_owned(); slots],
            host: "127.0.0.1".to_owned(),
            version: "0.1.0".to_owned(),
            ..Hello::default()
        };
        outbound.send(AgentMessage { message: Some(Message::Hello(hello)) }).await?;
        let channel = connect_with(url, trust, TIMEOUT).await?;
        let mut inbound = AgentServiceClient::new(channel).attach(ReceiverStream::new(queue)).await?.into_inner();
        inbound.message().await?.ok_or("the coordinator ended the stream")?;
        Ok(Self { outbound, inbound })
    }
}

/// What the coordinator spends while so many agents do nothing but live, each with a certificate of its own where there is an authority.
pub(crate) async fn heartbeats(
    (url, identities): (&str, Option<&Identities>),
    coordinator: u32,
    agents: usize,
    time: Duration,
) -> Outcome<Value> {
    let before = process::bytes(coordinator)?;
    let attaching = (0..agents).map(async |number| {
        let name = format!("w{number}");
        let trust = identities.map(|identities| identities.issue(&name)).transpose()?.unwrap_or_default();
        let agent = Agent::attach(url, &trust, name, 1).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(tokio::spawn(live(agent)))
    });
    let living: Vec<_> = stream::iter(attaching).buffer_unordered(OPENING).try_collect().await?;
    tokio::time::sleep(BEAT * 3).await;
    let spent = process::seconds(coordinator)?;
    tokio::time::sleep(time).await;
    let spent = process::seconds(coordinator)? - spent;
    let lost = living.iter().filter(|agent| agent.is_finished()).count();
    let held = process::bytes(coordinator)?;
    living.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(json!({
        "agents": agents,
        "lost": lost,
        "cores": spent / time.as_secs_f64(),
        "bytes": held,
        "bytes_before": before,
    }))
}

/// Says each second that it is alive; ends when the coordinator ends the stream.
async fn live(mut agent: Agent) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beat.tick() => {
                let heartbeat = AgentMessage { message: Some(Message::Heartbeat(Heartbeat {})) };
                if agent.outbound.send(heartbeat).await.is_err() {
                    return;
                }
            }
            message = agent.inbound.message() => if !matches!(message, Ok(Some(_))) { return },
        }
    }
}
