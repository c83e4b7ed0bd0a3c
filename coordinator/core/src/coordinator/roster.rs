//! Who is here: workers that join, are heard, leave, or fall silent.

use std::collections::BTreeMap;

use super::Coordinator;
use crate::effect::{Close, Effects, Fact, JoinError};
use crate::failure::{Cause, Failure};
use crate::gang::{End, Gang};
use crate::ids::{JobId, TaskId, WorkerId};
use crate::job::{Input, JobState, STOP_TIMEOUT};
use crate::time::MonoTime;
use crate::worker::Arrival;
use crate::worker::{Lease, Worker, WorkerState};

impl Coordinator {
    /// Lets a worker in, unless one of that name is alive.
    pub(super) fn join(&mut self, now: MonoTime, arrival: Arrival, effects: &mut Effects) -> Result<Lease, JoinError> {
        // A holder of the name whose lease is over makes room for the newcomer.
        self.expire(now, effects);
        if self.workers.contains_key(&arrival.worker) {
            return Err(JoinError::NameTaken(arrival.worker));
        }
        if arrival.devices.is_empty() {
            return Err(JoinError::NoSlots(arrival.worker));
        }
        let held = arrival.tasks.clone();
        self.leases_until = match self.workers.is_empty() {
            true => now.after(self.lease),
            false => self.leases_until.min(now.after(self.lease)),
        };
        let mut worker = Worker::new(arrival, self.next_lease, now);
        self.next_lease += 1;
        let lease = worker.lease.clone();
        effects.facts.push(Fact::WorkerJoined(lease.worker.clone()));
        self.admit_drained(now, &mut worker, &held, effects);
        self.workers.insert(lease.worker.clone(), worker);
        self.adopt(now, &lease.worker, &held, effects);
        Ok(lease)
    }

    /// Whether the lease is that of a worker who is here now.
    pub(super) fn is_current(&self, lease: &Lease) -> bool {
        self.workers.get(&lease.worker).is_some_and(|worker| worker.lease == *lease)
    }

    /// Believes the worker for another lease. Says whether it is who it claims to be.
    pub(super) fn hear(&mut self, now: MonoTime, lease: &Lease) -> bool {
        match self.workers.get_mut(&lease.worker) {
            Some(worker) if worker.lease == *lease => {
                worker.heard = worker.heard.max(now);
                true
            }
            _ => false,
        }
    }

    /// The worker gets no new tasks.
    pub(super) fn leave(&mut self, now: MonoTime, lease: &Lease) {
        if self.hear(now, lease)
            && let Some(worker) = self.workers.get_mut(&lease.worker)
        {
            worker.state = WorkerState::Leaving;
        }
    }

    /// A worker that is leaving, and that the end of a member may be due to: its own one, and where all end together also that of
    /// another member, which may fail its peers before it is heard itself. What ends the gang's attempt then is no fault of the job.
    fn leaving(&self, gang: &Gang, number: u32) -> Option<WorkerId> {
        let of =
            |worker: &WorkerId| self.workers.get(worker).is_some_and(|worker| worker.state == WorkerState::Leaving);
        let members = gang.members.iter().filter(|(other, _)| !gang.is_elastic() || **other == number);
        members.map(|(_, member)| &member.slot.worker).find(|worker| of(worker)).cloned()
    }

    /// Gives up a worker and every task on it.
    pub(super) fn lose(&mut self, now: MonoTime, id: &WorkerId, reason: &str, effects: &mut Effects) {
        let Some(worker) = self.workers.get(id) else { return };
        let lease = &worker.lease;
        let tasks: Vec<TaskId> = worker.tasks().filter(|task| self.holds(lease, task)).cloned().collect();
        effects.facts.push(Fact::WorkerLost { worker: id.clone(), reason: reason.to_owned() });
        self.doom(now, &tasks, effects);
        for task in tasks {
            let message = format!("worker `{id}` was lost: {reason}");
            self.end(
                now,
                &task,
                End::Failed(Failure { task: task.clone(), cause: Cause::WorkerLost, message }),
                effects,
            );
        }
        if let Some(worker) = self.workers.remove(id) {
            self.part_with_drained(now, worker, effects);
        }
    }

