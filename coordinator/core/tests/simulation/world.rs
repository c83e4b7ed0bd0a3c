//! The world that a coordinator lives in: agents, their processes, the disk that its records go to, and the rules.

mod processes;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vismae_core::coordinator::Coordinator;
use vismae_core::device::{Device, DeviceKind, PerKind};
use vismae_core::effect::{Answer, Command, Effects, Record};
use vismae_core::event::{Event, TaskReport};
use vismae_core::ids::{Generation, JobId, NamespaceName, TaskId, WorkerId};
use vismae_core::job::JobState;
use vismae_core::namespace::{Borrowing, NamespaceChange, NamespaceUpdate, Usage};
use vismae_core::spec::{Demand, Labels, PipelineSpec};
use vismae_core::time::MonoTime;
use vismae_core::worker::{Arrival, HeldTask, Lease};

use crate::cluster::*;

/// Whose pipelines there are: the slots of each, and what it may borrow. The largest gang fits into every one.
const NAMESPACES: [(&str, u32, Borrowing); 3] =
    [("default", 3, Borrowing::Unlimited), ("left", 2, Borrowing::UpTo(1)), ("right", 3, Borrowing::Never)];

/// A process of the model, in the slot of an agent.
#[derive(Debug, Clone, Default)]
struct Process {
    ready: bool,
    joined: bool,
    /// The last membership that it was told, for a member of a group.
    generation: Option<Generation>,
    told_to_stop: bool,
}

/// An agent of the model.
#[derive(Debug)]
struct Agent {
    /// None while it is cut off.
    lease: Option<Lease>,
    speaks: bool,
    devices: usize,
    slots: BTreeMap<u32, (TaskId, Process)>,
    /// Ends that nobody has taken in yet.
    unsettled: BTreeMap<TaskId, (u32, TaskReport)>,
}

/// How the coordinator dies while it handles an event.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Crash {
    BeforeRecords,
    AfterRecords,
}

/// The coordinator, the agents, and everything that was observed.
pub(crate) struct World {
    core: Coordinator,
    now: MonoTime,
    agents: BTreeMap<WorkerId, Agent>,
    said: Vec<Event>,
    /// How many names there are for workers.
    names: u32,
    joined: u32,
    submitted: u32,
    pub(crate) over: BTreeMap<JobId, JobState>,
    /// Jobs of which some process has said that it is done.
    done: BTreeSet<JobId>,
    generations: BTreeMap<JobId, u64>,
    /// What was kept: the latest record of each kind and key.
    records: BTreeMap<String, Record>,
    crash: Option<Crash>,
    /// Whether the last event can place gangs only as a whole.
    whole: bool,
    restarts: u32,
    /// What the core did, for tests that compare or search it.
    pub(crate) history: Option<String>,
}

impl World {
    /// A world in which workers of five names come and go.
    pub(crate) fn new() -> Self {
        Self::of(5, 0)
    }

    /// A world of so many names of workers, some of which are here.
    pub(crate) fn of(names: u32, here: u32) -> Self {
        let mut world = Self { names, ..Self::empty() };
        for (name, cpu, borrowing) in NAMESPACES {
            let quota = PerKind { cpu: Some(Some(cpu)), cuda: None };
            let change = NamespaceChange { quota, borrowing: Some(borrowing), max_pending: None };
            world.say(Event::UpdateNamespace(NamespaceUpdate {
                name: namespace(name),
                change,
                create: true,
                revision: None,
            }));
        }
        for number in 0..here {
            world.join(number as u16);
        }
        for number in 0..here / 4 {
            world.submit(number as u16);
        }
        world
    }

    fn empty() -> Self {
        Self {
            core: Coordinator::new(LEASE),
            now: MonoTime::default(),
            agents: BTreeMap::new(),
            said: Vec::new(),
            names: 0,
            joined: 0,
            submitted: 0,
            over: BTreeMap::new(),
            done: BTreeSet::new(),
            generations: BTreeMap::new(),
            records: BTreeMap::new(),
            crash: None,
            whole: true,
            restarts: 0,
            history: None,
        }
    }

