//! The rules: whatever happens, jobs, workers and quotas agree, and nobody waits for what they could have.

use std::collections::{BTreeMap, BTreeSet};

use vismae_core::device::PerKind;
use vismae_core::gang::{Member, MemberState};
use vismae_core::ids::{JobId, SlotId, TaskId};
use vismae_core::job::{JobState, Outcome};
use vismae_core::reason::Reason;
use vismae_core::schedule::solve;
use vismae_core::spec::Demand;
use vismae_core::worker::WorkerState;

use super::World;

impl World {
    pub(super) fn check(&mut self) {
        let mut held: BTreeMap<SlotId, TaskId> = BTreeMap::new();
        for pipeline in self.core.pipelines() {
            for job in &pipeline.jobs {
                if let Some(before) = self.over.get(&job.id) {
                    assert_eq!(before, &job.state, "{} was over", job.id);
                }
                if matches!(job.state, JobState::Over { outcome: Outcome::Succeeded { .. }, .. }) {
                    assert!(self.done.contains(&job.id), "{} has succeeded, and nobody has said so", job.id);
                }
                if job.state.is_over() {
                    self.over.insert(job.id.clone(), job.state.clone());
                }
                let Some(gang) = job.state.gang() else { continue };
                match &gang.formation {
                    None => assert!(gang.size() >= job.demand().at_least()),
                    Some(formation) => {
                        let ranks: BTreeSet<u32> = formation.ranks.iter().copied().collect();
                        assert_eq!(ranks.len(), formation.ranks.len(), "{} has a rank twice", job.id);
                        assert!(ranks.len() >= job.demand().at_least() as usize, "{} goes on with too few", job.id);
                    }
                }
                if let Demand::Group { at_most, .. } = job.demand() {
                    // Others may have come in place of those that were left out, which hold their slots still.
                    let leaves = |member: &&Member| {
                        matches!(member.state, MemberState::Leaving { .. } | MemberState::Ready { excluded: true, .. })
                    };
                    let leaving = gang.members.values().filter(leaves).count() as u32;
                    let live = gang.members.values().filter(|member| member.is_live()).count() as u32;
                    assert!(live <= at_most + leaving, "{} has {live} members, and can use {at_most}", job.id);
                }
                let runs = matches!(job.state, JobState::Running(_));
                assert!(!(runs && pipeline.suspended), "{} runs, and its pipeline is suspended", job.id);
                let due = pipeline.deadline.map(|deadline| pipeline.created.after(deadline));
                assert!(!runs || due.is_none_or(|due| due > self.now), "{} runs after its deadline", job.id);
                for (task, slot) in gang.live(&job.id) {
                    assert_eq!(held.insert(slot.clone(), task), None, "{slot} was given away twice");
                }
            }
        }
        // A worker that has not come back since the coordinator's restart is awaited; a task that nobody wants any more keeps its
        // slot until it has stopped.
        let here: BTreeSet<_> = self.core.workers().map(|worker| worker.lease.worker.clone()).collect();
        let live: BTreeSet<_> = held.values().cloned().collect();
        held.retain(|slot, _| here.contains(&slot.worker));
        let mut occupied = BTreeMap::new();
        for worker in self.core.workers() {
            occupied.extend(worker.slots().filter_map(|(id, slot)| Some((id, slot.task.clone()?))));
        }
        occupied.retain(|_, task| live.contains(task));
        assert_eq!(held, occupied, "jobs and workers disagree about who runs what");
        self.check_that_nobody_waits_in_vain();
        assert!(self.core.next_deadline().is_none_or(|deadline| deadline > self.now), "something is overdue");
    }

    /// Where jobs wait for slots or quota, one of them at least has really no room; all others wait behind one of those.
    fn check_that_nobody_waits_in_vain(&self) {
        let workers = self.core.workers().filter(|worker| worker.state == WorkerState::Active);
        let slots = workers.flat_map(|worker| worker.slots());
        let free: Vec<_> = slots.filter(|(_, slot)| slot.task.is_none()).map(|(id, slot)| (id, slot.device)).collect();
        let usage = self.core.usage();
        let waiting = self.core.pipelines().flat_map(|pipeline| pipeline.jobs.iter().map(move |job| (pipeline, job)));
        let waiting: Vec<_> = waiting.filter(|(_, job)| matches!(job.state, JobState::Waiting(_))).collect();
        let reason = |id: &JobId| match &self.core.job(id).map(|job| &job.state) {
            Some(JobState::Waiting(reason)) => Some(reason.clone()),
            _ => None,
        };
        let mut stuck = None;
        for (pipeline, job) in waiting {
            let limits = self.core.namespace(&pipeline.namespace).unwrap().limits;
            let left = PerKind::of(|kind| limits.most(kind).saturating_sub(*usage[&pipeline.namespace].used.get(kind)));
            match reason(&job.id).unwrap() {
                Reason::Slots { .. } => {
                    let can = solve(job.demand(), &free, left).is_some();
                    stuck = Some(stuck.unwrap_or(false) | !can);
                }
                Reason::Quota { .. } => assert_eq!(solve(job.demand(), &free, left), None, "{} could run", job.id),
                Reason::Behind { job: ahead } => {
                    let because = reason(&ahead);
                    let is_reason = matches!(because, Some(Reason::Slots { .. } | Reason::Quota { .. }));
                    assert!(is_reason, "{} waits behind {ahead}, and that one for {because:?}", job.id);
                }
                Reason::Queued => panic!("{} waits for nothing", job.id),
                _ => {}
            }
        }
        assert_ne!(stuck, Some(false), "a job could have the slots it waits for");
    }
}
