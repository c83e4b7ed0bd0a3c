//! Gangs that must stop so that another job finds its slots.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Coordinator;
use crate::device::PerKind;
use crate::effect::{Effects, EvictReason};
use crate::gang::Gang;
use crate::ids::{JobId, NamespaceName};
use crate::job::{Eviction, Input, Job, JobState, StopReason};
use crate::pipeline::Pipeline;
use crate::schedule::{Candidate, Room, Shortage, victims};
use crate::time::MonoTime;
use crate::worker::WorkerState;

/// A gang that could be stopped, with what its place in the order depends on.
struct Holder<'a> {
    pipeline: &'a Pipeline,
    job: &'a Job,
    gang: &'a Gang,
}

impl Holder<'_> {
    /// The lowest is stopped first, and of equals the one that started last.
    fn order(&self) -> (i32, Reverse<MonoTime>, &JobId) {
        (self.pipeline.priority, Reverse(self.gang.placed), &self.job.id)
    }
}

/// Who holds slots that a job could use and may claim.
struct Field {
    /// Gangs of lower priority in its own namespace, in the order in which they are stopped.
    own: Vec<Candidate>,
    /// Gangs of other namespaces on borrowed slots, in that order.
    borrowed: Vec<Candidate>,
    /// Slots that come free by themselves: what holds them is stopping.
    free: PerKind<u32>,
    /// What its namespace uses when that has stopped.
    used: PerKind<u32>,
}

impl Coordinator {
    /// Stops gangs where that gives a job its slots, and no more of them than it takes. Says whether any was.
    pub(super) fn preempt(
        &mut self,
        now: MonoTime,
        job: &JobId,
        reserved: PerKind<u32>,
        room: &Room,
        effects: &mut Effects,
    ) -> bool {
        let victims = self.victims_of(job, reserved, room);
        let is_any = !victims.is_empty();
        for (victim, reason) in victims {
            if let Some(victim) = self.job_mut(&victim) {
                victim.transition(now, Input::Evict(Eviction { by: job.clone(), reason }), effects);
            }
        }
        is_any
    }

    /// The gangs that would have to stop for a job which finds so many slots free. What is stopping already counts as free: its slots
    /// come back without another word.
    ///
    /// A job within the quota of its namespace, and the first of it that waits, may have those stopped that hold slots beyond theirs,
    /// whatever their priority, and any job those of strictly lower priority in its own namespace. Nobody else's slots are touched.
    /// (One that is not the first could not have the slots: whoever it had stopped would have them back before it, without end.)
    pub(super) fn victims_of(&self, id: &JobId, reserved: PerKind<u32>, room: &Room) -> Vec<(JobId, EvictReason)> {
        let Some(pipeline) = self.pipeline(&id.pipeline) else { return Vec::new() };
        let Some(job) = pipeline.job(&id.name) else { return Vec::new() };
        let Field { own, borrowed, free, used } = self.field(pipeline, job, room);
        let limits = self.limits(&pipeline.namespace);
        let shortage = |most| Shortage { demand: job.demand(), free: free.plus(reserved), used, most };
        let reclaimed: BTreeSet<JobId> = borrowed.iter().map(|candidate| candidate.job.clone()).collect();
        let within_quota = shortage(PerKind::of(|kind| limits.nominal(kind)));
        let lenders = borrowed.into_iter().filter(|_| room.leads(&pipeline.namespace, id));
        let mut stopped = victims(within_quota, lenders.chain(own.iter().cloned()).collect());
        if stopped.is_empty() {
            stopped = victims(shortage(PerKind::of(|kind| limits.most(kind))), own);
        }
        let reason = |victim: &JobId| match reclaimed.contains(victim) {
            true => EvictReason::Reclaimed,
            false => EvictReason::Preempted,
        };
        stopped.into_iter().map(|victim| (victim.clone(), reason(&victim))).collect()
    }

