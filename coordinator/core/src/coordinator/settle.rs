//! What follows from the state as a whole: jobs that can no longer run, and jobs that can run now.

use super::Coordinator;
use crate::device::PerKind;
use crate::effect::Effects;
use crate::ids::{JobId, TaskId};
use crate::job::{Input, JobState};
use crate::pipeline::Turn;
use crate::reason::Reason;
use crate::schedule::{Ask, Claimed, Right, Room, Taken};
use crate::time::MonoTime;

impl Coordinator {
    /// Brings everything to rest: afterwards no job waits for what can't come, or for slots it could have. Pipelines from a number on
    /// have been submitted just now.
    pub(super) fn settle(&mut self, now: MonoTime, submitted_from: u64, effects: &mut Effects) {
        for id in effects.changed.clone() {
            let Some(pipeline) = self.names.get(&id).and_then(|number| self.pipelines.get_mut(number)) else {
                continue;
            };
            while let Some((job, because)) = pipeline.abandoned() {
                let Some(job) = pipeline.job_mut(&job) else { break };
                job.transition(now, Input::Abandon(because), effects);
            }
        }
        self.retire(effects);
        let newcomers: Vec<Turn> =
            self.pipelines.range(submitted_from..).map(|(_, pipeline)| pipeline.turn()).collect();
        // Where only submissions have happened, no one else finds more than before, unless a newcomer goes before the next in turn.
        let known = self.room.take().filter(|room| newcomers.iter().all(|turn| self.comes_last(room, *turn)));
        if let Some(room) = known {
            self.room = self.schedule(now, room, &newcomers, effects);
        }
        // What a gang that is stopped gives back may be another's own: as long as any is, everybody is asked once more.
        while self.room.is_none() {
            let all: Vec<Turn> = self.open.iter().copied().collect();
            let mut room = self.room();
            self.replenish(now, &mut room, effects);
            if let Some(mut room) = self.schedule(now, room, &all, effects) {
                self.grow(now, &mut room, effects);
                self.room = Some(room);
            }
        }
    }

    /// The slots that take tasks, as they are now.
    pub(super) fn room(&self) -> Room {
        Room::new(self.workers.values(), Claimed { used: self.used(), returning: self.returning(), owed: self.owed() })
    }

    /// The turn of a job.
    fn turn_of(&self, job: &JobId) -> Option<Turn> {
        Some(self.pipeline(&job.pipeline)?.turn())
    }

    /// Whether a newcomer finds no more than what those before it have left, and takes nothing from them.
    fn comes_last(&self, room: &Room, newcomer: Turn) -> bool {
        let claims =
            room.claims.iter().all(|claim| claim.right == Right::Own && self.turn_of(&claim.job) < Some(newcomer));
        claims && room.held.values().all(|job| self.turn_of(job) < Some(newcomer))
    }

    /// Gives slots to waiting jobs of pipelines in their turn, which is by priority and then by age, and in a pipeline to the jobs written
    /// first: at first to those that stay within the quota of their namespace, then to those that must borrow. The first job that finds
    /// too few may have others stopped. Gives the room that is left, if nobody was: what is used has changed then.
    fn schedule(&mut self, now: MonoTime, mut room: Room, turns: &[Turn], effects: &mut Effects) -> Option<Room> {
        let (claims, held) = (room.claims.len(), room.held.clone());
        let mut later = Vec::new();
        for turn in turns {
            let jobs = self.pipelines.get(&turn.number).map_or(0, |pipeline| pipeline.jobs.len());
            for index in 0..jobs {
                if !self.offer(now, &mut room, (*turn, index), Right::Own, effects) {
                    later.push((*turn, index));
                }
            }
        }
        for place in later {
            self.offer(now, &mut room, place, Right::Borrowed, effects);
        }
        let mut is_at_rest = true;
        for claim in &room.claims[claims..] {
            is_at_rest &= !self.preempt(now, &claim.job, claim.reserved, &room, effects);
        }
        let claimed = |job: &JobId| room.claims.iter().any(|claim| claim.job == *job);
        let new = room.held.iter().filter(|(name, job)| held.get(*name) != Some(job) && !claimed(job));
        let new: Vec<JobId> = new.map(|(_, job)| job.clone()).collect();
        for job in new {
            let Some(placement) = self.job(&job).map(|job| job.spec.placement.clone()) else { continue };
            is_at_rest &= !self.preempt(now, &job, room.free(&placement), &room, effects);
        }
        Some(room).filter(|_| is_at_rest)
    }

    /// Offers a waiting job the slots there are. Says whether it has been decided about: false where it may only borrow, and is to be
    /// asked again when all have been that need not.
    fn offer(
        &mut self,
        now: MonoTime,
        room: &mut Room,
        (turn, index): (Turn, usize),
        right: Right,
        effects: &mut Effects,
    ) -> bool {
        let Some(pipeline) = self.pipelines.get_mut(&turn.number) else { return true };
        let job = &pipeline.jobs[index];
        let JobState::Waiting(reason) = &job.state else { return true };
        if pipeline.suspended {
            pipeline.jobs[index].transition(now, Input::Wait(Reason::Suspended), effects);
            return true;
        }
        if matches!(reason, Reason::Backoff { until, .. } if *until > now) {
            return true;
        }
        let missing = pipeline.missing(job);
        let taken = if missing.is_empty() {
            let limits = self.namespaces.get(&pipeline.namespace).map(|namespace| &namespace.limits);
            let may_borrow = right == Right::Borrowed || room.is_owed(&job.id);
            let ceiling = PerKind::of(|kind| limits.map_or(u32::MAX, |limits| limits.most(kind)));
            let nominal = PerKind::of(|kind| limits.map_or(u32::MAX, |limits| limits.nominal(kind)));
            let most = if may_borrow { ceiling } else { nominal };
            let (demand, placement) = (job.demand(), &job.spec.placement);
            room.take(&Ask { job: &job.id, namespace: &pipeline.namespace, demand, placement, right, most, ceiling })
        } else {
            Taken::Nothing(Reason::Dependencies { missing })
        };
        match taken {
            Taken::Later => false,
            Taken::Nothing(reason) => {
                pipeline.jobs[index].transition(now, Input::Wait(reason), effects);
                true
            }
            Taken::Seats(seats) => {
                for (member, (slot, _)) in (0..).zip(&seats) {
                    if let Some(worker) = self.workers.get_mut(&slot.worker) {
                        let task = TaskId { job: job.id.clone(), attempt: job.attempts, member };
                        worker.occupy(slot.index, task);
                    }
                }
                let store_url = &pipeline.store_url;
                pipeline.jobs[index].transition(now, Input::Place { seats, store_url }, effects);
                let namespace = pipeline.namespace.clone();
                self.began(turn, &namespace);
                true
            }
        }
    }
}
