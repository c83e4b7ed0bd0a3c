//! What tasks say.

use super::Coordinator;
use crate::effect::{Command, Effects};
use crate::event::TaskReport;
use crate::failure::Failure;
use crate::gang::End;
use crate::ids::TaskId;
use crate::job::Input;
use crate::time::MonoTime;
use crate::worker::Lease;

impl Coordinator {
    /// Takes in a task's word, if it is one that runs, on the worker that passes it on.
    pub(super) fn report(
        &mut self,
        now: MonoTime,
        from: &Lease,
        task: TaskId,
        report: TaskReport,
        effects: &mut Effects,
    ) {
        if !self.hear(now, from) {
            return;
        }
        let is_over = matches!(report, TaskReport::Succeeded { .. } | TaskReport::Failed { .. } | TaskReport::Stopped);
        let goes_on = !is_over;
        if !self.holds(from, &task) {
            let command = if goes_on {
                Command::Stop { reason: "the task is not wanted any more".to_owned() }
            } else {
                // It may have been left in its slot by an earlier stay.
                if let Some(worker) = self.workers.get_mut(&from.worker) {
                    worker.release(&task);
                }
                Command::Settle
            };
            return effects.send(&from.worker, task, command);
        }
        if !goes_on {
            effects.send(&from.worker, task.clone(), Command::Settle);
        }
        match report {
            TaskReport::Ready { store_address } => {
                if let Some(job) = self.job_mut(&task.job) {
                    job.transition(now, Input::Ready { member: task.member, store_address }, effects);
                }
            }
            TaskReport::Progress(progress) => {
                if let Some(job) = self.job_mut(&task.job) {
                    job.progress(now, progress, effects);
                }
            }
            TaskReport::Silence { over } => {
                if let Some(job) = self.job_mut(&task.job) {
                    job.transition(now, Input::Silence { member: task.member, over }, effects);
                }
            }
            TaskReport::Stalled { generation, stall } => {
                if let Some(job) = self.job_mut(&task.job) {
                    job.stalled(now, (task.member, generation), stall, effects);
                }
            }
            TaskReport::GotOn => {
                if let Some(job) = self.job_mut(&task.job) {
                    job.got_on(now, task.member, effects);
                }
            }
            TaskReport::Paced(pace) => {
                if let Some(job) = self.job_mut(&task.job) {
                    job.paced(now, task.member, &pace, effects);
                }
            }
            TaskReport::Parted { generation, missing, reason } => {
                let peers = missing.iter().filter(|peer| peer.job == task.job && peer.attempt == task.attempt);
                let missing = peers.map(|peer| peer.member).collect();
                if let Some(job) = self.job_mut(&task.job) {
                    let parted = Input::Parted { member: task.member, generation, missing, reason: &reason };
                    job.transition(now, parted, effects);
                }
            }
            TaskReport::Succeeded { figures } => self.end(now, &task, End::Succeeded(figures), effects),
            TaskReport::Failed { cause, message } => {
                let failure = Failure { task: task.clone(), cause, message };
                self.end(now, &task, End::Failed(failure), effects);
            }
            TaskReport::Stopped => self.end(now, &task, End::Stopped, effects),
        }
    }

    /// Whether the task is one that is not over, and was given to that worker.
    pub fn holds(&self, from: &Lease, task: &TaskId) -> bool {
        let gang = self.job(&task.job).and_then(|job| job.state.gang());
        gang.and_then(|gang| gang.live_member(task)).is_some_and(|member| member.slot.worker == from.worker)
    }
}
