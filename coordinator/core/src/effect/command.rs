//! What tasks are told.

use crate::device::Device;
use crate::ids::{Generation, TaskId};
use crate::spec::JobSpec;
use crate::time::MonoTime;

/// What a task is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begin.
    Start(Box<Start>),
    /// Join a generation.
    Membership(Membership),
    /// Stop at the next step boundary.
    Stop {
        /// Why.
        reason: String,
    },
    /// Nothing any more: its end has been taken in, and its worker need not tell of it again.
    Settle,
}

/// Everything a task is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Index of the slot that runs it.
    pub slot: u32,
    /// The slot's device.
    pub device: Device,
    /// Where corpora and runs live.
    pub store_url: String,
    /// How many tasks the gang has.
    pub gang_size: u32,
    /// The job it works on.
    pub job: JobSpec,
    /// When that was submitted: tells it apart from earlier ones of its name.
    pub submitted: MonoTime,
}

/// One membership of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Fences everything older.
    pub generation: Generation,
    /// The tasks in the order of their ranks.
    pub ranks: Vec<TaskId>,
    /// The rendezvous store that the task of rank 0 serves; absent where there is nobody to meet.
    pub store_address: Option<String>,
    /// Whether the one before is broken: its collectives are left at once, and not at the next step boundary.
    pub urgent: bool,
}
