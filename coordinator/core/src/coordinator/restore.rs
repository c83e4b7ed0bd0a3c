//! A coordinator that takes over from an earlier one: what the records say, and the workers that come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Coordinator;
use crate::device::DeviceKind;
use crate::effect::{Command, Effects, Record};
use crate::failure::{Cause, Failure};
use crate::gang::{End, MemberState};
use crate::ids::{JobId, PipelineId, SlotId, TaskId, WorkerId};
use crate::job::{Input, JobState};
use crate::pipeline::Pipeline;
use crate::reason::Reason;
use crate::time::MonoTime;
use crate::worker::HeldTask;

/// How long workers may take to come back to a coordinator that has just started: several tries of an agent, and a slow network.
pub(super) const RETURN_TIMEOUT: Duration = Duration::from_secs(30);

impl Coordinator {
    /// A coordinator that goes on where the one that left these records was: its latest record of each kind and key, in any
    /// order. Jobs are where they were; those that ran wait for their workers to come back with their tasks.
    ///
    /// Records of jobs whose pipeline has none are left out: a pipeline is recorded before its jobs.
    pub fn restore(lease: Duration, now: MonoTime, records: impl IntoIterator<Item = Record>) -> Self {
        let mut core = Self::new(lease);
        let mut jobs = Vec::new();
        let mut cancelled: Vec<PipelineId> = Vec::new();
        let mut suspensions: BTreeMap<PipelineId, bool> = BTreeMap::new();
        for record in records {
            match record {
                Record::Pipeline { spec, request, number, created } => {
                    core.next_pipeline = core.next_pipeline.max(number + 1);
                    core.names.insert(spec.name.clone(), number);
                    core.requests.extend(request.map(|request| ((spec.namespace.clone(), request), number)));
                    core.pipelines.insert(number, Pipeline::new(spec, number, request, created));
                }
                Record::Cancelled { pipeline } => cancelled.push(pipeline),
                Record::Suspended { pipeline, suspended } => {
                    suspensions.insert(pipeline, suspended);
                }
                Record::Job { .. } => jobs.push(record),
                Record::Namespace(namespace) => {
                    core.namespaces.insert(namespace.name.clone(), namespace);
                }
                Record::Drained { worker, until } => core.restore_drain(now, worker, until),
                // The gang in the record of its job says the same of the last one.
                Record::Generation { .. }
                | Record::Forgotten { .. }
                | Record::NamespaceDeleted { .. }
                | Record::Undrained { .. } => {}
            }
        }
        for pipeline in cancelled {
            if let Some(pipeline) = core.names.get(&pipeline).and_then(|number| core.pipelines.get_mut(number)) {
                pipeline.cancelled = true;
            }
        }
        for (pipeline, suspended) in suspensions {
            if let Some(pipeline) = core.names.get(&pipeline).and_then(|number| core.pipelines.get_mut(number)) {
                pipeline.suspended = suspended;
            }
        }
        for record in jobs {
            core.restore_job(now, record);
        }
        let mut ended: BTreeMap<(Option<MonoTime>, u64), u64> = BTreeMap::new();
        let pipelines = std::mem::take(&mut core.pipelines);
        for (&number, pipeline) in &pipelines {
            if pipeline.is_over() {
                ended.insert((pipeline.ended(), number), number);
                continue;
            }
            core.opened(pipeline);
            if pipeline.jobs.iter().any(|job| job.attempts > 0) {
                core.began(pipeline.turn(), &pipeline.namespace);
            }
        }
        core.pipelines = pipelines;
        ended.into_values().for_each(|number| core.remember(number));
        core
    }

    fn restore_job(&mut self, now: MonoTime, record: Record) {
        let Record::Job {
            job: id,
            attempts,
            failures,
            fruitless,
            generation,
            started,
            since,
            ledger,
            stops,
            mut state,
        } = record
        else {
            return;
        };
        match &mut state {
            // Nothing could be done while there was no coordinator: what is waited for begins anew.
            JobState::Running(gang) => gang.wait_anew(now),
            JobState::Stopping { since, .. } => *since = now,
            // The clock may have been set back.
            JobState::Waiting(Reason::Backoff { until, pause, .. }) => *until = (*until).min(now.after(*pause)),
            JobState::Waiting(_) | JobState::Over { .. } => {}
        }
        // Nor is it known what was waited for while there was none.
        let since = if matches!(state, JobState::Waiting(_)) { Some(now) } else { since };
        let holders: Vec<WorkerId> = match state.gang() {
            Some(gang) => gang.live(&id).map(|(_, slot)| slot.worker.clone()).collect(),
            None => Vec::new(),
        };
        let Some(job) = self.job_mut(&id) else { return };
        (job.attempts, job.failures, job.fruitless, job.generation) = (attempts, failures, fruitless, generation);
        (job.started, job.since, job.ledger, job.stops, job.state) =
            (started, since.unwrap_or(now), ledger, stops, state);
        self.awaited.extend(holders.into_iter().map(|worker| (worker, now.after(RETURN_TIMEOUT))));
    }

