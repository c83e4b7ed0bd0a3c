//! Gangs, and members that gangs can do without, that must stop so that another job finds its slots.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Coordinator;
use crate::device::PerKind;
use crate::effect::{Effects, EvictReason, Fact};
use crate::gang::Gang;
use crate::ids::{JobId, NamespaceName, SlotId};
use crate::job::{Eviction, Grounds, Input, Job, JobState, StopReason};
use crate::pipeline::Pipeline;
use crate::schedule::{Candidate, Room, Seat, Shortage, victims};
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
        (self.pipeline.priority, Reverse(self.gang.seated), &self.job.id)
    }

    /// What it holds and does not give back anyway.
    fn stays(&self) -> PerKind<u32> {
        PerKind::count(self.gang.not_leaving().map(|member| member.device))
    }
}

/// Who must stop for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Victim {
    /// Gangs, with all of their members.
    Gang(JobId, EvictReason),
    /// Members that their gang can do without.
    Members(JobId, Vec<u32>, EvictReason),
}

/// Who holds slots that a job could use and may claim.
struct Field {
    /// Gangs of lower priority in its own namespace, in the order in which they are stopped, and before them the members that gangs
    /// of no higher priority can do without.
    own: Vec<Candidate>,
    /// The same of gangs of other namespaces on borrowed slots.
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
        let facts = effects.facts.len();
        for victim in self.victims_of(job, reserved, room) {
            let (Victim::Gang(name, reason) | Victim::Members(name, _, reason)) = &victim;
            let Some(grounds) = self.grounds(job, name) else { continue };
            let eviction = Eviction { by: job.clone(), reason: *reason, grounds };
            let (victim, input) = match victim {
                Victim::Gang(victim, _) => (victim, Input::Evict(eviction)),
                Victim::Members(victim, members, _) => (victim, Input::Release { members, eviction }),
            };
            if let Some(victim) = self.job_mut(&victim) {
                victim.transition(now, input, effects);
            }
        }
        let told = |fact: &Fact| matches!(fact, Fact::JobEvicted { .. } | Fact::MemberReleased { .. });
        effects.facts[facts..].iter().any(told)
    }

    /// What is weighed when a job stops another one.
    fn grounds(&self, by: &JobId, victim: &JobId) -> Option<Grounds> {
        let (winner, loser) = (self.pipeline(&by.pipeline)?, self.pipeline(&victim.pipeline)?);
        Some(Grounds {
            priority: winner.priority,
            own_priority: loser.priority,
            needed: winner.job(&by.name)?.demand().at_least(),
            held: loser.job(&victim.name)?.state.gang()?.holds().total(),
        })
    }

    /// Who would have to stop for a job which finds so many slots free. What is stopping already counts as free: its slots come back
    /// without another word.
    ///
    /// First go members that their gangs can do without, where those have no higher priority. A job within the quota of its namespace, and the first of it that waits, may have those stopped that hold slots beyond theirs,
    /// whatever their priority, and any job those of strictly lower priority in its own namespace. Nobody else's slots are touched.
    /// (One that is not the first could not have the slots: whoever it had stopped would have them back before it, without end.)
    pub(super) fn victims_of(&self, id: &JobId, reserved: PerKind<u32>, room: &Room) -> Vec<Victim> {
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
        let whole = stopped.iter().filter(|victim| victim.member.is_none()).map(|victim| victim.job.clone());
        let whole: BTreeSet<JobId> = whole.collect();
        let mut members: BTreeMap<JobId, Vec<u32>> = BTreeMap::new();
        for victim in stopped.into_iter().filter(|victim| !whole.contains(&victim.job)) {
            members.entry(victim.job).or_default().extend(victim.member);
        }
        let gangs = whole.into_iter().map(|gang| Victim::Gang(gang.clone(), reason(&gang)));
        gangs
            .chain(members.into_iter().map(|(gang, members)| Victim::Members(gang.clone(), members, reason(&gang))))
            .collect()
    }

    /// The jobs that gangs are stopping for.
    pub(super) fn owed(&self) -> BTreeSet<JobId> {
        let by = |job: &Job| -> Vec<JobId> {
            match &job.state {
                JobState::Stopping {
                    why: StopReason::Preempted { by, .. } | StopReason::Reclaimed { by, .. }, ..
                } => {
                    vec![by.clone()]
                }
                JobState::Running(gang) => gang.leaving().filter_map(|(.., by)| by.cloned()).collect(),
                _ => Vec::new(),
            }
        };
        self.begun_jobs().flat_map(by).collect()
    }

    /// How many slots a job could have that are held by gangs which may be stopped for it.
    pub(super) fn evictable(&self, job: &Job, room: &Room) -> u32 {
        let Some(pipeline) = self.pipeline(&job.id.pipeline) else { return 0 };
        let Field { own, borrowed, .. } = self.field(pipeline, job, room);
        let gangs = own.iter().chain(&borrowed).filter(|candidate| candidate.member.is_none());
        gangs.map(|candidate| candidate.frees.total()).sum()
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
        let (mut used, mut free) = (self.used(), PerKind::default());
        for (namespace, slots) in self.returning() {
            if let Some(used) = used.get_mut(&namespace) {
                *used = used.minus(slots);
            }
        }
        for holder in &stopping {
            free = free.plus(self.frees(job, holder.gang, room));
        }
        for holder in &running {
            let leaving = holder.gang.leaving().map(|(_, member, _)| (member.slot.clone(), member.device));
            free = free.plus(self.usable(job, leaving, room));
        }
        let peers = running.iter().filter(|holder| holder.pipeline.namespace == pipeline.namespace);
        let (lower, spare) = (peers.clone(), peers);
        let spare = spare.filter(|holder| holder.pipeline.priority <= pipeline.priority && holder.job.id != job.id);
        let lower = lower.filter(|holder| holder.pipeline.priority < pipeline.priority);
        let own = spare.flat_map(|holder| self.spare(job, holder, true, room));
        let own = own.chain(lower.map(|holder| self.candidate(job, holder, true, room))).collect();
        let borrowers: Vec<_> = self.borrowers(&pipeline.namespace, &running, used.clone()).collect();
        let borrowed = borrowers.iter().flat_map(|holder| self.spare(job, holder, false, room));
        let borrowed =
            borrowed.chain(borrowers.iter().map(|holder| self.candidate(job, holder, false, room))).collect();
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
            let (borrowed, holds) = (self.limits(&holder.pipeline.namespace).borrowed(*used), holder.stays());
            let helps = (borrowed.cpu > 0 && holds.cpu > 0) || (borrowed.cuda > 0 && holds.cuda > 0);
            let is_borrower = holder.pipeline.namespace != *but && helps;
            if is_borrower {
                *used = used.minus(holds);
            }
            is_borrower
        })
    }

    fn candidate(&self, job: &Job, holder: &Holder<'_>, own: bool, room: &Room) -> Candidate {
        let staying = holder.gang.not_leaving().map(|member| (member.slot.clone(), member.device));
        Candidate {
            job: holder.job.id.clone(),
            member: None,
            frees: self.usable(job, staying, room),
            returns: if own { holder.stays() } else { PerKind::default() },
        }
    }

    /// The members that a gang can do without.
    fn spare<'a>(
        &'a self,
        job: &'a Job,
        holder: &'a Holder<'_>,
        own: bool,
        room: &'a Room,
    ) -> impl Iterator<Item = Candidate> + 'a {
        holder.gang.spare().into_iter().filter_map(move |number| {
            let member = holder.gang.members.get(&number)?;
            let frees = self.usable(job, [(member.slot.clone(), member.device)], room);
            let returns = if own { PerKind::count([member.device]) } else { PerKind::default() };
            let is_of_use = frees.total() + returns.total() > 0;
            is_of_use.then(|| Candidate { job: holder.job.id.clone(), member: Some(number), frees, returns })
        })
    }

    /// The slots of a gang that a job can use when they are free.
    pub(super) fn frees(&self, job: &Job, gang: &Gang, room: &Room) -> PerKind<u32> {
        let live = gang.members.values().filter(|member| member.is_live());
        self.usable(job, live.map(|member| (member.slot.clone(), member.device)), room)
    }

    /// How many of these slots a job can use when they are free.
    fn usable(&self, job: &Job, seats: impl IntoIterator<Item = Seat>, room: &Room) -> PerKind<u32> {
        let stays = |slot: &SlotId| {
            let worker = self.workers.get(&slot.worker);
            worker
                .is_some_and(|worker| worker.state == WorkerState::Active && (slot.index as usize) < worker.slots.len())
        };
        let usable = seats.into_iter().filter(|seat| stays(&seat.0) && room.admits(&job.spec.placement, seat));
        PerKind::count(usable.map(|(_, device)| device))
    }
}
