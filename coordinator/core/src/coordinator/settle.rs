//! What follows from the state as a whole: jobs that can no longer run, and jobs that can run now.

use super::Coordinator;
use crate::effect::Effects;
use crate::ids::TaskId;
use crate::job::{Input, JobState};
use crate::reason::Reason;
use crate::schedule::Room;
use crate::time::MonoTime;
use crate::worker::WorkerState;

impl Coordinator {
    /// Brings everything to rest: afterwards no job waits for what can't come, or for slots it could have.
    pub(super) fn settle(&mut self, now: MonoTime, effects: &mut Effects) {
        for number in &self.open {
            let Some(pipeline) = self.pipelines.get_mut(number) else { continue };
            while let Some((job, because)) = pipeline.abandoned() {
                let Some(job) = pipeline.job_mut(&job) else { break };
                job.transition(now, Input::Abandon(because), effects);
            }
        }
        self.retire(effects);
        self.schedule(now, effects);
    }

    /// Gives slots to waiting jobs: earlier pipelines first, and in a pipeline the jobs written first.
    fn schedule(&mut self, now: MonoTime, effects: &mut Effects) {
        let mut room = self.room();
        for number in &self.open {
            let Some(pipeline) = self.pipelines.get_mut(number) else { continue };
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
                        Input::Place { seats, store_url: &pipeline.store_url }
                    }
                };
                pipeline.jobs[index].transition(now, input, effects);
            }
        }
    }

    fn room(&self) -> Room {
        let mut room = Room::default();
        for worker in self.workers.values().filter(|worker| worker.state == WorkerState::Active) {
            for (id, slot) in worker.slots() {
                if slot.task.is_none() {
                    room.free.push((id.clone(), slot.device));
                }
                room.present.push((id, slot.device));
            }
        }
        room
    }
}
