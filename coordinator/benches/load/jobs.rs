//! Users that submit, and an agent that takes what comes.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tonic::transport::Channel;
use vismae_proto::client::{Trust, connect};
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::job_service_client::JobServiceClient;
use vismae_proto::v1::task_command::Command;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{
    AgentMessage, IngestSpec, JobSpec, PipelineSpec, SubmitPipelineRequest, Succeeded, TaskEvent, Window,
    coordinator_message, job_spec,
};

use crate::agents::Agent;
use crate::{Outcome, process};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Connections of users, and submissions on their way on each.
const USERS: usize = 8;
const EACH: usize = 16;

/// A pipeline of one job, which nobody has to carry out.
pub(crate) fn request(name: &str) -> SubmitPipelineRequest {
    let ingest = IngestSpec {
        corpus: "phantom".into(),
        inputs: vec!["/data/phantom".into()],
        image_size: 64,
        percentiles: Some(Window { low: 0.5, high: 99.5 }),
        minimum_content: 0.02,
        ct_windows: vec![Window { low: -160.0, high: 240.0 }],
        workers: Some(1),
        ..IngestSpec::default()
    };
    let job = JobSpec { name: "ingest".into(), kind: Some(job_spec::Kind::Ingest(ingest)), ..JobSpec::default() };
    let spec = PipelineSpec {
        name: name.into(),
        store_url: "file:///store".into(),
        jobs: vec![job],
        ..PipelineSpec::default()
    };
    SubmitPipelineRequest { spec: Some(spec), ..SubmitPipelineRequest::default() }
}

async fn users(url: &str, count: usize) -> Outcome<Vec<JobServiceClient<Channel>>> {
    let connecting = (0..count).map(async |_| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(JobServiceClient::new(connect(url, TIMEOUT).await?))
    });
    stream::iter(connecting).buffered(count).try_collect().await
}

/// How long a submission takes until it is acknowledged.
async fn submit(mut user: JobServiceClient<Channel>, name: String) -> Outcome<Duration> {
    let began = Instant::now();
    user.submit_pipeline(request(&name)).await?;
    Ok(began.elapsed())
}

/// Submissions as fast as they are taken, with no worker to start any.
pub(crate) async fn admit(url: &str, coordinator: u32, pipelines: usize) -> Outcome<Value> {
    let users = users(url, USERS).await?;
    let (began, spent) = (Instant::now(), process::seconds(coordinator)?);
    let all = (0..pipelines).map(|number| submit(users[number % USERS].clone(), format!("admit-{number}")));
    let times: Vec<Duration> = stream::iter(all).buffer_unordered(USERS * EACH).try_collect().await?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(json!({
        "pipelines": pipelines,
        "per_second": pipelines as f64 / seconds,
        "cores": (process::seconds(coordinator)? - spent) / seconds,
        "bytes": process::bytes(coordinator)?,
        "latency": quantiles(times),
    }))
}

/// Submissions at a steady rate, whatever the last ones do.
pub(crate) async fn paced(url: &str, rate: u64, time: Duration) -> Outcome<Value> {
    let users = users(url, USERS).await?;
    let mut due = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate)?);
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..rate * time.as_secs() {
        due.tick().await;
        waiting.spawn(submit(users[number as usize % USERS].clone(), format!("paced-{number}")));
    }
    let times = waiting.join_all().await.into_iter().collect::<Outcome<Vec<_>>>()?;
    Ok(json!({ "rate": rate, "latency": quantiles(times) }))
}

/// From submissions to starts, each once the last one is over.
pub(crate) async fn start(url: &str, pipelines: usize) -> Outcome<Value> {
    let user = users(url, 1).await?.remove(0);
    let mut agent = Agent::attach(url, &Trust::default(), "starter".into(), 1).await?;
    let mut times = Vec::new();
    for number in 0..pipelines {
        let began = Instant::now();
        let submitted = tokio::spawn(submit(user.clone(), format!("start-{number}")));
        let task = loop {
            let message = agent.inbound.message().await?.ok_or("the coordinator ended the stream")?;
            if let Some(coordinator_message::Message::Task(command)) = message.message
                && matches!(command.command, Some(Command::Start(_)))
            {
                break command.task;
            }
        };
        times.push(began.elapsed());
        submitted.await??;
        let done = TaskEvent { task, event: Some(Event::Succeeded(Succeeded::default())) };
        agent.outbound.send(AgentMessage { message: Some(Message::Task(done)) }).await?;
    }
    Ok(json!({ "pipelines": pipelines, "latency": quantiles(times) }))
}

/// Submissions as fast as they are taken, which an agent with slots enough carries out at once: what the coordinator holds when the
/// first are forgotten, and in the end.
pub(crate) async fn turnover(url: &str, coordinator: u32, pipelines: usize, kept: usize) -> Outcome<Value> {
    let users = users(url, USERS).await?;
    let agent = Agent::attach(url, &Trust::default(), "turner".into(), USERS * EACH).await?;
    let working = tokio::spawn(succeed(agent));
    let began = Instant::now();
    let round = async |numbers: std::ops::Range<usize>| {
        let all = numbers.map(|number| submit(users[number % USERS].clone(), format!("turn-{number}")));
        stream::iter(all).buffer_unordered(USERS * EACH).try_for_each(async |_| Ok(())).await?;
        process::bytes(coordinator)
    };
    // A little beyond, so that some have been forgotten already.
    let full = kept + (pipelines - kept) / 5;
    let full = (full, round(0..full).await?);
    let whole = round(full.0..pipelines).await?;
    working.abort();
    let seconds = began.elapsed().as_secs_f64();
    Ok(json!({
        "pipelines": pipelines, "per_second": pipelines as f64 / seconds, "full": full.1, "whole": whole,
        "growth": whole / full.1 - 1.0,
    }))
}

/// Ends every task well as soon as it is told to start.
async fn succeed(mut agent: Agent) -> Outcome<()> {
    while let Some(message) = agent.inbound.message().await? {
        let Some(coordinator_message::Message::Task(command)) = message.message else { continue };
        if matches!(command.command, Some(Command::Start(_))) {
            let done = TaskEvent { task: command.task, event: Some(Event::Succeeded(Succeeded::default())) };
            agent.outbound.send(AgentMessage { message: Some(Message::Task(done)) }).await?;
        }
    }
    Ok(())
}

pub(crate) fn quantiles(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |share: f64| {
        let place = ((times.len().saturating_sub(1)) as f64 * share).round() as usize;
        times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0) })
}