    /// One move of the world.
    pub(crate) fn act(&mut self, (what, which): (u8, u16)) {
        match what {
            0..=5 => self.join(which),
            6..=9 => self.submit(which),
            10 => self.cancel(which),
            11 => self.with_agent(which, |world, worker| {
                let agent = world.agents.get_mut(&worker).unwrap();
                let lease = agent.lease.take();
                if which % 2 == 0 {
                    // Killed; else only cut off.
                    world.agents.remove(&worker);
                }
                if let Some(lease) = lease {
                    world.say(Event::WorkerLost(lease));
                }
            }),
            12 => self.with_agent(which, |world, worker| world.agents.get_mut(&worker).unwrap().speaks = false),
            13 => self.with_agent(which, |world, worker| {
                if let Some(lease) = world.agents[&worker].lease.clone() {
                    // An operator may have told it to.
                    if which % 2 == 0 {
                        world.say(Event::DrainWorker { worker: lease.worker.clone() });
                    }
                    world.say(Event::WorkerLeaving(lease));
                }
            }),
            14..=16 => self.repeat(which),
            17..=24 => self.pass(Duration::from_millis(u64::from(which % 3000))),
            25 => self.crash = Some(if which % 2 == 0 { Crash::BeforeRecords } else { Crash::AfterRecords }),
            26..=27 => self.come_back(which),
            28 => self.undrain(which),
            62 => self.suspend(which, true),
            63 => self.suspend(which, false),
            29..=39 => self.live(which, false),
            40..=43 => self.part(which),
            44..=55 => self.live(which, true),
            _ => self.fail(which),
        }
    }

    fn join(&mut self, which: u16) {
        // Names are used again: newcomers may meet their own past.
        let worker = WorkerId::new(format!("w{}", self.joined % self.names)).unwrap();
        self.joined += 1;
        if self.agents.get(&worker).is_some_and(|agent| agent.lease.is_none()) {
            // Whoever ran under this name was cut off, and is killed to make room.
            self.agents.remove(&worker);
        }
        self.arrive(worker, usize::from(which % 3) + 1, Vec::new());
    }

    fn arrive(&mut self, worker: WorkerId, slots: usize, tasks: Vec<HeldTask>) {
        let (devices, labels) = (vec![Device::Cpu; slots], Labels::new());
        self.say(Event::WorkerJoined(Arrival {
            worker,
            devices,
            labels,
            host: "h".into(),
            version: "1".into(),
            tasks,
        }));
    }

    /// An agent that was cut off finds the coordinator, and tells it again what may not have arrived.
    fn come_back(&mut self, which: u16) {
        let away = self.agents.iter().filter(|(_, agent)| agent.lease.is_none());
        let away: Vec<_> = away.map(|(worker, _)| worker.clone()).collect();
        let Some(worker) = pick(&away, which).cloned() else { return };
        let agent = &self.agents[&worker];
        let running = agent.slots.iter().map(|(slot, (task, _))| HeldTask { task: task.clone(), slot: *slot });
        let over = agent.unsettled.iter().map(|(task, (slot, _))| HeldTask { task: task.clone(), slot: *slot });
        let (held, devices) = (running.chain(over).collect(), agent.devices);
        self.arrive(worker.clone(), devices, held);
        let Some(agent) = self.agents.get(&worker) else { return };
        let ready = agent
            .slots
            .values()
            .filter(|(_, process)| process.ready)
            .map(|(task, _)| (task.clone(), TaskReport::Ready { store_address: Some(format!("{task}:1")) }));
        let ends = agent.unsettled.iter().map(|(task, (_, report))| (task.clone(), report.clone()));
        for (task, report) in ready.chain(ends).collect::<Vec<_>>() {
            let Some(from) = self.agents.get(&worker).and_then(|agent| agent.lease.clone()) else { return };
            self.say(Event::Task { from, task, report });
        }
    }

