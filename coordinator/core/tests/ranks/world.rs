//! Workers, and the ranks in their slots, second by second.

mod rank;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vismae_core::coordinator::Coordinator;
use vismae_core::effect::{Command, Membership};
use vismae_core::event::{Event, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::ids::TaskId;
use vismae_core::job::JobState;
use vismae_core::time::MonoTime;
use vismae_core::worker::HeldTask;

use crate::cluster::*;
use rank::Rank;

/// Steps of the whole run.
const STEPS: u64 = 30;
/// Seconds in which a run must get further once faults have stopped, and as many as four steps take: a gang waits for lost members for a
/// minute, newcomers wait as long for the others, and whoever stands still is killed only a while after it was told to stop.
const STALL_MAX: u32 = 150;

pub(crate) struct World {
    cluster: Cluster,
    /// By task, those that run.
    ranks: BTreeMap<TaskId, Rank>,
    /// Those whose machine is gone: their connections are open still.
    ghosts: BTreeSet<TaskId>,
    /// Who has come to which membership; the store does not forget it.
    arrived: BTreeSet<(u64, TaskId)>,
    /// Workers that have lost sight of the coordinator, with their slots.
    away: BTreeMap<String, usize>,
    slots: BTreeMap<String, usize>,
    workers: u32,
    /// Seconds that a step takes.
    step: u32,
    pub(crate) log: Vec<String>,
}

impl World {
    pub(crate) fn new(at_least: u32, at_most: u32, step: u32) -> Self {
        let mut cluster = Cluster::new();
        cluster.submit(pipeline("demo", vec![job("a", &[], elastic(at_least, at_most))]));
        let mut world = Self {
            cluster,
            ranks: BTreeMap::new(),
            ghosts: BTreeSet::new(),
            arrived: BTreeSet::new(),
            away: BTreeMap::new(),
            slots: BTreeMap::new(),
            workers: 0,
            step,
            log: Vec::new(),
        };
        for _ in 0..3 {
            world.join(2);
        }
        world
    }

    /// One move of the world.
    pub(crate) fn act(&mut self, what: u8, which: u16) {
        self.log.push(format!("{}: act {what} {which}", self.seconds()));
        match what {
            0..=2 => self.with_rank(which, |rank| rank.freeze(true)),
            3..=4 => self.with_rank(which, |rank| rank.freeze(false)),
            5 => self.with_rank(which, |rank| rank.is_deaf = !rank.is_deaf),
            6 => self.crash(which),
            7 => self.lose_worker(which),
            8 => self.send_away(which),
            9..=10 => self.call_back(),
            11 => self.restart(),
            12..=13 => self.join(usize::from(which % 2) + 1),
            14 => self.drain(which),
            15..=16 => self.with_rank(which, |rank| rank.hang(true)),
            17 => self.with_rank(which, |rank| rank.hang(false)),
            _ => {
                for _ in 0..which % 12 {
                    self.pass();
                }
            }
        }
    }

    /// Faults stop: who stood still goes on or does not, all can be reached, and there are enough workers.
    pub(crate) fn come_to_rest(&mut self) {
        self.call_back();
        for (number, rank) in self.ranks.values_mut().enumerate() {
            rank.is_deaf = false;
            // One that is loaded may take five minutes, and that one stands still its agent says only once: whoever has missed that would
            // wait for it.
            if number % 2 == 0 || !rank.is_up() || rank.is_missed {
                rank.freeze(false);
                rank.hang(false);
            }
        }
        for _ in 0..6 {
            self.join(1);
        }
        self.log.push("rest".into());
        let (mut furthest, mut stalled, mut hangs) = ((0, 0), 0, false);
        while !self.job_state().is_over() {
            let before = furthest;
            self.pass();
            furthest = furthest
                .max(self.ranks.iter().map(|(task, rank)| (task.attempt, rank.steps)).max().unwrap_or_default());
            stalled = if furthest > before { 0 } else { stalled + 1 };
            // Those for which nobody can be blamed are given up after ten times as long as one that others wait for.
            hangs = (hangs && stalled > 0) || self.ranks.values().any(Rank::is_stuck);
            assert!(
                stalled < STALL_MAX + 4 * self.step + if hangs { 10 } else { 1 } * self.bound(),
                "{}\n{:?}\n{:?}",
                self.log.join("\n"),
                self.job_state(),
                self.ranks
            );
        }
    }

    fn seconds(&self) -> u64 {
        self.cluster.now.since(MonoTime::default()).as_secs()
    }

    /// Seconds without a step after which a rank says that it does not get on.
    pub(crate) fn bound(&self) -> u32 {
        30.max(4 * self.step)
    }

    fn job_state(&self) -> &JobState {
        &self.cluster.job("demo.a").state
    }

    /// A second of everybody's time.
    fn pass(&mut self) {
        self.obey();
        for task in self.ranks.keys().cloned().collect::<Vec<_>>() {
            self.live(&task);
            self.obey();
        }
        self.cluster.pass(Duration::from_secs(1));
        self.obey();
        let silent: Vec<_> = self.cluster.closed.drain(..).map(|close| close.lease.worker.to_string()).collect();
        for worker in silent {
            self.cluster.leases.remove(&worker);
            self.away.extend(self.slots.get(&worker).map(|slots| (worker.clone(), *slots)));
        }
    }

    /// Carries commands to the ranks; what is sent to a worker that is away is lost.
    fn obey(&mut self) {
        for dispatch in std::mem::take(&mut self.cluster.sent) {
            let worker = dispatch.worker.to_string();
            if !self.cluster.leases.contains_key(&worker) {
                continue;
            }
            self.log.push(format!("{}: {} {}", self.seconds(), dispatch.task, describe(&dispatch.command)));
            match dispatch.command {
                Command::Start(start) => {
                    self.ranks.insert(dispatch.task, Rank::new(worker, start.slot));
                }
                Command::Membership(membership) => {
                    self.ranks.entry(dispatch.task).and_modify(|rank| rank.hear(membership));
                }
                Command::Stop { .. } => {
                    self.ranks.entry(dispatch.task).and_modify(|rank| rank.is_told_to_stop = true);
                }
                Command::Settle => {}
            }
        }
    }

    /// A rank says something, if its worker has somebody to pass it on to.
    fn say(&mut self, task: &TaskId, worker: &str, report: TaskReport) {
        self.log.push(format!("{}: {task} says {report:?}", self.seconds()));
        if let Some(from) = self.cluster.leases.get(worker).cloned() {
            self.cluster.handle(Event::Task { from, task: task.clone(), report });
        }
    }

    /// A rank ends, and its connections with it. Where nobody can be told, a later stay of its worker does without it.
    fn end(&mut self, task: &TaskId, report: TaskReport) {
        let Some(rank) = self.ranks.remove(task) else { return };
        self.say(task, &rank.worker, report);
    }

    fn with_rank(&mut self, which: u16, change: impl FnOnce(&mut Rank)) {
        let tasks: Vec<TaskId> = self.ranks.keys().cloned().collect();
        if let Some(task) = pick(&tasks, which) {
            self.ranks.entry(task.clone()).and_modify(change);
        }
    }

    fn crash(&mut self, which: u16) {
        let tasks: Vec<TaskId> = self.ranks.keys().cloned().collect();
        if let Some(task) = pick(&tasks, which) {
            self.end(task, TaskReport::Failed { cause: Cause::Crash, message: "gone".into() });
        }
    }

    fn join(&mut self, slots: usize) {
        let worker = format!("w{}", self.workers);
        self.workers += 1;
        self.cluster.join(&worker, slots);
        self.slots.insert(worker, slots);
        self.obey();
    }

    fn here(&self) -> Vec<String> {
        self.cluster.leases.keys().cloned().collect()
    }

    fn lose_worker(&mut self, which: u16) {
        let Some(worker) = pick(&self.here(), which).cloned() else { return };
        let tasks: Vec<_> =
            self.ranks.iter().filter(|(_, rank)| rank.worker == worker).map(|(task, _)| task.clone()).collect();
        for task in tasks {
            self.ranks.remove(&task);
            self.ghosts.insert(task);
        }
        self.slots.remove(&worker);
        self.cluster.lose(&worker);
        self.obey();
    }

    fn send_away(&mut self, which: u16) {
        let Some(worker) = pick(&self.here(), which).cloned() else { return };
        self.away.insert(worker.clone(), self.slots[&worker]);
        self.cluster.lose(&worker);
        self.obey();
    }

    /// All workers that are away find the coordinator, and say what they hold and that it is up.
    fn call_back(&mut self) {
        for (worker, slots) in std::mem::take(&mut self.away) {
            let held = self.ranks.iter().filter(|(_, rank)| rank.worker == worker);
            let held: Vec<_> = held.map(|(task, rank)| (task.clone(), rank.slot, rank.is_up())).collect();
            let tasks = held.iter().map(|(task, slot, _)| HeldTask { task: task.clone(), slot: *slot }).collect();
            self.cluster.come_back(&worker, slots, tasks);
            self.obey();
            self.ranks.values_mut().filter(|rank| rank.worker == worker).for_each(Rank::miss);
            for (task, ..) in held.iter().filter(|(.., is_up)| *is_up) {
                self.say(task, &worker, ready(task));
                self.obey();
            }
        }
    }

    fn restart(&mut self) {
        self.obey();
        self.cluster.core = Coordinator::restore(LEASE, self.cluster.now, self.cluster.records.clone());
        for worker in self.here() {
            self.away.insert(worker.clone(), self.slots[&worker]);
        }
        self.cluster.leases.clear();
        self.call_back();
    }

    fn drain(&mut self, which: u16) {
        let Some(worker) = pick(&self.here(), which).cloned() else { return };
        self.cluster.handle(Event::WorkerLeaving(self.cluster.leases[&worker].clone()));
        self.obey();
        for rank in self.ranks.values_mut().filter(|rank| rank.worker == worker) {
            rank.is_told_to_stop = true;
        }
    }
}

fn ready(task: &TaskId) -> TaskReport {
    TaskReport::Ready { store_address: Some(format!("{task}:1")) }
}

fn describe(command: &Command) -> String {
    match command {
        Command::Start(_) => "starts".into(),
        Command::Membership(Membership { generation, ranks, urgent, .. }) => {
            let ranks: Vec<u32> = ranks.iter().map(|rank| rank.member).collect();
            format!("joins {generation} of {ranks:?}{}", if *urgent { ", urgently" } else { "" })
        }
        Command::Stop { reason } => format!("stops: {reason}"),
        Command::Settle => "is settled".into(),
    }
}

fn pick<T>(items: &[T], which: u16) -> Option<&T> {
    items.get(usize::from(which) % items.len().max(1))
}
