//! Workers that get no tasks until an operator says so, however often they, or the coordinator, come back.

use std::time::Duration;

use super::Coordinator;
use crate::effect::{Effects, Fact, Record, WorkerError};
use crate::ids::WorkerId;
use crate::time::MonoTime;
use crate::worker::{HeldTask, Worker, WorkerState};

/// How long a drained worker may be away: when it comes back later, or another one of its name, it is drained no longer.
pub const DRAIN_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How many workers may be drained, here or not.
pub const DRAINED_WORKERS: usize = 10_000;

/// For so long a coordinator that has just begun takes none of them for gone: it does not know who was here yesterday.
const RESTART_GRACE: Duration = Duration::from_secs(24 * 3600);

/// That a worker is drained.
#[derive(Debug)]
pub(super) struct Drain {
    /// When it is forgotten, unless the worker is here.
    until: MonoTime,
    /// The worker as it was last here; absent while it is.
    away: Option<Worker>,
}

impl Drain {
    pub(super) fn away(&self) -> Option<&Worker> {
        self.away.as_ref()
    }

    /// Whether the worker has been away for too long.
    fn has_lapsed(&self, now: MonoTime) -> bool {
        self.away.is_some() && self.until <= now
    }
}

impl Coordinator {
    /// Every worker that is here or drained, by name.
    pub fn known_workers(&self) -> impl Iterator<Item = &Worker> {
        let mut here = self.workers.values().peekable();
        let mut away = self.drained.values().filter_map(Drain::away).peekable();
        std::iter::from_fn(move || match (here.peek(), away.peek()) {
            (Some(one), Some(other)) if one.lease.worker < other.lease.worker => here.next(),
            (Some(_), None) => here.next(),
            (_, Some(_)) => away.next(),
            (None, None) => None,
        })
    }

    /// Whether a worker can be drained.
    ///
    /// # Errors
    /// Why it can't.
    pub fn check_drain(&self, id: &WorkerId) -> Result<(), WorkerError> {
        self.check_known(id)?;
        match self.drained.len() >= DRAINED_WORKERS && !self.drained.contains_key(id) {
            true => Err(WorkerError::TooMany { limit: DRAINED_WORKERS }),
            false => Ok(()),
        }
    }

    /// Whether a worker is here or drained.
    ///
    /// # Errors
    /// [`WorkerError::Unknown`].
    pub fn check_known(&self, id: &WorkerId) -> Result<(), WorkerError> {
        self.worker(id).map(|_| ()).ok_or_else(|| WorkerError::Unknown(id.clone()))
    }

    /// The worker is told to leave, and gets no new tasks from now on. Its agent stops its tasks, as when it is told so on its own node.
    pub(super) fn drain(&mut self, now: MonoTime, id: WorkerId, effects: &mut Effects) -> Result<(), WorkerError> {
        let lapsed = self.drained.iter().filter(|(_, drain)| drain.has_lapsed(now)).map(|(worker, _)| worker.clone());
        for worker in lapsed.collect::<Vec<_>>() {
            self.end_drain(worker, true, effects);
        }
        self.check_drain(&id)?;
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.state = WorkerState::Leaving;
            effects.drain.push(worker.lease.clone());
        }
        if !self.drained.contains_key(&id) {
            effects.facts.push(Fact::WorkerDrained(id.clone()));
            self.keep_drain(now, id, None, effects);
        }
        Ok(())
    }

    /// The worker gets tasks again: at once where it is here, and when it comes back where it is not, or leaves as it was told to.
    pub(super) fn undrain(&mut self, id: WorkerId, effects: &mut Effects) -> Result<(), WorkerError> {
        self.check_known(&id)?;
        self.end_drain(id, false, effects);
        Ok(())
    }

    /// A worker joins that may be drained. One that has something of an earlier stay is told to leave again, for it was not told, or was
    /// in the midst of it; any other has left, and was started again.
    pub(super) fn admit_drained(
        &mut self,
        now: MonoTime,
        worker: &mut Worker,
        held: &[HeldTask],
        effects: &mut Effects,
    ) {
        let id = &worker.lease.worker;
        let Some(drain) = self.drained.get_mut(id) else { return };
        if drain.has_lapsed(now) {
            return self.end_drain(id.clone(), true, effects);
        }
        drain.away = None;
        worker.state = WorkerState::Drained;
        if !held.is_empty() {
            worker.state = WorkerState::Leaving;
            effects.drain.push(worker.lease.clone());
        }
    }

    /// A worker is gone that may be drained.
    pub(super) fn part_with_drained(&mut self, now: MonoTime, mut worker: Worker, effects: &mut Effects) {
        let id = worker.lease.worker.clone();
        if self.drained.contains_key(&id) {
            worker.state = WorkerState::Away;
            worker.slots.iter_mut().for_each(|slot| slot.task = None);
            self.keep_drain(now, id, Some(worker), effects);
        }
    }

    /// What an earlier coordinator has kept.
    pub(super) fn restore_drain(&mut self, now: MonoTime, worker: WorkerId, until: MonoTime) {
        let away = Some(Worker::away(worker.clone()));
        self.drained.insert(worker, Drain { until: until.max(now.after(RESTART_GRACE)), away });
    }

    fn keep_drain(&mut self, now: MonoTime, worker: WorkerId, away: Option<Worker>, effects: &mut Effects) {
        let until = now.after(DRAIN_KEPT);
        effects.persist.push(Record::Drained { worker: worker.clone(), until });
        self.drained.insert(worker, Drain { until, away });
    }

    fn end_drain(&mut self, id: WorkerId, lapsed: bool, effects: &mut Effects) {
        if self.drained.remove(&id).is_none() {
            return;
        }
        if let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.state == WorkerState::Drained) {
            worker.state = WorkerState::Active;
        }
        effects.persist.push(Record::Undrained { worker: id.clone() });
        effects.facts.push(Fact::WorkerUndrained { worker: id, lapsed });
    }
}