    /// The jobs that gangs are stopping for.
    pub(super) fn owed(&self) -> BTreeSet<JobId> {
        let by = |job: &Job| match &job.state {
            JobState::Stopping { why: StopReason::Preempted { by } | StopReason::Reclaimed { by }, .. } => {
                Some(by.clone())
            }
            _ => None,
        };
        self.begun_jobs().filter_map(by).collect()
    }

    /// How many slots a job could have that are held by gangs which may be stopped for it.
    pub(super) fn evictable(&self, job: &Job, room: &Room) -> u32 {
        let Some(pipeline) = self.pipeline(&job.id.pipeline) else { return 0 };
        let Field { own, borrowed, .. } = self.field(pipeline, job, room);
        own.iter().chain(&borrowed).map(|candidate| candidate.frees.total()).sum()
    }

    /// Who holds slots that a job could use and may claim.
    fn field(&self, pipeline: &Pipeline, job: &Job, room: &Room) -> Field {
        let (mut stopping, mut running) = (Vec::new(), Vec::new());
        for pipeline in self.begun.iter().filter_map(|turn| self.pipelines.get(&turn.number)) {
            for job in &pipeline.jobs {
                match &job.state {
                    JobState::Running(gang) => running.push(Holder { pipeline, job, gang }),
                    JobState::Stopping { gang, .. } => stopping.push(Holder { pipeline, job, gang }),
                    JobState::Waiting(_) | JobState::Over { .. } => {}
                }
            }
        }
        running.sort_by(|one, other| one.order().cmp(&other.order()));
        let mut used = self.used();
        let mut free = PerKind::default();
        for holder in &stopping {
            free = free.plus(self.frees(job, holder.gang, room));
            if let Some(used) = used.get_mut(&holder.pipeline.namespace) {
                *used = used.minus(holder.gang.holds());
            }
        }
        let lower = running.iter().filter(|holder| {
            holder.pipeline.namespace == pipeline.namespace && holder.pipeline.priority < pipeline.priority
        });
        let own = lower.map(|holder| self.candidate(job, holder, true, room)).collect();
        let borrowers = self.borrowers(&pipeline.namespace, &running, used.clone());
        let borrowed = borrowers.map(|holder| self.candidate(job, holder, false, room)).collect();
        Field { own, borrowed, free, used: used.get(&pipeline.namespace).copied().unwrap_or_default() }
    }

    /// The gangs of other namespaces that hold slots beyond their quotas, in order, as far as that is still so when those before them
    /// have stopped.
    fn borrowers<'a>(
        &'a self,
        but: &'a NamespaceName,
        running: &'a [Holder<'a>],
        mut used: BTreeMap<NamespaceName, PerKind<u32>>,
    ) -> impl Iterator<Item = &'a Holder<'a>> {
        running.iter().filter(move |holder| {
            let Some(used) = used.get_mut(&holder.pipeline.namespace) else { return false };
            let (borrowed, holds) = (self.limits(&holder.pipeline.namespace).borrowed(*used), holder.gang.holds());
            let helps = (borrowed.cpu > 0 && holds.cpu > 0) || (borrowed.cuda > 0 && holds.cuda > 0);
            let is_borrower = holder.pipeline.namespace != *but && helps;
            if is_borrower {
                *used = used.minus(holds);
            }
            is_borrower
        })
    }

    fn candidate(&self, job: &Job, holder: &Holder<'_>, own: bool, room: &Room) -> Candidate {
        Candidate {
            job: holder.job.id.clone(),
            frees: self.frees(job, holder.gang, room),
            returns: if own { holder.gang.holds() } else { PerKind::default() },
        }
    }

    /// The slots of a gang that a job can use when they are free.
    pub(super) fn frees(&self, job: &Job, gang: &Gang, room: &Room) -> PerKind<u32> {
        let live = gang.live(&job.id).filter_map(|(_, slot)| {
            let worker = self.workers.get(&slot.worker).filter(|worker| worker.state == WorkerState::Active)?;
            Some((slot.clone(), worker.slots.get(slot.index as usize)?.device))
        });
        PerKind::count(live.filter(|seat| room.admits(&job.spec.placement, seat)).map(|(_, device)| device))
    }
}