    /// The coordinator is gone; the next one has what was kept.
    fn restart(&mut self) {
        self.restarts += 1;
        // Streams end with the process that served them, and nothing comes out of them any more.
        self.said.clear();
        self.agents.values_mut().for_each(|agent| agent.lease = None);
        self.core = Coordinator::restore(LEASE, self.now, self.records.values().cloned());
        // What came due while there was no coordinator.
        self.say(Event::Tick);
    }

    fn keep(&mut self, record: &Record) {
        let key = match record {
            Record::Pipeline { spec, .. } => format!("pipeline {}", spec.name),
            Record::Cancelled { pipeline } => format!("cancelled {pipeline}"),
            Record::Suspended { pipeline, .. } => format!("suspended {pipeline}"),
            Record::Job { job, .. } => format!("job {job}"),
            Record::Generation { job, .. } => format!("generation {job}"),
            Record::Namespace(namespace) => format!("namespace {}", namespace.name),
            Record::NamespaceDeleted { namespace } => {
                self.records.remove(&format!("namespace {namespace}"));
                return;
            }
            Record::Drained { worker, .. } => format!("drained {worker}"),
            Record::Undrained { worker } => {
                self.records.remove(&format!("drained {worker}"));
                return;
            }
            Record::Forgotten { .. } => return,
        };
        self.records.insert(key, record.clone());
    }

    fn submit(&mut self, which: u16) {
        self.submitted += 1;
        let slots = u32::from(which % 3) + 1;
        let spec = pipeline(
            &format!("p{}", which % 4),
            vec![
                job("a", &[], ingest_by(u32::from(which % 5) + 1)),
                job("b", &["a"], elastic(u32::from(which / 27 % 3).min(slots - 1) + 1, slots)),
                job("c", &["b"], finetune()),
                job("d", &["b", "a"], finetune()),
            ],
        );
        let (name, ..) = NAMESPACES[usize::from(which / 9 % 3)];
        let spec = PipelineSpec {
            priority: i32::from(which / 3 % 3),
            namespace: namespace(name),
            suspended: which.is_multiple_of(11),
            deadline: which.is_multiple_of(7).then_some(Duration::from_secs(40)),
            ..spec
        };
        self.say(Event::SubmitPipeline { spec, request: None });
    }

    fn cancel(&mut self, which: u16) {
        let ids: Vec<_> = self.core.pipelines().map(|pipeline| pipeline.id.clone()).collect();
        if let Some(id) = pick(&ids, which) {
            self.say(Event::CancelPipeline { pipeline: id.clone() });
        }
    }

    fn suspend(&mut self, which: u16, suspended: bool) {
        let ids: Vec<_> = self.core.pipelines().map(|pipeline| pipeline.id.clone()).collect();
        let Some(pipeline) = pick(&ids, which).cloned() else { return };
        self.say(match suspended {
            true => Event::SuspendPipeline { pipeline },
            false => Event::ResumePipeline { pipeline },
        });
    }

    /// An operator lets some worker work again.
    fn undrain(&mut self, which: u16) {
        let drained: Vec<_> = self.records.values().filter_map(drained).cloned().collect();
        if let Some(worker) = pick(&drained, which).cloned() {
            self.say(Event::UndrainWorker { worker });
        }
    }

    fn with_agent(&mut self, which: u16, act: impl FnOnce(&mut Self, WorkerId)) {
        let workers: Vec<_> = self.agents.keys().cloned().collect();
        if let Some(worker) = pick(&workers, which) {
            act(self, worker.clone());
        }
    }

