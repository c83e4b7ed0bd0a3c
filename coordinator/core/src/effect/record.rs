//! What must not be forgotten.

use super::Membership;
use crate::event::RequestId;
use crate::ids::{Generation, JobId, NamespaceName, PipelineId, WorkerId};
use crate::job::{JobState, Ledger, Stop};
use crate::namespace::Namespace;
use crate::spec::PipelineSpec;
use crate::time::MonoTime;

/// A piece of durable state: the latest record of a kind and key replaces the earlier ones.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all records are those of jobs, and none is held for long")]
pub enum Record {
    /// A pipeline was accepted.
    Pipeline {
        /// Its final name and its jobs.
        spec: PipelineSpec,
        /// The request that submitted it.
        request: Option<RequestId>,
        /// Its place in the queue.
        number: u64,
        /// When.
        created: MonoTime,
    },
    /// A pipeline is to end.
    Cancelled {
        /// The pipeline.
        pipeline: PipelineId,
    },
    /// A pipeline is suspended, or goes on.
    Suspended {
        /// The pipeline.
        pipeline: PipelineId,
        /// Whether it is.
        suspended: bool,
    },
    /// A job's state.
    Job {
        /// The job.
        job: JobId,
        /// Attempts started so far.
        attempts: u32,
        /// Attempts that failed by no fault of a worker that was lost.
        failures: u32,
        /// The latest attempts that ended badly without any progress.
        fruitless: u32,
        /// The last generation formed.
        generation: Generation,
        /// When it first got slots.
        started: Option<MonoTime>,
        /// Since when it waits for what it waits for, or runs; absent in records of the first coordinators.
        since: Option<MonoTime>,
        /// What its slots were used for, and what it waited for.
        ledger: Ledger,
        /// The latest attempts that ended before their work was done.
        stops: Vec<Stop>,
        /// Its state.
        state: JobState,
    },
    /// A generation was formed.
    Generation {
        /// The job whose run it belongs to.
        job: JobId,
        /// Who takes part.
        membership: Membership,
    },
    /// A namespace was made or changed.
    Namespace(Namespace),
    /// A namespace is gone.
    NamespaceDeleted {
        /// The namespace.
        namespace: NamespaceName,
    },
    /// A worker is drained.
    Drained {
        /// The worker.
        worker: WorkerId,
        /// When that is forgotten, unless the worker is here.
        until: MonoTime,
    },
    /// A worker is drained no longer.
    Undrained {
        /// The worker.
        worker: WorkerId,
    },
    /// A pipeline is no longer kept.
    Forgotten {
        /// The pipeline.
        pipeline: PipelineId,
    },
}
