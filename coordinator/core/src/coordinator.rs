//! The state machine that runs pipelines on workers.

mod admission;
mod drain;
mod elastic;
mod ended;
mod evict;
mod explain;
mod namespaces;
mod reports;
mod restore;
mod roster;
mod settle;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::effect::{Answer, Effects, Fact};
use crate::event::{Event, RequestId, TaskReport};
use crate::ids::{JobId, NamespaceName, PipelineId, WorkerId};
use crate::job::{Job, JobState, Ledger};
use crate::namespace::Namespace;
use crate::pipeline::{Pipeline, Turn};
use crate::schedule::Room;
use crate::time::MonoTime;
use crate::worker::Worker;

use drain::Drain;
pub use drain::{DRAIN_KEPT, DRAINED_WORKERS};
pub use ended::Ends;
use namespaces::Tally;

/// How many jobs are remembered after their pipelines are over; the pipeline that ended first is forgotten first, as a whole.
pub const KEPT_JOBS: u32 = 100_000;

/// How many pipelines may be queued or running: what a coordinator decides about within milliseconds, and writes down within seconds.
pub const OPEN_PIPELINES: u32 = 100_000;

/// Everything the coordinator knows, and every decision it makes.
///
/// The same events at the same times lead to the same effects. Messages that are late, repeated or from strangers change
/// nothing.
#[derive(Debug)]
pub struct Coordinator {
    /// Silence longer than this ends a worker's stay.
    lease: Duration,
    pipelines: BTreeMap<u64, Pipeline>,
    names: BTreeMap<PipelineId, u64>,
    /// Each namespace has its own: nobody learns of the requests of another one.
    requests: BTreeMap<(NamespaceName, RequestId), u64>,
    /// Pipelines that are not over, in the order of their turns.
    open: BTreeSet<Turn>,
    /// Those of them in which some job has had slots: only there something can be due or running.
    begun: BTreeSet<Turn>,
    /// The namespaces there are.
    namespaces: BTreeMap<NamespaceName, Namespace>,
    /// How many pipelines of each are not over.
    tallies: BTreeMap<NamespaceName, Tally>,
    /// When those that are not over must be.
    due: BTreeSet<(MonoTime, u64)>,
    /// Pipelines that are over, in the order they ended.
    ended: VecDeque<u64>,
    /// How many jobs those have, by how they ended.
    ends: Ends,
    workers: BTreeMap<WorkerId, Worker>,
    /// Workers that get no tasks until an operator says so.
    drained: BTreeMap<WorkerId, Drain>,
    /// No worker's lease ends before.
    leases_until: MonoTime,
    /// The slots as the last look at all waiting jobs has left them, as long as nothing but submissions has happened since.
    room: Option<Room>,
    /// Workers that hold tasks by the records of an earlier coordinator and have not come back yet, and how long they may take.
    awaited: BTreeMap<WorkerId, MonoTime>,
    /// When the next gang may try again to get a newcomer.
    recruits_due: Option<MonoTime>,
    next_pipeline: u64,
    next_lease: u64,
    /// What the time of all jobs went to, since this coordinator has begun.
    spent: Ledger,
}

impl Coordinator {
    /// A coordinator without pipelines and workers, which believes a silent worker for as long as the lease.
    pub fn new(lease: Duration) -> Self {
        Self {
            lease,
            pipelines: BTreeMap::new(),
            names: BTreeMap::new(),
            requests: BTreeMap::new(),
            open: BTreeSet::new(),
            begun: BTreeSet::new(),
            namespaces: BTreeMap::from([(NamespaceName::default(), Namespace::new(NamespaceName::default()))]),
            tallies: BTreeMap::new(),
            due: BTreeSet::new(),
            ended: VecDeque::new(),
            ends: Ends::default(),
            workers: BTreeMap::new(),
            drained: BTreeMap::new(),
            leases_until: MonoTime::default(),
            room: None,
            awaited: BTreeMap::new(),
            recruits_due: None,
            next_pipeline: 1,
            next_lease: 1,
            spent: Ledger::default(),
        }
    }

    /// Takes in one event, and adds everything that follows from it to the effects.
    pub fn handle(&mut self, now: MonoTime, event: Event, effects: &mut Effects) {
        let facts = effects.facts.len();
        self.take_in(now, event, effects);
        for fact in &effects.facts[facts..] {
            if let Fact::Spent { on, time, .. } = fact {
                self.spent.add(*on, *time);
            }
        }
    }

    /// What the time of all jobs went to, since this coordinator has begun.
    pub fn spent(&self) -> &Ledger {
        &self.spent
    }