    /// These tasks are lost, and their jobs are about to hear it one after the other: none of them is counted on meanwhile.
    pub(super) fn doom(&mut self, now: MonoTime, tasks: &[TaskId], effects: &mut Effects) {
        let mut doomed: BTreeMap<&JobId, Vec<u32>> = BTreeMap::new();
        for task in tasks {
            doomed.entry(&task.job).or_default().push(task.member);
        }
        for (job, members) in doomed {
            if let Some(job) = self.job_mut(job) {
                job.transition(now, Input::Doom { members }, effects);
            }
        }
    }

    /// A task is over: its slot is free, and its job hears of it.
    pub(super) fn end(&mut self, now: MonoTime, task: &TaskId, end: End, effects: &mut Effects) {
        for worker in self.workers.values_mut() {
            worker.release(task);
        }
        let gang = self.job(&task.job).and_then(|job| job.state.gang());
        let leaving = gang.and_then(|gang| self.leaving(gang, task.member));
        if let End::Failed(Failure { task, cause, message }) = &end {
            let (task, message) = (task.clone(), message.clone());
            effects.facts.push(Fact::TaskFailed { task, cause: *cause, message });
        }
        if let Some(job) = self.job_mut(&task.job) {
            job.transition(now, Input::Ended { member: task.member, end, leaving }, effects);
        }
    }

    /// Does what is due: ends the stay of silent workers, and the wait for tasks that neither come up nor stop.
    pub(super) fn expire(&mut self, now: MonoTime, effects: &mut Effects) {
        if self.leases_until <= now {
            let silent = self.workers.values().filter(|worker| worker.heard.after(self.lease) <= now);
            let silent: Vec<Lease> = silent.map(|worker| worker.lease.clone()).collect();
            for lease in silent {
                self.dismiss(now, lease, format!("silent for {} s", self.lease.as_secs_f64()), effects);
            }
            // Those that were heard since the last look have until then.
            let ends = self.workers.values().map(|worker| worker.heard.after(self.lease));
            self.leases_until = ends.min().unwrap_or_default();
        }
        self.give_up_awaited(now, effects);
        self.end_late(now, effects);
        let due = self.begun_jobs().filter(|job| job.state.deadline().is_some_and(|deadline| deadline <= now));
        let due: Vec<_> = due.map(|job| (job.id.clone(), job.state.clone())).collect();
        for (id, state) in due {
            match state {
                JobState::Running(gang) => {
                    let late = gang.leaving().filter(|(_, member, _)| member.since.after(STOP_TIMEOUT) <= now);
                    let late = late.map(|(number, member, _)| (gang.task(&id, number), member.slot.worker.clone()));
                    for (task, worker) in late.collect::<Vec<_>>() {
                        self.dismiss_late(now, &task, &worker, effects);
                    }
                    if let Some(job) = self.job_mut(&id) {
                        job.transition(now, Input::Overdue, effects);
                    }
                }
                JobState::Stopping { gang, .. } => {
                    for (task, slot) in gang.live(&id) {
                        self.dismiss_late(now, &task, &slot.worker, effects);
                    }
                }
                JobState::Waiting(_) | JobState::Over { .. } => {}
            }
        }
    }

    /// Ends the stay of a worker on which a task does not stop.
    fn dismiss_late(&mut self, now: MonoTime, task: &TaskId, worker: &WorkerId, effects: &mut Effects) {
        if let Some(worker) = self.workers.get(worker) {
            let reason = format!("task `{task}` did not stop within {} s", STOP_TIMEOUT.as_secs());
            self.dismiss(now, worker.lease.clone(), reason, effects);
        }
    }

    /// Ends a stay from this side. The agent may come back with what still runs, and is told then what nobody wants any more.
    fn dismiss(&mut self, now: MonoTime, lease: Lease, reason: String, effects: &mut Effects) {
        self.lose(now, &lease.worker, &reason, effects);
        effects.close.push(Close { lease, reason });
    }
}