    /// Says something again that was said before, perhaps long ago.
    fn repeat(&mut self, which: u16) {
        let Some(event) = pick(&self.said, which).cloned() else { return };
        match &event {
            Event::WorkerJoined(_) | Event::SubmitPipeline { .. } => return,
            // The stream that a repeated loss speaks of has really ended.
            Event::WorkerLost(lease) => self.cut_off(lease),
            _ => {}
        }
        self.say(event);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        let speaking: Vec<_> =
            self.agents.values().filter(|agent| agent.speaks).filter_map(|agent| agent.lease.clone()).collect();
        for lease in speaking {
            self.say(Event::WorkerHeard(lease));
        }
        self.say(Event::Tick);
    }

    fn cut_off(&mut self, lease: &Lease) {
        let held = self.agents.values_mut().filter(|agent| agent.lease.as_ref() == Some(lease));
        held.for_each(|agent| agent.lease = None);
    }

    /// Tells the core, carries its effects to the agents, and checks every rule.
    fn say(&mut self, event: Event) -> Option<Answer> {
        self.said.push(event.clone());
        let mut effects = Effects::default();
        let arrival = match &event {
            Event::WorkerJoined(arrival) => Some(arrival.clone()),
            _ => None,
        };
        self.core.handle(self.now, event, &mut effects);
        if let Some(history) = &mut self.history {
            history.push_str(&format!("{effects:?}\n"));
        }
        let crash = self.crash.take();
        if crash != Some(Crash::BeforeRecords) {
            effects.persist.iter().for_each(|record| self.keep(record));
        }
        if crash.is_some() {
            self.restart();
            return None;
        }
        for close in &effects.close {
            self.cut_off(&close.lease);
        }
        if let (Some(Answer::Joined(Ok(lease))), Some(arrival)) = (&effects.answer, &arrival) {
            assert!(!arrival.devices.is_empty());
            let devices = arrival.devices.len();
            let newcomer =
                Agent { lease: None, speaks: true, devices, slots: BTreeMap::new(), unsettled: BTreeMap::new() };
            let agent = match arrival.tasks.is_empty() {
                // The agent of an earlier stay under this name was given up.
                true => self.agents.entry(lease.worker.clone()).insert_entry(newcomer).into_mut(),
                false => self.agents.get_mut(&lease.worker).unwrap(),
            };
            (agent.lease, agent.speaks) = (Some(lease.clone()), true);
        }
        self.whole = arrival.is_none();
        self.obey(&effects);
        self.check();
        effects.answer
    }

