//! Who runs next, over whole histories: nobody overtakes, nobody waits for ever, and nothing stops or moves but for a reason.
//!
//! Jobs of many sizes and priorities come, end and are stopped, workers come and go; after every event the rules are checked from what
//! the coordinator shows, by plain counting. How tasks fail and coordinators die is the matter of the simulation.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

mod cluster;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::*;
use proptest::prelude::*;
use vismae_core::device::{DeviceKind, PerKind};
use vismae_core::effect::{Effects, Fact};
use vismae_core::event::Event;
use vismae_core::gang::{Member, MemberState};
use vismae_core::ids::{JobId, NamespaceName, SlotId};
use vismae_core::job::{Job, JobState, StopReason};
use vismae_core::namespace::{Borrowing, NamespaceChange};
use vismae_core::pipeline::Pipeline;
use vismae_core::reason::Reason;
use vismae_core::spec::PipelineSpec;
use vismae_core::worker::WorkerState;

/// Some of which have limits.
const TEAMS: [(&str, Option<u32>, Borrowing); 3] = [
    ("default", Some(2), Borrowing::Unlimited),
    ("left", Some(2), Borrowing::UpTo(1)),
    ("right", None, Borrowing::Never),
];

/// A cluster, and what it looked like before the last event.
struct World {
    cluster: Cluster,
    submitted: u32,
    joined: u32,
    /// Whether its namespaces have limits; there is only one where they have not.
    limits: bool,
    seats: BTreeMap<JobId, BTreeMap<u32, SlotId>>,
    used: BTreeMap<NamespaceName, u32>,
    /// Jobs that others were stopping for.
    owed: BTreeSet<JobId>,
}

