//! What those who ask are told.

use crate::ids::{PipelineId, WorkerId};
use crate::pipeline::PipelineState;
use crate::spec::Violations;
use crate::worker::Lease;

/// The answer to an event that asks for one.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Event::SubmitPipeline`](crate::event::Event::SubmitPipeline): the name it is known by.
    Submitted(Result<PipelineId, Violations>),
    /// To [`Event::CancelPipeline`](crate::event::Event::CancelPipeline).
    Cancelled(Result<(), CancelError>),
    /// To [`Event::WorkerJoined`](crate::event::Event::WorkerJoined): the lease of this stay.
    Joined(Result<Lease, JoinError>),
}

/// Why a pipeline was not cancelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// There is no such pipeline.
    #[error("no pipeline is called `{0}`")]
    Unknown(PipelineId),
    /// There is nothing left to cancel.
    #[error("pipeline `{pipeline}` is over already: `{state}`")]
    Over {
        /// The pipeline.
        pipeline: PipelineId,
        /// How it ended.
        state: PipelineState,
    },
}

/// Why a worker was not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Another worker of that name is alive.
    #[error("a worker called `{0}` is here already and alive: give each worker a name of its own")]
    NameTaken(WorkerId),
    /// It offers nothing.
    #[error("worker `{0}` offers no slots, expected at least one")]
    NoSlots(WorkerId),
}
