//! Random histories: whatever workers and tasks do, the rules hold, and every pipeline comes to an end once faults stop.
//!
//! The other side is a model of agents that obey the protocol but may be killed, fall silent, repeat themselves, fail, or
//! be slow. All choices come from one list of numbers, so that a failing history can be shrunk and replayed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use vismae_core::coordinator::Coordinator;
use vismae_core::device::Device;
use vismae_core::effect::{Answer, Command, Effects};
use vismae_core::event::{Event, Progress, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::ids::{JobId, SlotId, TaskId, WorkerId};
use vismae_core::job::JobState;
use vismae_core::spec::Demand;
use vismae_core::time::MonoTime;
use vismae_core::worker::{Arrival, Lease};

/// A process of the model, in the slot of an agent.
#[derive(Debug, Clone, Default)]
struct Process {
    ready: bool,
    joined: bool,
    told_to_stop: bool,
}

/// An agent of the model.
#[derive(Debug)]
struct Agent {
    lease: Lease,
    speaks: bool,
    slots: BTreeMap<u32, (TaskId, Process)>,
}

/// The coordinator, the agents, and everything that was observed.
struct World {
    core: Coordinator,
    now: MonoTime,
    agents: BTreeMap<WorkerId, Agent>,
    said: Vec<Event>,
    joined: u32,
    submitted: u32,
    over: BTreeMap<JobId, JobState>,
    generations: BTreeMap<JobId, u64>,
    /// What the core did, for tests that compare or search it.
    history: Option<String>,
}

impl World {
    fn new() -> Self {
        Self {
            core: Coordinator::new(LEASE),
            now: MonoTime::default(),
            agents: BTreeMap::new(),
            said: Vec::new(),
            joined: 0,
            submitted: 0,
            over: BTreeMap::new(),
            generations: BTreeMap::new(),
            history: None,
        }
    }

    /// One move of the world.
    fn act(&mut self, (what, which): (u8, u16)) {
        match what {
            0..=5 => self.join(which),
            6..=9 => self.submit(which),
            10 => self.cancel(which),
            11 => self.with_agent(which, |world, worker| {
                let agent = world.agents.remove(&worker).unwrap();
                world.say(Event::WorkerLost(agent.lease));
            }),
            12 => self.with_agent(which, |world, worker| world.agents.get_mut(&worker).unwrap().speaks = false),
            13 => self.with_agent(which, |world, worker| {
                let lease = world.agents[&worker].lease.clone();
                world.say(Event::WorkerLeaving(lease));
            }),
            14..=16 => self.repeat(which),
            17..=24 => self.pass(Duration::from_millis(u64::from(which % 3000))),
            25..=39 => self.live(which, false),
            40..=55 => self.live(which, true),
            _ => self.fail(which),
        }
    }

    fn join(&mut self, which: u16) {
        // Names are used again: newcomers may meet their own past.
        let worker = WorkerId::new(format!("w{}", self.joined % 5)).unwrap();
        self.joined += 1;
        let devices = vec![Device::Cpu; usize::from(which % 3) + 1];
        let arrival = Arrival { worker: worker.clone(), devices, host: "h".into(), version: "1".into() };
        let effects = self.say(Event::WorkerJoined(arrival));
        if let Some(Answer::Joined(Ok(_))) = effects {
            assert!(self.agents.contains_key(&worker));
        }
    }

    fn submit(&mut self, which: u16) {
        self.submitted += 1;
        let slots = u32::from(which % 3) + 1;
        let spec = pipeline(
            &format!("p{}", which % 4),
            vec![
                job("a", &[], ingest_by(u32::from(which % 5) + 1)),
                job("b", &["a"], pretrain(slots)),
                job("c", &["b"], finetune()),
                job("d", &["b", "a"], finetune()),
            ],
        );
        self.say(Event::SubmitPipeline { spec, request: None });
    }

    fn cancel(&mut self, which: u16) {
        let ids: Vec<_> = self.core.pipelines().map(|pipeline| pipeline.id.clone()).collect();
        if let Some(id) = pick(&ids, which) {
            self.say(Event::CancelPipeline { pipeline: id.clone() });
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
            Event::WorkerLost(lease) => self.agents.retain(|_, agent| agent.lease != *lease),
            _ => {}
        }
        self.say(event);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        let speaking: Vec<_> =
            self.agents.values().filter(|agent| agent.speaks).map(|agent| agent.lease.clone()).collect();
        for lease in speaking {
            self.say(Event::WorkerHeard(lease));
        }
        self.say(Event::Tick);
    }

    /// Some process does the next thing that a process does when all goes well.
    fn live(&mut self, which: u16, ends: bool) {
        let Some((lease, slot, task, process)) = self.process(which) else { return };
        let agent = self.agents.get_mut(&lease.worker).unwrap();
        let report = if process.told_to_stop {
            agent.slots.remove(&slot);
            TaskReport::Stopped
        } else if !process.ready {
            agent.slots.get_mut(&slot).unwrap().1.ready = true;
            TaskReport::Ready { store_address: Some(format!("{task}:1")) }
        } else if !process.joined {
            return;
        } else if ends {
            agent.slots.remove(&slot);
            TaskReport::Succeeded { figures: BTreeMap::from([("loss".into(), f64::from(which))]) }
        } else {
            TaskReport::Progress(Progress { done: u64::from(which), ..Progress::default() })
        };
        self.say(Event::Task { from: lease, task, report });
    }

    fn fail(&mut self, which: u16) {
        let Some((lease, slot, task, _)) = self.process(which) else { return };
        self.agents.get_mut(&lease.worker).unwrap().slots.remove(&slot);
        let report = match which % 8 {
            0 => TaskReport::Failed { cause: Cause::Input, message: "bad".into() },
            1..=3 => TaskReport::Failed { cause: Cause::Crash, message: "gone".into() },
            4 => TaskReport::Stopped,
            _ => TaskReport::Failed { cause: Cause::Environment, message: "net".into() },
        };
        self.say(Event::Task { from: lease, task, report });
    }

    /// A process of an agent that speaks.
    fn process(&self, which: u16) -> Option<(Lease, u32, TaskId, Process)> {
        let all: Vec<_> = self
            .agents
            .values()
            .filter(|agent| agent.speaks)
            .flat_map(|agent| agent.slots.iter().map(|(slot, held)| (agent.lease.clone(), *slot, held)))
            .collect();
        pick(&all, which).map(|(lease, slot, (task, process))| (lease.clone(), *slot, task.clone(), process.clone()))
    }

    /// Tells the core, carries its effects to the agents, and checks every rule.
    fn say(&mut self, event: Event) -> Option<Answer> {
        self.said.push(event.clone());
        let mut effects = Effects::default();
        let slots = match &event {
            Event::WorkerJoined(arrival) => arrival.devices.len() as u32,
            _ => 0,
        };
        self.core.handle(self.now, event, &mut effects);
        if let Some(history) = &mut self.history {
            history.push_str(&format!("{effects:?}\n"));
        }
        for close in &effects.close {
            self.agents.retain(|_, agent| agent.lease != close.lease);
        }
        if let Some(Answer::Joined(Ok(lease))) = &effects.answer {
            // The agent of an earlier stay under this name was given up.
            self.agents
                .insert(lease.worker.clone(), Agent { lease: lease.clone(), speaks: true, slots: BTreeMap::new() });
            assert!(slots > 0);
        }
        self.obey(&effects);
        self.check();
        effects.answer
    }

    fn obey(&mut self, effects: &Effects) {
        let mut begun: BTreeMap<(JobId, u32), u32> = BTreeMap::new();
        for dispatch in &effects.send {
            // A command may still be sent to a worker that was lost in the same breath.
            let agent = self.agents.get_mut(&dispatch.worker);
            match &dispatch.command {
                Command::Start(start) => {
                    let agent = agent.expect("a start goes to a worker that is here");
                    // Members of a crew need not meet.
                    let crew = matches!(start.job.kind.demand(), Demand::Crew { .. });
                    let process = Process { ready: crew, joined: crew, ..Process::default() };
                    let held = agent.slots.insert(start.slot, (dispatch.task.clone(), process));
                    assert!(held.is_none(), "slot {} of {} still runs {held:?}", start.slot, dispatch.worker);
                    *begun.entry((dispatch.task.job.clone(), start.gang_size)).or_default() += 1;
                }
                Command::Membership(membership) => {
                    let last = self.generations.entry(dispatch.task.job.clone()).or_default();
                    assert!(membership.generation.0 >= *last, "a generation went back");
                    *last = membership.generation.0;
                    assert!(membership.ranks.contains(&dispatch.task));
                    let agent = agent.expect("a membership goes to a worker that is here");
                    let (_, process) = agent.slots.values_mut().find(|(task, _)| *task == dispatch.task).unwrap();
                    assert!(process.ready && !process.joined, "{} joins once, when it is up", dispatch.task);
                    process.joined = true;
                }
                Command::Stop { .. } => {
                    let mut slots = agent.into_iter().flat_map(|agent| agent.slots.values_mut());
                    if let Some((_, process)) = slots.find(|(task, _)| *task == dispatch.task) {
                        process.told_to_stop = true;
                    }
                }
            }
        }
        for ((job, size), count) in begun {
            assert_eq!(count, size, "{job} was placed in part");
        }
    }

    fn check(&mut self) {
        let mut held: BTreeMap<SlotId, TaskId> = BTreeMap::new();
        for pipeline in self.core.pipelines() {
            for job in &pipeline.jobs {
                if let Some(before) = self.over.get(&job.id) {
                    assert_eq!(before, &job.state, "{} was over", job.id);
                }
                if job.state.is_over() {
                    self.over.insert(job.id.clone(), job.state.clone());
                }
                let Some(gang) = job.state.gang() else { continue };
                assert!(gang.size() >= job.demand().at_least());
                for (task, slot) in gang.live(&job.id) {
                    assert_eq!(held.insert(slot.clone(), task), None, "{slot} was given away twice");
                }
            }
        }
        let mut occupied = BTreeMap::new();
        for worker in self.core.workers() {
            occupied.extend(worker.slots().filter_map(|(id, slot)| Some((id, slot.task.clone()?))));
        }
        assert_eq!(held, occupied, "jobs and workers disagree about who runs what");
        assert!(self.core.next_deadline().is_none_or(|deadline| deadline > self.now), "something is overdue");
    }

    /// Faults stop: enough workers stay, and every process does what it should, until nothing is left to do.
    fn come_to_rest(&mut self) {
        for worker in self.agents.keys().cloned().collect::<Vec<_>>() {
            let agent = self.agents.remove(&worker).unwrap();
            self.say(Event::WorkerLost(agent.lease));
        }
        for worker in ["x", "y"] {
            let worker = WorkerId::new(worker).unwrap();
            let arrival = Arrival { worker, devices: vec![Device::Cpu; 2], host: "h".into(), version: "1".into() };
            self.say(Event::WorkerJoined(arrival));
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
        assert!(self.agents.values().all(|agent| agent.slots.is_empty()));
    }

    fn unfinished(&self) -> String {
        let jobs = self.core.pipelines().flat_map(|pipeline| &pipeline.jobs).filter(|job| !job.state.is_over());
        jobs.map(|job| format!("{}: {:?}\n", job.id, job.state)).collect()
    }
}

fn pick<T>(items: &[T], which: u16) -> Option<&T> {
    items.get(usize::from(which) % items.len().max(1))
}

fn play(mut world: World, moves: &[(u8, u16)]) -> World {
    for step in moves {
        world.act(*step);
    }
    world.come_to_rest();
    world
}

fn recorded(moves: &[(u8, u16)]) -> (World, String) {
    let mut world = play(World { history: Some(String::new()), ..World::new() }, moves);
    let history = world.history.take().unwrap_or_default();
    (world, history)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_the_rules_and_comes_to_an_end(moves in prop::collection::vec((0_u8..62, any::<u16>()), 0..250)) {
        play(World::new(), &moves);
    }

    #[test]
    fn one_list_of_moves_has_one_history(moves in prop::collection::vec((0_u8..62, any::<u16>()), 0..50)) {
        prop_assert_eq!(recorded(&moves).1, recorded(&moves).1);
    }
}

#[test]
fn the_histories_reach_what_they_are_meant_to_reach() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let moves = prop::collection::vec((0_u8..62, any::<u16>()), 250);
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let moves = moves.new_tree(&mut runner).unwrap().current();
        let (world, history) = recorded(&moves);
        for state in world.over.values() {
            let JobState::Over { outcome, .. } = state else { continue };
            let text = format!("{outcome:?}");
            seen.insert(text.split([' ', '(']).next().unwrap_or_default().to_owned());
        }
        for word in ["WorkerLeaves", "cause: WorkerLost", "Behind", "Capacity", "Backoff", "silent for"] {
            if history.contains(word) {
                seen.insert(word.to_owned());
            }
        }
    }
    let expected =
        ["Abandoned", "Backoff", "Cancelled", "Failed", "Succeeded", "WorkerLeaves", "cause: WorkerLost", "silent for"];
    for word in expected {
        assert!(seen.contains(word), "no history shows `{word}`: {seen:?}");
    }
}