    fn take_in(&mut self, now: MonoTime, event: Event, effects: &mut Effects) {
        let submitted_from = self.next_pipeline;
        let quiet = matches!(event, Event::WorkerHeard(_) | Event::Task { report: TaskReport::Progress(_), .. });
        // What tells of ranks that do not get on, or are slow, is one as long as nothing follows from it.
        let watched = matches!(
            event,
            Event::Task { report: TaskReport::Stalled { .. } | TaskReport::GotOn | TaskReport::Paced(_), .. }
        );
        let kept = effects.persist.len();
        let submission = matches!(event, Event::SubmitPipeline { .. });
        match event {
            Event::SubmitPipeline { spec, request } => {
                effects.answer = Some(Answer::Submitted(self.submit(now, spec, request, effects)));
            }
            Event::CancelPipeline { pipeline } => {
                effects.answer = Some(Answer::Pipeline(self.cancel(now, pipeline, effects)));
            }
            Event::SuspendPipeline { pipeline } => {
                effects.answer = Some(Answer::Pipeline(self.suspend(now, pipeline, true, effects)));
            }
            Event::ResumePipeline { pipeline } => {
                effects.answer = Some(Answer::Pipeline(self.suspend(now, pipeline, false, effects)));
            }
            Event::UpdateNamespace(update) => {
                effects.answer = Some(Answer::Namespace(self.update_namespace(now, &update, effects)));
            }
            Event::DeleteNamespace(deletion) => {
                effects.answer = Some(Answer::Namespace(self.delete_namespace(&deletion, effects)));
            }
            Event::WorkerJoined(arrival) => effects.answer = Some(Answer::Joined(self.join(now, arrival, effects))),
            Event::WorkerHeard(lease) => {
                self.hear(now, &lease);
            }
            Event::DrainWorker { worker } => {
                effects.answer = Some(Answer::Worker(self.drain(now, worker, effects)));
            }
            Event::UndrainWorker { worker } => {
                effects.answer = Some(Answer::Worker(self.undrain(worker, effects)));
            }
            Event::WorkerLeaving(lease) => self.leave(now, &lease),
            Event::WorkerLost(lease) => {
                if self.is_current(&lease) {
                    self.lose(now, &lease.worker, "its connection ended", effects);
                }
            }
            Event::Task { from, task, report } => self.report(now, &from, task, report, effects),
            Event::Tick => {}
        }
        // Most events are signs of life, which open no new possibilities: with nothing due, there is nothing to decide.
        let quiet = quiet || (watched && effects.persist.len() == kept);
        if quiet && self.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if !submission || self.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.room = None;
        }
        self.expire(now, effects);
        self.settle(now, submitted_from, effects);
        self.recruits_due = self.recruits_at(now);
    }

    /// Takes back a time in which nothing could be heard, as while records were being kept: nobody's silence, and no wait for anybody,
    /// is counted for so long.
    pub fn excuse(&mut self, time: Duration) {
        let later = |moment: &mut MonoTime| *moment = moment.after(time);
        self.workers.values_mut().for_each(|worker| later(&mut worker.heard));
        self.awaited.values_mut().for_each(later);
        later(&mut self.leases_until);
        for turn in &self.begun {
            let jobs = self.pipelines.get_mut(&turn.number).into_iter().flat_map(|pipeline| &mut pipeline.jobs);
            for job in jobs {
                match &mut job.state {
                    JobState::Running(gang) => gang.excuse(time),
                    JobState::Stopping { since, .. } => later(since),
                    _ => {}
                }
            }
        }
    }

    /// When [`Event::Tick`] must be handled if nothing else happens before.
    pub fn next_deadline(&self) -> Option<MonoTime> {
        let leases = (!self.workers.is_empty()).then_some(self.leases_until);
        let jobs = self.begun_jobs().filter_map(|job| job.state.deadline());
        let due = self.due.first().map(|(at, _)| *at);
        let jobs = jobs.chain(self.recruits_due);
        jobs.chain(leases).chain(self.return_deadline()).chain(due).min()
    }

    /// The pipeline of that name.
    pub fn pipeline(&self, id: &PipelineId) -> Option<&Pipeline> {
        self.pipelines.get(self.names.get(id)?)
    }

    /// Every pipeline that is known, in the order they were submitted.
    pub fn pipelines(&self) -> impl DoubleEndedIterator<Item = &Pipeline> {
        self.pipelines.values()
    }

    /// Those that are not over, in the order of their turns.
    pub fn open_pipelines(&self) -> impl Iterator<Item = &Pipeline> {
        self.open.iter().filter_map(|turn| self.pipelines.get(&turn.number))
    }

    /// How many jobs the pipelines have that are over.
    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// The job of that name.
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.pipeline(&id.pipeline)?.job(&id.name)
    }

    /// Every worker that is believed to be alive, by name.
    pub fn workers(&self) -> impl DoubleEndedIterator<Item = &Worker> {
        self.workers.values()
    }

    /// The worker of that name, if it is here, or drained.
    pub fn worker(&self, id: &WorkerId) -> Option<&Worker> {
        self.workers.get(id).or_else(|| self.drained.get(id)?.away())
    }

    /// The jobs of pipelines that are not over and in which some job has had slots.
    fn begun_jobs(&self) -> impl Iterator<Item = &Job> {
        self.begun.iter().filter_map(|turn| self.pipelines.get(&turn.number)).flat_map(|pipeline| &pipeline.jobs)
    }

    fn job_mut(&mut self, id: &JobId) -> Option<&mut Job> {
        self.pipelines.get_mut(self.names.get(&id.pipeline)?)?.job_mut(&id.name)
    }
}