impl World {
    fn new(limits: bool, slots: &[usize]) -> Self {
        let (seats, used, owed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut world = Self { cluster: Cluster::new(), submitted: 0, joined: 0, limits, seats, used, owed };
        for (name, quota, borrowing) in TEAMS.into_iter().filter(|_| limits) {
            let quota = PerKind { cpu: Some(quota), cuda: None };
            let change = NamespaceChange { quota, borrowing: Some(borrowing), max_pending: None };
            world.cluster.namespace(name, change).unwrap();
        }
        for count in slots {
            world.join(*count);
        }
        world
    }

    fn act(&mut self, (what, which): (u8, u16)) {
        match what {
            0..=3 => {
                let size = u32::from(which % 4) + 1;
                let at_least = if which.is_multiple_of(5) { 1 } else { size };
                drop(self.submit((at_least, size), i32::from(which / 4 % 3), TEAMS[usize::from(which / 12 % 3)].0));
            }
            4 | 5 => drop(self.end(which)),
            6 | 7 => drop(self.stop(which)),
            8 => self.join(usize::from(which % 3) + 1),
            9 if which.is_multiple_of(3) => self.lose(which),
            _ => self.pass(which),
        }
    }

    fn submit(&mut self, (at_least, at_most): (u32, u32), priority: i32, team: &str) -> JobId {
        self.submitted += 1;
        let jobs = vec![job("a", &[], elastic(at_least, at_most))];
        let namespace = NamespaceName::new(if self.limits { team } else { "default" }).unwrap();
        let spec = PipelineSpec { priority, namespace, ..pipeline(&format!("p{}", self.submitted), jobs) };
        self.seen(|cluster| drop(cluster.submit(spec)));
        format!("p{}.a", self.submitted).parse().unwrap()
    }

    fn join(&mut self, slots: usize) {
        self.joined += 1;
        let name = format!("w{}", self.joined);
        self.seen(|cluster| cluster.join(&name, slots));
    }

    fn lose(&mut self, which: u16) {
        let here: Vec<String> = self.cluster.leases.keys().cloned().collect();
        if let Some(name) = pick(&here, which) {
            self.seen(|cluster| cluster.lose(name));
        }
    }

    fn pass(&mut self, which: u16) {
        self.seen(|cluster| {
            for lease in cluster.leases.values().cloned().collect::<Vec<_>>() {
                cluster.handle(Event::WorkerHeard(lease));
            }
            cluster.now = cluster.now.after(Duration::from_millis(u64::from(which % 2000)));
            cluster.handle(Event::Tick);
        });
    }

    /// Some job that runs is done. Says whether there was one.
    fn end(&mut self, which: u16) -> bool {
        let running: Vec<JobId> = self.of(|job| matches!(job.state, JobState::Running(_)));
        let Some(job) = pick(&running, which) else { return false };
        for task in self.tasks(job, |_| true) {
            self.seen(|cluster| cluster.succeed(&task));
        }
        true
    }

    /// The tasks of some job that were told to stop have. Says whether there was one.
    fn stop(&mut self, which: u16) -> bool {
        let is_told = |job: &Job| match &job.state {
            JobState::Stopping { .. } => true,
            JobState::Running(gang) => gang.members.values().any(is_leaving),
            _ => false,
        };
        let told = self.of(is_told);
        let Some(id) = pick(&told, which) else { return false };
        let is_whole = matches!(self.job(id).state, JobState::Stopping { .. });
        for task in self.tasks(id, |member| is_whole || is_leaving(member)) {
            self.seen(|cluster| cluster.stopped(&task));
        }
        true
    }

    fn job(&self, id: &JobId) -> &Job {
        self.cluster.core.job(id).unwrap()
    }

    fn all(&self) -> impl Iterator<Item = (&Pipeline, &Job)> {
        self.cluster.core.pipelines().map(|pipeline| (pipeline, &pipeline.jobs[0]))
    }

    fn of(&self, wanted: impl Fn(&Job) -> bool) -> Vec<JobId> {
        self.all().filter(|(_, job)| wanted(job)).map(|(_, job)| job.id.clone()).collect()
    }

    fn tasks(&self, id: &JobId, wanted: impl Fn(&Member) -> bool) -> Vec<String> {
        let gang = self.job(id).state.gang().unwrap();
        let live = gang.members.iter().filter(|(_, member)| member.is_live() && wanted(member));
        live.map(|(number, _)| gang.task(id, *number).to_string()).collect()
    }

    /// Lets something happen, and checks every rule.
    fn seen(&mut self, happens: impl FnOnce(&mut Cluster)) {
        happens(&mut self.cluster);
        let effects = self.cluster.last.clone();
        self.check_that_nobody_overtakes(&effects);
        self.check_that_gangs_are_whole_and_within_quota();
        self.check_that_nothing_moves_without_a_reason(&effects);
        self.check_that_no_more_is_stopped_than_it_takes(&effects);
        let seats = |job: &Job| -> Option<BTreeMap<u32, SlotId>> {
            let JobState::Running(gang) = &job.state else { return None };
            Some(gang.members.iter().map(|(number, member)| (*number, member.slot.clone())).collect())
        };
        self.seats = self.all().filter_map(|(_, job)| Some((job.id.clone(), seats(job)?))).collect();
        self.used = self.cluster.core.usage().into_iter().map(|(name, usage)| (name, usage.used.cpu)).collect();
        let by = |job: &Job| -> Vec<JobId> {
            match &job.state {
                JobState::Stopping {
                    why: StopReason::Preempted { by, .. } | StopReason::Reclaimed { by, .. }, ..
                } => vec![by.clone()],
                JobState::Running(gang) => gang.members.values().filter_map(leaves_for).cloned().collect(),
                _ => Vec::new(),
            }
        };
        self.owed = self.all().flat_map(|(_, job)| by(job)).collect();
        // Nothing has changed since, so nothing is decided. The numbers of a reason may have: others have started since it was found.
        let Effects { persist, close, send, .. } = self.cluster.handle(Event::Tick).clone();
        assert!(persist.is_empty() && close.is_empty() && send.is_empty(), "{persist:?} {close:?} {send:?}");
        assert_eq!(*self.cluster.handle(Event::Tick), Effects::default());
    }

    /// Whoever starts has no job before it in its namespace that waits for slots or quota which it could ever have. Only what others were
    /// stopped for has its slots though one that came since, and has to borrow, would go before it.
    fn check_that_nobody_overtakes(&self, effects: &Effects) {
        let started: BTreeSet<&JobId> = effects
            .facts
            .iter()
            .filter_map(|fact| match fact {
                Fact::JobStarted { job, .. } => Some(job),
                _ => None,
            })
            .collect();
        let waits = |job: &Job| match &job.state {
            JobState::Waiting(Reason::Quota { needed, limit, .. }) => needed <= limit,
            JobState::Waiting(reason) => {
                matches!(reason, Reason::Slots { .. } | Reason::Behind { .. } | Reason::Queued)
            }
            _ => false,
        };
        let turn = |pipeline: &Pipeline| (Reverse(pipeline.priority), pipeline.number);
        for (pipeline, job) in self.all().filter(|(_, job)| started.contains(&job.id)) {
            let passed = self.all().find(|(other, passed)| {
                let borrows = || {
                    let used = self.used.get(&other.namespace).copied().unwrap_or_default();
                    passed.demand().at_least() + used > self.nominal(&other.namespace)
                };
                let is_before = other.namespace == pipeline.namespace && turn(other) < turn(pipeline);
                is_before && waits(passed) && !(self.owed.contains(&job.id) && borrows())
            });
            assert!(passed.is_none(), "{} starts before {:?}", job.id, passed.map(|(_, job)| (&job.id, &job.state)));
        }
    }

    fn check_that_gangs_are_whole_and_within_quota(&self) {
        for (_, job) in self.all() {
            let JobState::Running(gang) = &job.state else { continue };
            let (members, at_least) = (gang.members.len() as u32, job.demand().at_least());
            assert!(members >= at_least || gang.short.is_some(), "{} runs with {members} of {at_least}", job.id);
        }
        for (name, usage) in self.cluster.core.usage() {
            let most = self.cluster.core.namespace(&name).unwrap().limits.most(DeviceKind::Cpu);
            assert!(usage.used.cpu <= most, "{name} uses {} of {most}", usage.used.cpu);
        }
    }

    /// Gangs stay where they are, and stop for nobody but a job of higher priority in their namespace, or one within its own quota where
    /// theirs is exceeded.
    fn check_that_nothing_moves_without_a_reason(&self, effects: &Effects) {
        for (pipeline, job) in self.all() {
            let Some(before) = self.seats.get(&job.id) else { continue };
            let Some(gang) = job.state.gang() else { continue };
            for (number, member) in &gang.members {
                assert_eq!(before.get(number).unwrap_or(&member.slot), &member.slot, "{} has moved", job.id);
            }
            let evicted = effects
                .facts
                .iter()
                .any(|fact| matches!(fact, Fact::JobEvicted { job: other, .. } if *other == job.id));
            let JobState::Stopping { why, .. } = &job.state else {
                assert!(!evicted, "{} is evicted, and goes on", job.id);
                continue;
            };
            let of = |by: &JobId| {
                assert!(matches!(self.job(by).state, JobState::Waiting(_)), "{by} does not wait");
                self.cluster.core.pipeline(&by.pipeline).unwrap()
            };
            match why {
                StopReason::Preempted { by, .. } => {
                    let winner = of(by);
                    assert!(winner.namespace == pipeline.namespace && winner.priority > pipeline.priority, "{why}");
                }
                StopReason::Reclaimed { by, .. } => {
                    let winner = of(by);
                    assert_ne!(winner.namespace, pipeline.namespace, "{why}");
                    assert!(
                        self.used[&pipeline.namespace] > self.nominal(&pipeline.namespace),
                        "{why}: nothing is borrowed"
                    );
                    assert!(
                        self.job(by).demand().at_least() <= self.nominal(&winner.namespace),
                        "{why}: it is not its own"
                    );
                }
                other => assert!(matches!(other, StopReason::Failed(_)), "{} stops, because {other}", job.id),
            }
        }
    }

    fn nominal(&self, name: &NamespaceName) -> u32 {
        self.cluster.core.namespace(name).unwrap().limits.nominal(DeviceKind::Cpu)
    }

    /// Where slots are all that is short: leave out any one that was stopped, and the job for which they were would not have its own.
    fn check_that_no_more_is_stopped_than_it_takes(&self, effects: &Effects) {
        if self.limits {
            return;
        }
        let mut stopped: BTreeMap<&JobId, Vec<u32>> = BTreeMap::new();
        for fact in &effects.facts {
            match fact {
                Fact::JobEvicted { job, by, .. } => {
                    let held = self.usable(|id, _| id == job);
                    stopped.entry(by).or_default().push(held);
                }
                Fact::MemberReleased { by, .. } => stopped.entry(by).or_default().push(1),
                _ => {}
            }
        }
        for (by, victims) in stopped {
            let needed = self.job(by).demand().at_least();
            let workers = self.cluster.core.workers().filter(|worker| worker.state == WorkerState::Active);
            let free = workers.flat_map(|worker| &worker.slots).filter(|slot| slot.task.is_none()).count() as u32;
            let returning = self.usable(|_, is_leaving| is_leaving);
            assert!(free + returning >= needed, "{by} needs {needed}, and finds {free} and {returning}");
            for victim in victims {
                assert!(
                    free + returning - victim < needed,
                    "{by} needs {needed}, and one that holds {victim} is stopped for nothing"
                );
            }
        }
    }

    /// How many slots some jobs hold, or those of their members that are on their way out.
    fn usable(&self, wanted: impl Fn(&JobId, bool) -> bool) -> u32 {
        let mut count = 0;
        for (_, job) in self.all() {
            let Some(gang) = job.state.gang() else { continue };
            let is_whole = matches!(job.state, JobState::Stopping { .. });
            let live = gang.members.values().filter(|member| member.is_live());
            count += live.filter(|member| wanted(&job.id, is_whole || is_leaving(member))).count() as u32;
        }
        count
    }
}

/// The job that a member gives up its slot to.
fn leaves_for(member: &Member) -> Option<&JobId> {
    match &member.state {
        MemberState::Leaving { by } => by.as_ref(),
        _ => None,
    }
}

fn is_leaving(member: &Member) -> bool {
    matches!(member.state, MemberState::Leaving { .. })
}

fn pick<T>(items: &[T], which: u16) -> Option<&T> {
    items.get(usize::from(which) % items.len().max(1))
}

/// As many histories as `VISMAE_SIMULATION_CASES` says, or a number that is soon done.
fn cases() -> u32 {
    std::env::var("VISMAE_SIMULATION_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)
}

fn moves(most: usize) -> impl Strategy<Value = Vec<(u8, u16)>> {
    prop::collection::vec((0_u8..12, any::<u16>()), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn nobody_overtakes_and_nothing_moves_without_need(moves in moves(80)) {
        let mut world = World::new(false, &[2, 1]);
        moves.into_iter().for_each(|step| world.act(step));
    }

    #[test]
    fn nor_where_namespaces_share_the_slots(moves in moves(80)) {
        let mut world = World::new(true, &[2, 1]);
        moves.into_iter().for_each(|step| world.act(step));
    }

    /// However many come later: a job starts when those that were there before it are over, and some of them may end last of all.
    #[test]
    fn a_large_gang_is_not_passed_for_ever(
        ahead in prop::collection::vec((1_u32..5, 0_i32..2), 0..12),
        size in 1_u32..6,
        rounds in prop::collection::vec((any::<u16>(), 1_u32..3, -1_i32..1), 16),
    ) {
        let mut world = World::new(false, &[2, 2, 1]);
        for (size, priority) in &ahead {
            world.submit((*size, *size), *priority, "default");
        }
        let large = world.submit((size, size), 0, "default");
        let mut left = ahead.len();
        for (which, small, priority) in rounds {
            if world.job(&large).attempts > 0 {
                return Ok(());
            }
            prop_assert!(left > 0, "all that were there before it are over: {:?}", world.job(&large).state);
            world.submit((small, small), priority, "default");
            while world.stop(which) {}
            prop_assert!(world.end(which), "nothing runs, and {:?}", world.job(&large).state);
            left -= 1;
        }
    }

    /// When no more come, every job has its turn.
    #[test]
    fn every_job_ends_when_no_more_come(limits in any::<bool>(), moves in moves(60), which in any::<u16>()) {
        let mut world = World::new(limits, &[2, 2]);
        moves.into_iter().for_each(|step| world.act(step));
        // Room for the largest.
        world.join(4);
        let is_open = |job: &Job| match &job.state {
            // Nobody promises what a namespace may never have.
            JobState::Waiting(Reason::Quota { needed, limit, .. }) => needed <= limit,
            state => !state.is_over(),
        };
        let open = |world: &World| world.of(is_open).len();
        for round in 0.. {
            if open(&world) == 0 {
                break;
            }
            // As many gangs as there are jobs and pauses after losses; each may be stopped for each other one.
            prop_assert!(round < 2000, "{:?}", world.all().map(|(_, job)| &job.state).collect::<Vec<_>>());
            world.stop(which);
            world.end(which);
            world.pass(1999);
        }
    }
}
