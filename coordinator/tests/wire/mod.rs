//! A coordinator on loopback, and an agent and a user that speak nothing but the protocol.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use vismae_coordinator::server::{Config, Running, serve};
use vismae_core::ids::{CorpusName, JobName, NamespaceName, PipelineId};
use vismae_core::spec::{
    CheckpointSpec, FinetuneSpec, FinetuneTask, Fit, IngestSpec, Initialisation, JobKind, JobSpec, ModelSpec,
    OptimiserSpec, PipelineSpec, Placement, PretrainSpec, Selection, Window, XrayRange,
};
use vismae_proto::convert::pipeline_to_wire;
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::agent_service_client::AgentServiceClient;
use vismae_proto::v1::job_service_client::JobServiceClient;
use vismae_proto::v1::task_command::Command;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::worker_service_client::WorkerServiceClient;
use vismae_proto::v1::{
    AgentMessage, CoordinatorMessage, Heartbeat, HeldTask, Hello, Pipeline, Ready, State, SubmitPipelineRequest,
    Succeeded, TaskCommand, TaskEvent, WatchPipelineRequest, Welcome, coordinator_message,
};

/// Longer than anything that works takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A coordinator that ends with its test.
pub(crate) struct Coordinator {
    pub(crate) running: Running,
    pub(crate) channel: Channel,
    pub(crate) shutdown: CancellationToken,
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        Self::with_lease(PATIENCE).await
    }

    pub(crate) async fn with_lease(lease: Duration) -> Self {
        let shutdown = CancellationToken::new();
        let config = Config { lease, ..Config::new(any_port()) };
        Self::of(serve(config, None, shutdown.clone()).await.unwrap(), shutdown).await
    }

    pub(crate) async fn of(running: Running, shutdown: CancellationToken) -> Self {
        let channel = vismae_proto::client::connect(&running.url(), PATIENCE).await.unwrap();
        Self { running, channel, shutdown }
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    pub(crate) fn workers(&self) -> WorkerServiceClient<Channel> {
        WorkerServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn submit(&self, spec: &PipelineSpec) -> Pipeline {
        let request = SubmitPipelineRequest { spec: Some(pipeline_to_wire(spec)), ..Default::default() };
        self.jobs().submit_pipeline(request).await.unwrap().into_inner()
    }

    pub(crate) async fn watch(&self, name: &str) -> Watch {
        self.watch_from(name, "").await
    }

    pub(crate) async fn watch_from(&self, name: &str, cursor: &str) -> Watch {
        let request = WatchPipelineRequest { name: name.to_owned(), cursor: cursor.to_owned() };
        Watch { stream: self.jobs().watch_pipeline(request).await.unwrap().into_inner() }
    }

    /// Ends it, and checks that it ends well and in time.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        in_time(self.running.ended()).await.unwrap();
    }
}

/// A stream of a pipeline's changes.
pub(crate) struct Watch {
    stream: Streaming<Pipeline>,
}

impl Watch {
    /// The next view that shows a job in a state.
    pub(crate) async fn until(&mut self, job: &str, state: State) -> Pipeline {
        loop {
            let view = in_time(self.stream.message()).await.unwrap().expect("the pipeline goes on");
            if view.jobs.iter().any(|other| other.name == job && other.state() == state) {
                return view;
            }
        }
    }

    /// The last view, after which the stream ends.
    pub(crate) async fn last(mut self) -> Pipeline {
        let mut last = None;
        while let Some(view) = in_time(self.stream.message()).await.unwrap() {
            last = Some(view);
        }
        last.expect("at least one view")
    }

    pub(crate) async fn message(&mut self) -> Result<Option<Pipeline>, Status> {
        in_time(self.stream.message()).await
    }
}

/// An agent that does what the test says.
pub(crate) struct Agent {
    outbound: mpsc::Sender<AgentMessage>,
    inbound: Streaming<CoordinatorMessage>,
}

impl Agent {
    /// Opens a stream with any first message.
    pub(crate) async fn open(coordinator: &Coordinator, first: Message) -> Self {
        let (outbound, queue) = mpsc::channel(16);
        outbound.send(AgentMessage { message: Some(first) }).await.unwrap();
        let mut client = AgentServiceClient::new(coordinator.channel.clone());
        let inbound = in_time(client.attach(ReceiverStream::new(queue))).await.unwrap().into_inner();
        Self { outbound, inbound }
    }

    pub(crate) async fn hello(coordinator: &Coordinator, name: &str, slots: usize) -> Self {
        Self::open(coordinator, Message::Hello(offer(name, slots))).await
    }

    /// Comes back with tasks of an earlier stay, as (task, slot).
    pub(crate) async fn come_back(coordinator: &Coordinator, name: &str, slots: usize, tasks: &[(&str, u32)]) -> Self {
        let held = |&(task, slot): &(&str, u32)| HeldTask { task: task.to_owned(), slot };
        let tasks = tasks.iter().map(held).collect();
        let mut agent = Self::open(coordinator, Message::Hello(Hello { tasks, ..offer(name, slots) })).await;
        agent.welcome().await;
        agent
    }