    fn obey(&mut self, effects: &Effects) {
        let mut begun: BTreeMap<JobId, u32> = BTreeMap::new();
        for dispatch in &effects.send {
            // A command may still be sent to a worker that was lost in the same breath.
            let agent = self.agents.get_mut(&dispatch.worker).filter(|agent| agent.lease.is_some());
            match &dispatch.command {
                Command::Start(start) => {
                    let agent = agent.expect("a start goes to a worker that is here");
                    let is_drained = self.records.values().filter_map(drained).any(|name| *name == dispatch.worker);
                    assert!(!is_drained, "{} starts on {}, which is drained", dispatch.task, dispatch.worker);
                    // Members of a crew need not meet.
                    let crew = matches!(start.job.kind.demand(), Demand::Crew { .. });
                    let process = Process { ready: crew, joined: crew, ..Process::default() };
                    let held = agent.slots.insert(start.slot, (dispatch.task.clone(), process));
                    assert!(held.is_none(), "slot {} of {} still runs {held:?}", start.slot, dispatch.worker);
                    *begun.entry(dispatch.task.job.clone()).or_default() += 1;
                }
                Command::Membership(membership) => {
                    let last = self.generations.entry(dispatch.task.job.clone()).or_default();
                    assert!(membership.generation.0 >= *last, "a generation went back");
                    *last = membership.generation.0;
                    assert!(membership.ranks.contains(&dispatch.task));
                    // One that has not come back since a restart is told when it does.
                    assert!(agent.is_some() || self.restarts > 0, "a membership goes to a worker that is here");
                    let Some(agent) = agent else { continue };
                    let held = agent.slots.values_mut().find(|(task, _)| *task == dispatch.task);
                    // One that was told again may have ended while there was no coordinator.
                    let ended = agent.unsettled.contains_key(&dispatch.task);
                    assert!(held.is_some() || ended, "{} is not here", dispatch.task);
                    if let Some((_, process)) = held {
                        assert!(process.ready, "{} joins when it is up", dispatch.task);
                        process.joined = true;
                        process.generation = Some(membership.generation);
                    }
                }
                Command::Settle => {
                    if let Some(agent) = agent {
                        agent.unsettled.remove(&dispatch.task);
                    }
                }
                Command::Stop { .. } => {
                    let mut slots = agent.into_iter().flat_map(|agent| agent.slots.values_mut());
                    if let Some((_, process)) = slots.find(|(task, _)| *task == dispatch.task) {
                        process.told_to_stop = true;
                    }
                }
            }
        }
        for name in begun.keys().filter_map(|job| Some(self.core.pipeline(&job.pipeline)?.namespace.clone())) {
            let used = self.core.usage()[&name].used.cpu;
            let most = self.core.namespace(&name).unwrap().limits.most(DeviceKind::Cpu);
            assert!(used <= most || !self.whole, "namespace {name} uses {used} of {most}");
        }
        // A worker that joins may only be told again what it missed.
        for (job, count) in begun.into_iter().filter(|_| self.whole) {
            // Only to a gang that has met can members come one by one.
            let gang = self.core.job(&job).and_then(|job| job.state.gang()).filter(|gang| gang.formation.is_none());
            assert!(gang.is_none_or(|gang| gang.size() == count), "{job} was placed in part");
        }
    }

    /// Faults stop: enough workers stay, and every process does what it should, until nothing is left to do.
    pub(crate) fn come_to_rest(&mut self) {
        self.crash = None;
        for worker in self.agents.keys().cloned().collect::<Vec<_>>() {
            if let Some(lease) = self.agents.remove(&worker).unwrap().lease {
                self.say(Event::WorkerLost(lease));
            }
        }
        for worker in ["x", "y"] {
            let worker = WorkerId::new(worker).unwrap();
            self.arrive(worker, 2, Vec::new());
        }
        let suspended = self.core.pipelines().filter(|pipeline| pipeline.suspended && !pipeline.is_over());
        for pipeline in suspended.map(|pipeline| pipeline.id.clone()).collect::<Vec<_>>() {
            self.say(Event::ResumePipeline { pipeline });
        }
        for round in 0.. {
            assert!(round < 10_000, "{}", self.unfinished());
            if self.core.pipelines().all(|pipeline| pipeline.is_over()) {
                break;
            }
            self.pass(Duration::from_millis(500));
            for which in 0..4 {
                self.live(which, true);
            }
        }
        assert!(self.core.workers().flat_map(|worker| worker.tasks()).next().is_none(), "a slot is still taken");
        for (name, usage) in self.core.usage() {
            assert_eq!(usage, Usage::default(), "namespace {name} still uses something");
        }
        assert!(self.agents.values().all(|agent| agent.slots.is_empty()));
    }

    fn unfinished(&self) -> String {
        let jobs = self.core.pipelines().flat_map(|pipeline| &pipeline.jobs).filter(|job| !job.state.is_over());
        jobs.map(|job| format!("{}: {:?}\n", job.id, job.state)).collect()
    }
}

/// The worker that a record says is drained.
fn drained(record: &Record) -> Option<&WorkerId> {
    match record {
        Record::Drained { worker, .. } => Some(worker),
        _ => None,
    }
}

fn namespace(name: &str) -> NamespaceName {
    NamespaceName::new(name).unwrap()
}

fn pick<T>(items: &[T], which: u16) -> Option<&T> {
    items.get(usize::from(which) % items.len().max(1))
}
