//! What a user is told who asks why a job does not run.

use super::Coordinator;
use super::evict::Victim;
use crate::device::PerKind;
use crate::effect::EvictReason;
use crate::explanation::{Eviction, Explanation, Link, Remedy, Slots};
use crate::ids::JobId;
use crate::job::{Job, JobState, RETRY_PAUSES};
use crate::pipeline::Pipeline;
use crate::reason::Reason;
use crate::schedule::Room;
use crate::spec::Demand;
use crate::time::MonoTime;

/// The longest chain of jobs that wait for one another that is told.
const CHAIN: usize = 16;
/// The most holders of slots that are told.
const HOLDERS: usize = 10;

impl Coordinator {
    /// Why a job is where it is now, and what would have to happen.
    pub fn explain(&self, now: MonoTime, id: &JobId) -> Option<Explanation> {
        let pipeline = self.pipeline(&id.pipeline)?;
        let job = pipeline.job(&id.name)?;
        let mut room = self.room();
        let placement = &job.spec.placement;
        let slots = Slots { present: room.present(), matching: room.admitted(placement), free: room.free(placement) };
        let mut holders: Vec<(JobId, u32)> = self
            .begun_jobs()
            .filter(|other| other.id != *id)
            .filter_map(|other| Some((other.id.clone(), self.frees(job, other.state.gang()?, &room).total())))
            .filter(|(_, slots)| *slots > 0)
            .collect();
        holders.sort_by(|(one, slots), (other, others)| others.cmp(slots).then(one.cmp(other)));
        holders.truncate(HOLDERS);
        Some(Explanation {
            job: id.clone(),
            state: job.state.clone(),
            demand: job.demand(),
            placement: placement.clone(),
            priority: pipeline.priority,
            slots,
            namespace: pipeline.namespace.clone(),
            limits: self.limits(&pipeline.namespace),
            usage: self.usage().get(&pipeline.namespace).copied().unwrap_or_default(),
            before: self.before(pipeline, job),
            ahead: self.ahead(pipeline, job),
            holders,
            remedy: self.remedy(job, slots, &room),
            attempts: job.attempts,
            retries_left: (RETRY_PAUSES.len() as u32).saturating_sub(job.failures),
            stops: job.stops.clone(),
            notices: job.state.gang().map(|gang| gang.notices.clone()).unwrap_or_default(),
            ledger: job.ledger_until(now),
        })
    }

    /// How many jobs wait that have their turn before it.
    fn before(&self, pipeline: &Pipeline, job: &Job) -> u32 {
        let waits = |job: &&Job| matches!(job.state, JobState::Waiting(_));
        let earlier = self.open.range(..pipeline.turn()).filter_map(|turn| self.pipelines.get(&turn.number));
        let in_others = earlier.flat_map(|pipeline| &pipeline.jobs).filter(waits).count();
        let in_own = pipeline.jobs.iter().take_while(|other| other.id != job.id).filter(waits).count();
        (in_others + in_own) as u32
    }

    /// Whom a job waits for, whom that one waits for, and so on.
    fn ahead(&self, pipeline: &Pipeline, job: &Job) -> Vec<Link> {
        let mut chain: Vec<Link> = Vec::new();
        let mut at = (pipeline, job);
        while chain.len() < CHAIN {
            let next = match &at.1.state {
                JobState::Waiting(Reason::Dependencies { missing }) => {
                    missing.first().and_then(|name| Some((at.0, at.0.job(name)?)))
                }
                JobState::Waiting(Reason::Behind { job }) => {
                    self.pipeline(&job.pipeline).and_then(|pipeline| Some((pipeline, pipeline.job(&job.name)?)))
                }
                _ => None,
            };
            let Some((pipeline, job)) = next else { break };
            chain.push(Link { job: job.id.clone(), state: job.state.clone() });
            at = (pipeline, job);
        }
        chain
    }

    fn remedy(&self, job: &Job, slots: Slots, room: &Room) -> Remedy {
        let needed = job.demand().at_least();
        let lacks = |there: PerKind<u32>| match job.demand() {
            Demand::Group { .. } => needed.saturating_sub(there.largest()),
            Demand::Crew { .. } => needed.saturating_sub(there.total()),
        };
        let reason = match &job.state {
            JobState::Running(_) | JobState::Over { .. } => return Remedy::Nothing,
            JobState::Stopping { .. } => return Remedy::Stop,
            JobState::Waiting(reason) => reason,
        };
        match reason {
            Reason::Suspended => Remedy::Resume,
            Reason::Dependencies { .. } => Remedy::Dependencies,
            Reason::Backoff { until, failure, .. } => Remedy::Pause { until: *until, failure: failure.clone() },
            Reason::NoWorkers | Reason::Capacity { .. } | Reason::Mismatch { .. } => {
                Remedy::Workers { more: lacks(slots.matching) }
            }
            Reason::Queued | Reason::Behind { .. } => Remedy::Turn,
            Reason::Quota { needed, limit, .. } if needed > limit => Remedy::Limits { more: needed - limit },
            Reason::Quota { needed, used, limit, .. } => {
                let more = needed.saturating_sub(limit.saturating_sub(*used));
                Remedy::Quota { more, eviction: self.eviction(job, slots.free, room) }
            }
            Reason::Slots { .. } => {
                Remedy::Slots { more: lacks(slots.free), eviction: self.eviction(job, slots.free, room) }
            }
        }
    }

    /// Whether others can be stopped for a job.
    fn eviction(&self, job: &Job, free: PerKind<u32>, room: &Room) -> Eviction {
        let victims = self.victims_of(&job.id, free, room);
        if !victims.is_empty() {
            let named = |victim| match victim {
                Victim::Gang(job, reason) => (job, reason),
                Victim::Members(job, ..) => (job, EvictReason::Released),
            };
            return Eviction::Would { jobs: victims.into_iter().map(named).collect() };
        }
        let stopping = self.begun_jobs().filter(|other| match &other.state {
            JobState::Stopping { gang, .. } => self.frees(job, gang, room).total() > 0,
            JobState::Running(gang) => gang.leaving().any(|(.., by)| by == Some(&job.id)),
            _ => false,
        });
        let jobs: Vec<JobId> = stopping.map(|other| other.id.clone()).collect();
        if !jobs.is_empty() {
            return Eviction::Underway { jobs };
        }
        match self.evictable(job, room) {
            0 => Eviction::Nobody,
            slots => Eviction::TooFew { slots },
        }
    }
}
