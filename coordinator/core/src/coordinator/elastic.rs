//! Groups that get more members while they run: in place of lost ones, before anybody else gets a slot, and beyond those they need,
//! when nobody else can use it.

use std::collections::BTreeSet;

use super::Coordinator;
use crate::device::{DeviceKind, PerKind};
use crate::effect::Effects;
use crate::gang::Gang;
use crate::ids::{NamespaceName, TaskId};
use crate::job::{Input, JobState};
use crate::schedule::Room;
use crate::time::MonoTime;

impl Coordinator {
    /// Gives gangs that have lost more members than they can do without others in their place, as far as there are slots. They come
    /// before all that wait: what they have come to is in the memory of those that are left.
    pub(super) fn replenish(&mut self, now: MonoTime, room: &mut Room, effects: &mut Effects) {
        self.recruit(now, room, Gang::lacks, |_, _| false, effects);
    }

    /// Lets gangs grow into slots that nobody else can use now, those first whose turn it is. Where a job waits for the quota of a
    /// namespace, or gangs are stopping for it, none of that quota is for those that have enough.
    pub(super) fn grow(&mut self, now: MonoTime, room: &mut Room, effects: &mut Effects) {
        let waiting = room.claims.iter().filter_map(|claim| self.pipeline(&claim.job.pipeline));
        let waiting: BTreeSet<NamespaceName> = waiting.map(|pipeline| pipeline.namespace.clone()).collect();
        let is_wanted =
            |namespace: &NamespaceName, room: &Room| waiting.contains(namespace) || room.is_contended(namespace);
        self.recruit(now, room, Gang::can_use, is_wanted, effects);
    }

    fn recruit(
        &mut self,
        now: MonoTime,
        room: &mut Room,
        wanted: fn(&Gang) -> u32,
        is_wanted: impl Fn(&NamespaceName, &Room) -> bool,
        effects: &mut Effects,
    ) {
        for turn in self.begun.iter().copied().collect::<Vec<_>>() {
            let Some(pipeline) = self.pipelines.get_mut(&turn.number).filter(|pipeline| !pipeline.suspended) else {
                continue;
            };
            let limits = self.namespaces.get(&pipeline.namespace).map(|namespace| &namespace.limits);
            let most = PerKind::of(|kind| limits.map_or(u32::MAX, |limits| limits.most(kind)));
            let is_limited = DeviceKind::ALL.iter().any(|kind| *most.get(*kind) < u32::MAX);
            if is_limited && is_wanted(&pipeline.namespace, room) {
                continue;
            }
            for job in &mut pipeline.jobs {
                let JobState::Running(gang) = &job.state else { continue };
                let (count, Some(kind)) = (wanted(gang), gang.kind()) else { continue };
                if count == 0 || gang.recruits_after > now {
                    continue;
                }
                let seats = room.add(&pipeline.namespace, &job.spec.placement, (kind, count), most);
                if seats.is_empty() {
                    continue;
                }
                for (member, (slot, _)) in (gang.next_member..).zip(&seats) {
                    if let Some(worker) = self.workers.get_mut(&slot.worker) {
                        worker.occupy(slot.index, TaskId { job: job.id.clone(), attempt: gang.attempt, member });
                    }
                }
                let store_url = &pipeline.store_url;
                job.transition(now, Input::Recruit { seats, store_url }, effects);
            }
        }
    }

    /// When the next gang may try again to get a newcomer.
    pub(super) fn recruits_at(&self, now: MonoTime) -> Option<MonoTime> {
        let waiting = self.begun_jobs().filter_map(|job| match &job.state {
            JobState::Running(gang) if gang.can_use() > 0 && gang.recruits_after > now => Some(gang.recruits_after),
            _ => None,
        });
        waiting.min()
    }
}
