//! Everything that can happen to the coordinator.

use std::collections::BTreeMap;

use crate::failure::Cause;
use crate::ids::{Epoch, Generation, PipelineId, TaskId, WorkerId};
use crate::namespace::{NamespaceDeletion, NamespaceUpdate};
use crate::pace::Pace;
use crate::spec::PipelineSpec;
use crate::stall::Stall;
use crate::worker::{Arrival, Lease};

/// A client's name for one request, so that the same request sent again is not carried out again: a UUID's 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

/// Something that happened outside the core.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A user asks for a pipeline. Answered by [`Answer::Submitted`](crate::effect::Answer::Submitted).
    SubmitPipeline {
        /// What is asked for.
        spec: PipelineSpec,
        /// The client's name for the request.
        request: Option<RequestId>,
    },
    /// A user wants a pipeline to end. Answered by [`Answer::Pipeline`](crate::effect::Answer::Pipeline).
    CancelPipeline {
        /// The pipeline.
        pipeline: PipelineId,
    },
    /// A user wants a pipeline to hold no slots until it is resumed. Answered by [`Answer::Pipeline`](crate::effect::Answer::Pipeline).
    SuspendPipeline {
        /// The pipeline.
        pipeline: PipelineId,
    },
    /// A user wants a suspended pipeline to go on. Answered by [`Answer::Pipeline`](crate::effect::Answer::Pipeline).
    ResumePipeline {
        /// The pipeline.
        pipeline: PipelineId,
    },
    /// A user makes or changes a namespace. Answered by [`Answer::Namespace`](crate::effect::Answer::Namespace).
    UpdateNamespace(NamespaceUpdate),
    /// A user wants a namespace to be gone. Answered by [`Answer::Namespace`](crate::effect::Answer::Namespace).
    DeleteNamespace(NamespaceDeletion),
    /// A worker offers its slots. Answered by [`Answer::Joined`](crate::effect::Answer::Joined).
    WorkerJoined(Arrival),
    /// A worker is alive.
    WorkerHeard(Lease),
    /// An operator wants a worker to leave, and to get no tasks whenever it comes back. Answered by
    /// [`Answer::Worker`](crate::effect::Answer::Worker).
    DrainWorker {
        /// The worker.
        worker: WorkerId,
    },
    /// An operator lets a worker that was drained have tasks again. Answered by [`Answer::Worker`](crate::effect::Answer::Worker).
    UndrainWorker {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker takes no new tasks and leaves when the running ones are over.
    WorkerLeaving(Lease),
    /// A worker's stream ended.
    WorkerLost(Lease),
    /// A task said something, through its worker.
    Task {
        /// The worker that passed it on.
        from: Lease,
        /// The task that speaks.
        task: TaskId,
        /// What it says.
        report: TaskReport,
    },
    /// Nothing but that time has passed.
    Tick,
}

/// What a task says about itself.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskReport {
    /// It is up and can join a generation.
    Ready {
        /// `host:port` of the rendezvous store it serves; absent where it has no peers to meet.
        store_address: Option<String>,
    },
    /// It goes on.
    Progress(Progress),
    /// Its agent hears nothing of it, which it should each second, or does again.
    Silence {
        /// It is heard again.
        over: bool,
    },
    /// Its group is broken; it keeps what it has come to, and waits for another membership.
    Parted {
        /// The membership that it speaks of.
        generation: Generation,
        /// Ranks that it could not meet.
        missing: Vec<TaskId>,
        /// What happened.
        reason: String,
    },
    /// It has been in one place of a step for longer than it should; said again as long as it lasts.
    Stalled {
        /// The membership that it is in; 0 where it has no peers to meet.
        generation: Generation,
        /// Where, and for how long.
        stall: Stall,
    },
    /// It has got on since it said so.
    GotOn,
    /// The first rank says what all of them took for a window of steps.
    Paced(Pace),
    /// It is done.
    Succeeded {
        /// Final figures by name.
        figures: BTreeMap<String, f64>,
    },
    /// It can't go on.
    Failed {
        /// What made it fail.
        cause: Cause,
        /// What, where, expected, what to do.
        message: String,
    },
    /// It stopped because it was told to.
    Stopped,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// What it does now, as `reading`, `training`, `evaluating`.
    pub phase: String,
    /// Steps, files or batches done.
    pub done: u64,
    /// Steps, files or batches expected; 0 while unknown.
    pub total: u64,
    /// The pass over the data it is in.
    pub epoch: Epoch,
    /// The last loss.
    pub loss: Option<f64>,
    /// Over all ranks.
    pub images_per_second: f64,
    /// Mean duration of a step since the last report, in seconds; 0 where there are no steps.
    pub step_seconds: f64,
}