    /// Attaches and is let in.
    pub(crate) async fn attach(coordinator: &Coordinator, name: &str, slots: usize) -> Self {
        let mut agent = Self::hello(coordinator, name, slots).await;
        agent.welcome().await;
        agent
    }

    pub(crate) async fn welcome(&mut self) -> Welcome {
        match self.hear().await {
            Ok(Some(coordinator_message::Message::Welcome(welcome))) => welcome,
            other => panic!("expected a welcome, got {other:?}"),
        }
    }

    pub(crate) async fn hear(&mut self) -> Result<Option<coordinator_message::Message>, Status> {
        let message = in_time(self.inbound.message()).await?;
        Ok(message.and_then(|message| message.message))
    }

    /// The next command but for those that settle an end, and the task it is for.
    pub(crate) async fn command(&mut self) -> (String, Command) {
        loop {
            match self.any_command().await {
                (_, Command::Settle(_)) => {}
                other => return other,
            }
        }
    }

    /// The next command and the task it is for.
    pub(crate) async fn any_command(&mut self) -> (String, Command) {
        match self.hear().await {
            Ok(Some(coordinator_message::Message::Task(TaskCommand { task, command: Some(command) }))) => {
                (task, command)
            }
            other => panic!("expected a command, got {other:?}"),
        }
    }

    /// The task that is to start.
    pub(crate) async fn started(&mut self) -> String {
        match self.command().await {
            (task, Command::Start(_)) => task,
            other => panic!("expected a start, got {other:?}"),
        }
    }

    pub(crate) async fn say(&self, message: Message) {
        self.outbound.send(AgentMessage { message: Some(message) }).await.unwrap();
    }

    pub(crate) async fn heartbeat(&self) {
        self.say(Message::Heartbeat(Heartbeat {})).await;
    }

    pub(crate) async fn report(&self, task: &str, event: Event) {
        self.say(Message::Task(TaskEvent { task: task.to_owned(), event: Some(event) })).await;
    }

    pub(crate) async fn ready(&self, task: &str) {
        self.report(task, Event::Ready(Ready { store_address: format!("{task}:1") })).await;
    }

    pub(crate) async fn succeed(&self, task: &str, figures: &[(&str, f64)]) {
        let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        self.report(task, Event::Succeeded(Succeeded { figures })).await;
    }
}

/// Nothing may hang.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

fn corpus() -> CorpusName {
    CorpusName::new("phantom").unwrap()
}

fn optimiser() -> OptimiserSpec {
    OptimiserSpec { learning_rate: 1e-3, weight_decay: 0.05, warmup_epochs: 0.0, clip_norm: None }
}

fn job(name: &str, depends_on: &[&str], kind: JobKind) -> JobSpec {
    let depends_on = depends_on.iter().map(|needed| JobName::new(*needed).unwrap()).collect();
    JobSpec { name: JobName::new(name).unwrap(), depends_on, placement: Placement::default(), kind }
}

fn ingest() -> JobSpec {
    let spec = IngestSpec {
        corpus: corpus(),
        inputs: vec!["phantom".into()],
        image_size: 64,
        ct_windows: vec![Window { low: -160.0, high: 240.0 }],
        percentiles: Window { low: 0.5, high: 99.5 },
        xray_range: XrayRange::Voi,
        fit: Fit::Stretch,
        minimum_content: 0.02,
        workers: 1,
    };
    job("ingest", &[], JobKind::Ingest(spec))
}

fn pretrain() -> JobSpec {
    let spec = PretrainSpec {
        corpus: corpus(),
        selection: Selection::default(),
        model: ModelSpec::tiny(),
        optimiser: optimiser(),
        epochs: 1,
        global_batch: 64,
        lanes: 8,
        slots: 2,
        min_slots: 2,
        seed: 0,
        checkpoints: CheckpointSpec::default(),
        exclude_stragglers: false,
    };
    job("pretrain", &["ingest"], JobKind::Pretrain(spec))
}

fn classify() -> JobSpec {
    let spec = FinetuneSpec {
        label_fraction: 1.0,
        task: FinetuneTask::Classify,
        corpus: corpus(),
        selection: Selection::default(),
        model: ModelSpec::tiny(),
        initialisation: Initialisation::Pretrained(JobName::new("pretrain").unwrap()),
        optimiser: optimiser(),
        epochs: 1,
        batch: 32,
        seed: 0,
    };
    job("classify", &["pretrain"], JobKind::Finetune(spec))
}

fn named(jobs: Vec<JobSpec>) -> PipelineSpec {
    PipelineSpec {
        name: PipelineId::new("demo").unwrap(),
        store_url: "file:///store".into(),
        jobs,
        priority: 0,
        namespace: NamespaceName::default(),
        suspended: false,
        deadline: None,
    }
}

/// One ingest.
pub(crate) fn single() -> PipelineSpec {
    named(vec![ingest()])
}

/// An ingest, a pre-training of two, and a fine-tune, in a row.
pub(crate) fn demo() -> PipelineSpec {
    named(vec![ingest(), pretrain(), classify()])
}

fn offer(name: &str, slots: usize) -> Hello {
    Hello {
        worker: name.to_owned(),
        devices: vec!["cpu".to_owned(); slots],
        host: "127.0.0.1".to_owned(),
        version: "0.1.0".to_owned(),
        ..Hello::default()
    }
}
