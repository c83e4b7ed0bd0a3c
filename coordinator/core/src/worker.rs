//! Workers: who is here, what they offer, and for how long they are believed.

use std::fmt;
use std::sync::Arc;

use crate::device::Device;
use crate::ids::{SlotId, TaskId, WorkerId};
use crate::spec::Labels;
use crate::time::MonoTime;

/// A worker that wants to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its name.
    pub worker: WorkerId,
    /// The device of each slot, in the order of the slot indices.
    pub devices: Vec<Device>,
    /// What its operator says about it.
    pub labels: Labels,
    /// The address its tasks can be reached at by those of other workers.
    pub host: String,
    /// The version of its program.
    pub version: String,
    /// Tasks that an earlier stay has left in its slots: they run still, or are over and nobody has taken in how.
    pub tasks: Vec<HeldTask>,
}

/// A task in a slot of a worker that joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldTask {
    /// The task.
    pub task: TaskId,
    /// Index of its slot.
    pub slot: u32,
}

/// One stay of a worker, from joining to being lost. Whatever a worker says under an older lease is stale.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The worker.
    pub worker: WorkerId,
    /// Grows with every stay of any worker.
    pub number: u64,
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.worker, self.number)
    }
}

/// Whether a worker takes new tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// It does.
    Active,
    /// It finishes what it has and leaves.
    Leaving,
    /// It was drained, and is here again: it stays, and gets no tasks until an operator says so.
    Drained,
    /// It was drained, and is not here.
    Away,
}

impl WorkerState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Active, Self::Leaving, Self::Drained, Self::Away];

    /// The word it is shown and counted by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Leaving => "leaving",
            Self::Drained => "drained",
            Self::Away => "away",
        }
    }
}

/// A place that runs one task at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// What it computes on.
    pub device: Device,
    /// What it runs; free when absent.
    pub task: Option<TaskId>,
}

/// A worker that is believed to be alive, or as it was when it was last here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// This stay.
    pub lease: Lease,
    /// Whether it takes new tasks.
    pub state: WorkerState,
    /// Its slots; the position is the index.
    pub slots: Vec<Slot>,
    /// What its operator says about it.
    pub labels: Arc<Labels>,
    /// The address its tasks can be reached at.
    pub host: String,
    /// The version of its program.
    pub version: String,
    /// When it joined.
    pub joined: MonoTime,
    /// When it was last heard.
    pub heard: MonoTime,
}

impl Worker {
    pub(crate) fn new(arrival: Arrival, number: u64, now: MonoTime) -> Self {
        Self {
            lease: Lease { worker: arrival.worker, number },
            state: WorkerState::Active,
            slots: arrival.devices.into_iter().map(|device| Slot { device, task: None }).collect(),
            labels: Arc::new(arrival.labels),
            host: arrival.host,
            version: arrival.version,
            joined: now,
            heard: now,
        }
    }

    /// A worker of which nothing is known but its name.
    pub(crate) fn away(worker: WorkerId) -> Self {
        Self {
            lease: Lease { worker, number: 0 },
            state: WorkerState::Away,
            slots: Vec::new(),
            labels: Arc::default(),
            host: String::new(),
            version: String::new(),
            joined: MonoTime::default(),
            heard: MonoTime::default(),
        }
    }

    /// Its slots with their names.
    pub fn slots(&self) -> impl Iterator<Item = (SlotId, &Slot)> {
        (0..).zip(&self.slots).map(|(index, slot)| (SlotId { worker: self.lease.worker.clone(), index }, slot))
    }

    /// The tasks it runs.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.slots.iter().filter_map(|slot| slot.task.as_ref())
    }

    pub(crate) fn occupy(&mut self, index: u32, task: TaskId) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.task = Some(task);
        }
    }

    pub(crate) fn release(&mut self, task: &TaskId) {
        for slot in &mut self.slots {
            if slot.task.as_ref() == Some(task) {
                slot.task = None;
            }
        }
    }
}