    /// Takes up the tasks of a worker that has joined: those it holds and should, those it should hold and was never told of,
    /// and those that it has lost. What it holds and should not keeps its slot until it has stopped.
    pub(super) fn adopt(&mut self, now: MonoTime, worker: &WorkerId, held: &[HeldTask], effects: &mut Effects) {
        self.awaited.remove(worker);
        self.revive(now, worker, held, effects);
        let expected = self.expected_on(worker);
        if let Some(here) = self.workers.get_mut(worker) {
            // Those that should be there last: the end of an earlier task may be told beside the one that has its slot now.
            let rest = held.iter().map(|held| (&held.task, held.slot));
            let wanted = expected.iter().filter(|(task, _)| held.iter().any(|held| held.task == *task));
            for (task, slot) in rest.chain(wanted.map(|(task, slot)| (task, *slot))) {
                here.occupy(slot, task.clone());
            }
        }
        for unwanted in held.iter().filter(|held| expected.iter().all(|(task, _)| *task != held.task)) {
            let reason = "the task is not wanted any more".to_owned();
            effects.send(worker, unwanted.task.clone(), Command::Stop { reason });
        }
        let missing = expected.iter().map(|(task, _)| task).filter(|task| held.iter().all(|held| held.task != **task));
        // What a drained worker was not told of yet is for another one.
        let is_drained = self.drained.contains_key(worker);
        let missing: Vec<TaskId> = missing.filter(|task| is_drained || !self.is_starting(task)).cloned().collect();
        self.doom(now, &missing, effects);
        for (task, slot) in expected {
            let here = held.iter().any(|held| held.task == task);
            let Some(job) = self.job(&task.job) else { continue };
            let is_starting = !is_drained && self.is_starting(&task);
            let device =
                self.workers.get(worker).and_then(|worker| worker.slots.get(slot as usize)).map(|slot| slot.device);
            let store_url = self.pipeline(&task.job.pipeline).map_or("", |pipeline| pipeline.store_url.as_str());
            match (here, is_starting, device) {
                (true, _, Some(_)) => job.resume(task.member, None, store_url, effects),
                (false, true, Some(device)) => {
                    job.resume(task.member, Some(device), store_url, effects);
                    if let Some(worker) = self.workers.get_mut(worker) {
                        worker.occupy(slot, task);
                    }
                }
                (true, _, None) => {
                    self.lose_task(now, task, format!("worker `{worker}` came back without its slot {slot}"), effects);
                }
                (false, ..) => self.lose_task(now, task, format!("worker `{worker}` came back without it"), effects),
            }
        }
    }

    /// Whether a task has been placed and has not come up yet.
    fn is_starting(&self, task: &TaskId) -> bool {
        let Some(JobState::Running(gang)) = self.job(&task.job).map(|job| &job.state) else { return false };
        gang.live_member(task).is_some_and(|member| member.state == MemberState::Starting)
    }

    /// Takes back ranks that were given up when their worker was: they hold what they had come to, and the rest of their group may
    /// have gone on without them. One whose slot has been given to another is over, and its agent was not told yet.
    fn revive(&mut self, now: MonoTime, worker: &WorkerId, held: &[HeldTask], effects: &mut Effects) {
        let given: BTreeSet<u32> = self.expected_on(worker).into_iter().map(|(_, slot)| slot).collect();
        for HeldTask { task, slot } in held.iter().filter(|held| !given.contains(&held.slot)) {
            let devices = self.workers.get(worker).map(|worker| &worker.slots);
            let device = devices.and_then(|slots| slots.get(*slot as usize)).map(|slot| slot.device);
            let Some(device) = device.filter(|device| self.may_use(&task.job, device.kind())) else { continue };
            let Some(job) = self.job_mut(&task.job) else { continue };
            let JobState::Running(gang) = &job.state else { continue };
            let is_lost = task.attempt == gang.attempt && task.member < gang.next_member;
            let is_lost = is_lost && !gang.members.contains_key(&task.member) && gang.kind() == Some(device.kind());
            if is_lost && gang.can_take_back() {
                let seat = (SlotId { worker: worker.clone(), index: *slot }, device);
                job.transition(now, Input::Revive { member: task.member, seat }, effects);
            }
        }
    }

    /// Whether the namespace of a job may use one slot more.
    fn may_use(&self, job: &JobId, kind: DeviceKind) -> bool {
        let Some(pipeline) = self.pipeline(&job.pipeline) else { return false };
        let used = self.used().get(&pipeline.namespace).copied().unwrap_or_default();
        *used.get(kind) < self.limits(&pipeline.namespace).most(kind)
    }

    /// Gives up the tasks of workers that have not come back in time.
    pub(super) fn give_up_awaited(&mut self, now: MonoTime, effects: &mut Effects) {
        let late: Vec<WorkerId> =
            self.awaited.iter().filter(|(_, until)| **until <= now).map(|(worker, _)| worker.clone()).collect();
        let tasks = late.iter().flat_map(|worker| self.expected_on(worker)).map(|(task, _)| task);
        self.doom(now, &tasks.collect::<Vec<_>>(), effects);
        for worker in late {
            self.awaited.remove(&worker);
            let waited = RETURN_TIMEOUT.as_secs();
            for (task, _) in self.expected_on(&worker) {
                let message =
                    format!("worker `{worker}` did not come back within {waited} s of the coordinator's start");
                self.lose_task(now, task, message, effects);
            }
        }
    }

    /// When the next worker that is waited for is given up.
    pub(super) fn return_deadline(&self) -> Option<MonoTime> {
        self.awaited.values().min().copied()
    }

    /// The tasks that are not over and were placed on a worker, with the index of their slot.
    fn expected_on(&self, worker: &WorkerId) -> Vec<(TaskId, u32)> {
        let live = self.begun_jobs().filter_map(|job| Some(job.state.gang()?.live(&job.id)));
        live.flatten().filter(|(_, slot)| slot.worker == *worker).map(|(task, slot)| (task, slot.index)).collect()
    }

    fn lose_task(&mut self, now: MonoTime, task: TaskId, message: String, effects: &mut Effects) {
        let failure = Failure { task: task.clone(), cause: Cause::WorkerLost, message };
        self.end(now, &task, End::Failed(failure), effects);
    }
}
