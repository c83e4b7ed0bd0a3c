//! What follows from the state as a whole: jobs that can no longer run, and jobs that can run now.

use std::cmp::Reverse;

use super::Coordinator;
use crate::effect::Effects;
use crate::ids::{JobId, SlotId, TaskId};
use crate::job::{Input, JobState};
use crate::pipeline::Turn;
use crate::reason::Reason;
use crate::schedule::{Room, Seat, largest_gang, victims};
use crate::time::MonoTime;
use crate::worker::WorkerState;

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
        match self.room.take() {
            // Where only submissions have happened, no one else finds more than before, unless a newcomer goes before the next in turn.
            Some(room) if newcomers.iter().all(|turn| self.claimant(&room).is_none_or(|claim| claim < *turn)) => {
                self.schedule(now, room, &newcomers, effects);
            }
            _ => {
                let all: Vec<Turn> = self.open.iter().copied().collect();
                self.schedule(now, self.room(), &all, effects);
            }
        }
    }

    /// The turn of the job that has the next claim on free slots.
    fn claimant(&self, room: &Room) -> Option<Turn> {
        Some(self.pipeline(&room.claim.as_ref()?.pipeline)?.turn())
    }

    /// Gives slots to waiting jobs of pipelines in their turn, which is by priority and then by age, and in a pipeline to the jobs written
    /// first. The first job that finds too few may have the tasks of lower ones stopped.
    fn schedule(&mut self, now: MonoTime, mut room: Room, turns: &[Turn], effects: &mut Effects) {
        let claimed = room.claim.clone();
        for turn in turns {
            let Some(pipeline) = self.pipelines.get_mut(&turn.number) else { continue };
            for index in 0..pipeline.jobs.len() {
                let job = &pipeline.jobs[index];
                let JobState::Waiting(reason) = &job.state else { continue };
                if matches!(reason, Reason::Backoff { until, .. } if *until > now) {
                    continue;
                }
                let missing = pipeline.missing(job);
                let taken = if missing.is_empty() {
                    room.take(&job.id, job.demand())
                } else {
                    Err(Reason::Dependencies { missing })
                };
                let input = match taken {
                    Err(reason) => Input::Wait(reason),
                    Ok(seats) => {
                        for (member, (slot, _)) in (0..).zip(&seats) {
                            if let Some(worker) = self.workers.get_mut(&slot.worker) {
                                let task = TaskId { job: job.id.clone(), attempt: job.attempts, member };
                                worker.occupy(slot.index, task);
                            }
                        }
                        self.begun.insert(*turn);
                        Input::Place { seats, store_url: &pipeline.store_url }
                    }
                };
                pipeline.jobs[index].transition(now, input, effects);
            }
        }
        if let Some(job) = room.claim.clone().filter(|_| room.claim != claimed) {
            self.preempt(now, &job, room.free.clone(), effects);
        }
        self.room = Some(room);
    }

    /// Stops gangs of lower priority where that gives a job its slots, and no more of them than it takes. What is stopping already
    /// counts as free: its slots come back without another word.
    fn preempt(&mut self, now: MonoTime, job: &JobId, free: Vec<Seat>, effects: &mut Effects) {
        let Some((demand, priority)) = self
            .pipeline(&job.pipeline)
            .and_then(|pipeline| Some((pipeline.job(&job.name)?.demand(), pipeline.priority)))
        else {
            return;
        };
        let mut soon = free;
        let mut lower = Vec::new();
        for pipeline in self.begun.iter().filter_map(|turn| self.pipelines.get(&turn.number)) {
            for other in &pipeline.jobs {
                let Some(gang) = other.state.gang() else { continue };
                let seats = gang.live(&other.id).filter_map(|(_, slot)| self.seat(slot));
                match other.state {
                    JobState::Stopping { .. } => soon.extend(seats),
                    _ if pipeline.priority < priority => {
                        lower.push(((pipeline.priority, Reverse(gang.placed)), other.id.clone(), seats.collect()));
                    }
                    _ => {}
                }
            }
        }
        lower.sort();
        let lower = lower.into_iter().map(|(_, victim, seats)| (victim, seats)).collect();
        for victim in victims(demand, &soon, lower) {
            if let Some(victim) = self.job_mut(&victim) {
                victim.transition(now, Input::Preempt { by: job.clone() }, effects);
            }
        }
    }

    /// A slot that takes tasks, with its device.
    fn seat(&self, slot: &SlotId) -> Option<Seat> {
        let worker = self.workers.get(&slot.worker).filter(|worker| worker.state == WorkerState::Active)?;
        Some((slot.clone(), worker.slots.get(slot.index as usize)?.device))
    }

    fn room(&self) -> Room {
        let (mut free, mut present) = (Vec::new(), Vec::new());
        for worker in self.workers.values().filter(|worker| worker.state == WorkerState::Active) {
            for (id, slot) in worker.slots() {
                if slot.task.is_none() {
                    free.push((id, slot.device));
                }
                present.push(slot.device);
            }
        }
        Room { free, present: present.len() as u32, largest: largest_gang(&present), claim: None }
    }
}
