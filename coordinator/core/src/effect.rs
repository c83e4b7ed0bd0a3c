//! Everything the core wants done.

mod answer;
mod command;
mod fact;
mod record;

use std::collections::BTreeSet;

use crate::ids::{PipelineId, TaskId, WorkerId};
use crate::worker::Lease;

pub use answer::{Answer, JoinError, NamespaceError, PipelineError, SubmitError, WorkerError};
pub use command::{Command, Membership, Start};
pub use fact::{EvictReason, Fact, FormReason};
pub use record::Record;

/// What one event leads to. The shell carries out [`Effects::persist`] first, and nothing else before that has succeeded;
/// then the fields in the order they are written here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Effects {
    /// Must not be forgotten.
    pub persist: Vec<Record>,
    /// Streams that must be ended.
    pub close: Vec<Close>,
    /// The answer to the event, where it asks for one.
    pub answer: Option<Answer>,
    /// Workers that must be told to leave.
    pub drain: Vec<Lease>,
    /// Must be told to workers, in this order.
    pub send: Vec<Dispatch>,
    /// Pipelines that look different now.
    pub changed: BTreeSet<PipelineId>,
    /// Pipelines that are no longer known.
    pub forgotten: Vec<PipelineId>,
    /// For logs and metrics.
    pub facts: Vec<Fact>,
}

impl Effects {
    pub(crate) fn send(&mut self, worker: &WorkerId, task: TaskId, command: Command) {
        self.send.push(Dispatch { worker: worker.clone(), task, command });
    }
}

/// A stream to a worker that must be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The stay that is over.
    pub lease: Lease,
    /// Why.
    pub reason: String,
}

/// A command on its way to a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// The worker that holds the task.
    pub worker: WorkerId,
    /// The task.
    pub task: TaskId,
    /// What it is told.
    pub command: Command,
}
