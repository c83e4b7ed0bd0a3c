//! What those who ask are told.

use crate::ids::{NamespaceName, PipelineId, WorkerId};
use crate::namespace::Namespace;
use crate::pipeline::PipelineState;
use crate::spec::Violations;
use crate::worker::Lease;

/// The answer to an event that asks for one.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Event::SubmitPipeline`](crate::event::Event::SubmitPipeline): the name it is known by.
    Submitted(Result<PipelineId, SubmitError>),
    /// To [`Event::CancelPipeline`](crate::event::Event::CancelPipeline),
    /// [`Event::SuspendPipeline`](crate::event::Event::SuspendPipeline) and
    /// [`Event::ResumePipeline`](crate::event::Event::ResumePipeline).
    Pipeline(Result<(), PipelineError>),
    /// To [`Event::UpdateNamespace`](crate::event::Event::UpdateNamespace) and
    /// [`Event::DeleteNamespace`](crate::event::Event::DeleteNamespace): the namespace as it is, or was.
    Namespace(Result<Namespace, NamespaceError>),
    /// To [`Event::DrainWorker`](crate::event::Event::DrainWorker) and [`Event::UndrainWorker`](crate::event::Event::UndrainWorker).
    Worker(Result<(), WorkerError>),
    /// To [`Event::WorkerJoined`](crate::event::Event::WorkerJoined): the lease of this stay.
    Joined(Result<Lease, JoinError>),
}

/// Why a pipeline was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Its specification breaks rules.
    #[error(transparent)]
    Invalid(#[from] Violations),
    /// So many are waiting already that it has to be submitted again later.
    #[error("{}", queue_full(.namespace.as_ref(), *.open, *.limit))]
    QueueFull {
        /// The namespace whose limit it is; that of the whole coordinator when absent.
        namespace: Option<NamespaceName>,
        /// How many there are.
        open: u32,
        /// How many there may be.
        limit: u32,
    },
}

fn queue_full(namespace: Option<&NamespaceName>, open: u32, limit: u32) -> String {
    match namespace {
        Some(name) => format!(
            "{open} pipelines of namespace `{name}` wait for their first slot, and {limit} may: submit it again when some have begun"
        ),
        None => format!("{open} pipelines are not over, and {limit} may be: submit it again when some have ended"),
    }
}

/// Why nothing was done to a namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// There is no such namespace.
    #[error("no namespace is called `{name}`")]
    Unknown {
        /// The name.
        name: NamespaceName,
    },
    /// It has changed since it was read.
    #[error("namespace `{name}` has changed since: it has revision {found}, expected {expected}; read it again")]
    Changed {
        /// The name.
        name: NamespaceName,
        /// The revision it has.
        found: u64,
        /// The one that was expected.
        expected: u64,
    },
    /// Pipelines in it are not over.
    #[error("{open} pipelines in namespace `{name}` are not over: cancel them, or wait until they have ended")]
    InUse {
        /// The name.
        name: NamespaceName,
        /// How many.
        open: u32,
    },
    /// It is where pipelines go that name none.
    #[error("namespace `{name}` is that of pipelines which name none, and can't be deleted")]
    Default {
        /// The name.
        name: NamespaceName,
    },
}

/// Why a pipeline was not cancelled, suspended or resumed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PipelineError {
    /// There is no such pipeline.
    #[error("no pipeline is called `{0}`")]
    Unknown(PipelineId),
    /// Nothing will happen to it any more.
    #[error("pipeline `{pipeline}` is over already: `{state}`")]
    Over {
        /// The pipeline.
        pipeline: PipelineId,
        /// How it ended.
        state: PipelineState,
    },
}

/// Why a worker was not drained, or not let work again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// It is not here, and not drained.
    #[error("no worker is called `{0}`")]
    Unknown(WorkerId),
    /// So many are drained that no more can be remembered.
    #[error("{limit} workers are drained, which is the most: undo it for some that are gone")]
    TooMany {
        /// The most.
        limit: usize,
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
