//! A coordinator core with virtual time, and short words for what happens to it.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

use std::collections::BTreeMap;
use std::time::Duration;

use vismae_core::coordinator::Coordinator;
use vismae_core::device::Device;
use vismae_core::effect::{
    Answer, Close, Command, Dispatch, Effects, JoinError, NamespaceError, PipelineError, Record, SubmitError,
    WorkerError,
};
use vismae_core::event::{Event, Progress, RequestId, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::ids::{CorpusName, Generation, JobName, NamespaceName, PipelineId, TaskId, WorkerId};
use vismae_core::job::Job;
use vismae_core::namespace::{Namespace, NamespaceChange, NamespaceUpdate};
use vismae_core::pace::{Pace, RankPace};
use vismae_core::spec::{
    CheckpointSpec, FinetuneSpec, FinetuneTask, Fit, IngestSpec, Initialisation, JobKind, JobSpec, Labels, ModelSpec,
    OptimiserSpec, PipelineSpec, Placement, PretrainSpec, Selection, Window, XrayRange,
};
use vismae_core::stall::{Phase, Stall};
use vismae_core::time::MonoTime;
use vismae_core::worker::{Arrival, HeldTask, Lease};

pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// A core and what it has asked for so far.
pub(crate) struct Cluster {
    pub(crate) core: Coordinator,
    pub(crate) now: MonoTime,
    pub(crate) leases: BTreeMap<String, Lease>,
    /// Commands that no test has looked at yet.
    pub(crate) sent: Vec<Dispatch>,
    /// Streams it wanted ended.
    pub(crate) closed: Vec<Close>,
    /// Everything that was to be kept.
    pub(crate) records: Vec<Record>,
    pub(crate) last: Effects,
    /// What the next workers that join are labelled with.
    pub(crate) labels: Labels,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            core: Coordinator::new(LEASE),
            now: MonoTime::default(),
            leases: BTreeMap::new(),
            sent: Vec::new(),
            closed: Vec::new(),
            records: Vec::new(),
            last: Effects::default(),
            labels: Labels::new(),
        }
    }

    pub(crate) fn handle(&mut self, event: Event) -> &Effects {
        let mut effects = Effects::default();
        self.core.handle(self.now, event, &mut effects);
        self.sent.extend(effects.send.iter().cloned());
        self.closed.extend(effects.close.iter().cloned());
        self.records.extend(effects.persist.iter().cloned());
        self.last = effects;
        &self.last
    }

    /// Lets time pass, with a heartbeat of every worker that has not been given up.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.now < end {
            self.now = self.now.after(Duration::from_secs(1)).min(end);
            for lease in self.leases.values().cloned().collect::<Vec<_>>() {
                self.handle(Event::WorkerHeard(lease));
            }
            self.handle(Event::Tick);
        }
    }

    pub(crate) fn try_submit(&mut self, spec: PipelineSpec, request: Option<u128>) -> Result<PipelineId, SubmitError> {
        match self.handle(Event::SubmitPipeline { spec, request: request.map(RequestId) }).answer.clone() {
            Some(Answer::Submitted(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn submit(&mut self, spec: PipelineSpec) -> PipelineId {
        self.try_submit(spec, None).unwrap()
    }

    pub(crate) fn cancel(&mut self, pipeline: &str) -> Result<(), PipelineError> {
        self.of_pipeline(Event::CancelPipeline { pipeline: PipelineId::new(pipeline).unwrap() })
    }

    pub(crate) fn suspend(&mut self, pipeline: &str) -> Result<(), PipelineError> {
        self.of_pipeline(Event::SuspendPipeline { pipeline: PipelineId::new(pipeline).unwrap() })
    }

    pub(crate) fn resume(&mut self, pipeline: &str) -> Result<(), PipelineError> {
        self.of_pipeline(Event::ResumePipeline { pipeline: PipelineId::new(pipeline).unwrap() })
    }

    fn of_pipeline(&mut self, event: Event) -> Result<(), PipelineError> {
        match self.handle(event).answer.clone() {
            Some(Answer::Pipeline(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Makes or changes a namespace.
    pub(crate) fn namespace(&mut self, name: &str, change: NamespaceChange) -> Result<Namespace, NamespaceError> {
        let name = NamespaceName::new(name).unwrap();
        match self
            .handle(Event::UpdateNamespace(NamespaceUpdate { name, change, create: true, revision: None }))
            .answer
            .clone()
        {
            Some(Answer::Namespace(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn try_join(&mut self, name: &str, slots: usize) -> Result<Lease, JoinError> {
        self.try_come_back(name, slots, Vec::new())
    }

    /// Joins with tasks of an earlier stay.
    pub(crate) fn come_back(&mut self, name: &str, slots: usize, tasks: Vec<HeldTask>) {
        let lease = self.try_come_back(name, slots, tasks).unwrap();
        self.leases.insert(name.to_owned(), lease);
    }

    fn try_come_back(&mut self, name: &str, slots: usize, tasks: Vec<HeldTask>) -> Result<Lease, JoinError> {
        let arrival = Arrival {
            worker: WorkerId::new(name).unwrap(),
            devices: vec![Device::Cpu; slots],
            labels: self.labels.clone(),
            host: "127.0.0.1".into(),
            version: "0.1.0".into(),
            tasks,
        };
        match self.handle(Event::WorkerJoined(arrival)).answer.clone() {
            Some(Answer::Joined(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn join(&mut self, name: &str, slots: usize) {
        let lease = self.try_join(name, slots).unwrap();
        self.leases.insert(name.to_owned(), lease);
    }

    /// An operator drains a worker, or lets it work again.
    pub(crate) fn drain(&mut self, worker: &str, undo: bool) -> Result<(), WorkerError> {
        let worker = WorkerId::new(worker).unwrap();
        let event = if undo { Event::UndrainWorker { worker } } else { Event::DrainWorker { worker } };
        match self.handle(event).answer.clone() {
            Some(Answer::Worker(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    /// The state of a worker in one word.
    pub(crate) fn worker(&self, name: &str) -> &'static str {
        self.core.worker(&WorkerId::new(name).unwrap()).map_or("unknown", |worker| worker.state.word())
    }

    /// The coordinator dies, and another one takes over what it has kept.
    pub(crate) fn restart(&mut self) {
        let mut kept: Vec<Record> = Vec::new();
        for record in &self.records {
            let (Record::Drained { worker, .. } | Record::Undrained { worker }) = record else {
                kept.push(record.clone());
                continue;
            };
            kept.retain(|kept| !matches!(kept, Record::Drained { worker: known, .. } if known == worker));
            kept.extend(matches!(record, Record::Drained { .. }).then(|| record.clone()));
        }
        self.core = Coordinator::restore(LEASE, self.now, kept);
        self.leases.clear();
    }

    /// The worker's stream ends.
    pub(crate) fn lose(&mut self, name: &str) {
        let lease = self.leases.remove(name).unwrap();
        self.handle(Event::WorkerLost(lease));
    }

    /// A report of a task, through the worker that holds it.
    pub(crate) fn report(&mut self, task: &str, report: TaskReport) {
        let id: TaskId = task.parse().unwrap();
        let worker = self.core.workers().find(|worker| worker.tasks().any(|held| *held == id));
        let from = worker.unwrap_or_else(|| panic!("nobody runs {task}")).lease.clone();
        self.handle(Event::Task { from, task: id, report });
    }

    pub(crate) fn ready(&mut self, task: &str) {
        self.report(task, TaskReport::Ready { store_address: Some(format!("host-of-{task}:1")) });
    }

    /// A task is so many steps further.
    pub(crate) fn progress(&mut self, task: &str, done: u64) {
        self.report(task, TaskReport::Progress(Progress { done, ..Progress::default() }));
    }

    /// A task has lost sight of its group, and has not met others.
    pub(crate) fn part(&mut self, task: &str, generation: u64, missing: &[&str]) {
        let missing = missing.iter().map(|task| task.parse().unwrap()).collect();
        let generation = Generation(generation);
        self.report(task, TaskReport::Parted { generation, missing, reason: "no answer".into() });
    }

    /// The ranks of the last membership that was sent, and whether it is urgent.
    pub(crate) fn membership(&self) -> (Vec<String>, bool) {
        let mut memberships = self.last.send.iter().filter_map(|dispatch| match &dispatch.command {
            Command::Membership(membership) => Some(membership),
            _ => None,
        });
        let membership = memberships.next_back().unwrap();
        (membership.ranks.iter().map(ToString::to_string).collect(), membership.urgent)
    }

    /// Whether a task was told of the last membership that it is urgent.
    pub(crate) fn is_urgent_for(&self, task: &str) -> bool {
        let mut told = self.last.send.iter().filter(|dispatch| dispatch.task.to_string() == task);
        let membership = told.find_map(|dispatch| match &dispatch.command {
            Command::Membership(membership) => Some(membership.urgent),
            _ => None,
        });
        membership.unwrap_or_else(|| panic!("{task} is no rank"))
    }

    /// Those of the running attempt of `demo.a`.
    pub(crate) fn setbacks(&self) -> u32 {
        self.job("demo.a").state.gang().unwrap().setbacks
    }

    /// Nothing is heard of a task, or something again.
    pub(crate) fn silence(&mut self, task: &str, over: bool) {
        self.report(task, TaskReport::Silence { over });
    }

    /// A rank says that it has been in one place of a step for so long, where 30 s would be usual.
    pub(crate) fn stall(&mut self, task: &str, generation: u64, (phase, step): (Phase, u64), seconds: u64) {
        let (time, bound) = (Duration::from_secs(seconds), Duration::from_secs(30));
        let collectives = step + u64::from(phase == Phase::Collective);
        let (generation, stall) = (Generation(generation), Stall { phase, step, collectives, time, bound });
        self.report(task, TaskReport::Stalled { generation, stall });
    }

    /// The first rank says what each of them took for its part of a step of two seconds, in a window.
    pub(crate) fn pace(&mut self, task: &str, generation: u64, own_seconds: &[f64]) {
        let ranks = own_seconds.iter().map(|&own_seconds| RankPace { own_seconds, share: 1.0 }).collect();
        let pace = Pace { generation: Generation(generation), step_seconds: 2.0, ranks };
        self.report(task, TaskReport::Paced(pace));
    }

    /// What was found about the running attempt of `demo.a`, the last of it last.
    pub(crate) fn notices(&self) -> Vec<String> {
        let gang = self.job("demo.a").state.gang().unwrap();
        gang.notices.iter().map(|notice| notice.finding.to_string()).collect()
    }

    pub(crate) fn succeed(&mut self, task: &str) {
        self.report(task, TaskReport::Succeeded { figures: BTreeMap::from([("loss".to_owned(), 0.5)]) });
    }

    pub(crate) fn fail(&mut self, task: &str, cause: Cause) {
        self.report(task, TaskReport::Failed { cause, message: format!("{cause} trouble") });
    }

    pub(crate) fn stopped(&mut self, task: &str) {
        self.report(task, TaskReport::Stopped);
    }

    /// What was sent since the last look, as `start demo.ingest/0/0 w0#0`.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        let words = |dispatch: Dispatch| match dispatch.command {
            Command::Start(start) => Some(format!("start {} {}#{}", dispatch.task, dispatch.worker, start.slot)),
            Command::Membership(membership) => Some(format!("join {} {}", dispatch.task, membership.generation)),
            Command::Stop { .. } => Some(format!("stop {}", dispatch.task)),
            // Every end is settled; the tests of restarts look at it.
            Command::Settle => None,
        };
        std::mem::take(&mut self.sent).into_iter().filter_map(words).collect()
    }

    pub(crate) fn job(&self, id: &str) -> &Job {
        self.core.job(&id.parse().unwrap()).unwrap_or_else(|| panic!("no job {id}"))
    }

    /// The state of a job in one word, and why.
    #[track_caller]
    pub(crate) fn expect(&self, job: &str, word: &str, reason: &str) {
        use vismae_core::job::{JobState, Outcome};
        let state = &self.job(job).state;
        let found = match state {
            JobState::Waiting(_) => "waiting",
            JobState::Running(_) => "running",
            JobState::Stopping { .. } => "stopping",
            JobState::Over { outcome: Outcome::Succeeded { .. }, .. } => "succeeded",
            JobState::Over { outcome: Outcome::Failed(_) | Outcome::Late { .. }, .. } => "failed",
            JobState::Over { outcome: Outcome::Cancelled | Outcome::Abandoned { .. }, .. } => "cancelled",
        };
        assert_eq!((found, state.to_string().as_str()), (word, reason), "{job}");
    }

    pub(crate) fn persisted_jobs(&self) -> Vec<String> {
        let job = |record: &Record| match record {
            Record::Job { job, .. } => Some(job.to_string()),
            _ => None,
        };
        self.last.persist.iter().filter_map(job).collect()
    }
}

pub(crate) fn corpus() -> CorpusName {
    CorpusName::new("phantom").unwrap()
}

pub(crate) fn ingest() -> JobKind {
    ingest_by(1)
}

pub(crate) fn ingest_by(workers: u32) -> JobKind {
    JobKind::Ingest(IngestSpec {
        corpus: corpus(),
        inputs: vec!["phantom".into()],
        image_size: 64,
        ct_windows: vec![Window { low: -160.0, high: 240.0 }],
        percentiles: Window { low: 0.5, high: 99.5 },
        xray_range: XrayRange::Voi,
        fit: Fit::Stretch,
        minimum_content: 0.02,
        workers,
    })
}

fn optimiser() -> OptimiserSpec {
    OptimiserSpec { learning_rate: 1e-3, weight_decay: 0.05, warmup_epochs: 0.0, clip_norm: None }
}

pub(crate) fn pretrain(slots: u32) -> JobKind {
    JobKind::Pretrain(PretrainSpec {
        corpus: corpus(),
        selection: Selection::default(),
        model: ModelSpec::tiny(),
        optimiser: optimiser(),
        epochs: 1,
        global_batch: 64,
        lanes: 8,
        slots,
        min_slots: slots,
        seed: 0,
        checkpoints: CheckpointSpec::default(),
        exclude_stragglers: false,
    })
}

/// A pre-training that goes on with `at_least` slots and can use `at_most`.
pub(crate) fn elastic(at_least: u32, at_most: u32) -> JobKind {
    match pretrain(at_most) {
        JobKind::Pretrain(spec) => JobKind::Pretrain(PretrainSpec { min_slots: at_least, ..spec }),
        other => other,
    }
}

pub(crate) fn finetune() -> JobKind {
    JobKind::Finetune(FinetuneSpec {
        label_fraction: 1.0,
        task: FinetuneTask::Classify,
        corpus: corpus(),
        selection: Selection::default(),
        model: ModelSpec::tiny(),
        initialisation: Initialisation::Random,
        optimiser: optimiser(),
        epochs: 1,
        batch: 32,
        seed: 0,
    })
}

pub(crate) fn job(name: &str, depends_on: &[&str], kind: JobKind) -> JobSpec {
    let depends_on = depends_on.iter().map(|needed| JobName::new(*needed).unwrap()).collect();
    JobSpec { name: JobName::new(name).unwrap(), depends_on, placement: Placement::default(), kind }
}

pub(crate) fn pipeline(name: &str, jobs: Vec<JobSpec>) -> PipelineSpec {
    PipelineSpec {
        name: PipelineId::new(name).unwrap(),
        store_url: "file:///store".into(),
        jobs,
        priority: 0,
        namespace: NamespaceName::default(),
        suspended: false,
        deadline: None,
    }
}

/// A pre-training on slots of three workers that goes on with `at_least`, and has begun.
pub(crate) fn training(at_least: u32, at_most: u32) -> Cluster {
    let mut cluster = gathered(at_least, at_most);
    cluster.progress("demo.a/0/0", 5);
    cluster
}

/// The same before its first step: all ranks are up.
pub(crate) fn gathered(at_least: u32, at_most: u32) -> Cluster {
    let mut cluster = Cluster::new();
    for worker in ["w0", "w1", "w2"] {
        cluster.join(worker, 1);
    }
    cluster.submit(pipeline("demo", vec![job("a", &[], elastic(at_least, at_most))]));
    for member in 0..at_most.min(3) {
        cluster.ready(&format!("demo.a/0/{member}"));
    }
    cluster.sent();
    cluster
}

/// Ingest, a pre-training of two, and two fine-tunes side by side.
pub(crate) fn demo() -> PipelineSpec {
    pipeline(
        "demo",
        vec![
            job("ingest", &[], ingest()),
            job("pretrain", &["ingest"], pretrain(2)),
            job("classify", &["pretrain"], finetune()),
            job("segment", &["pretrain"], finetune()),
        ],
    )
}
