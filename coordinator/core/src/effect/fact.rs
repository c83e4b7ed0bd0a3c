//! What is worth counting or logging.

use std::time::Duration;

use crate::failure::Cause;
use crate::finding::Finding;
use crate::ids::{Generation, JobId, TaskId, WorkerId};
use crate::job::{Grounds, Use};

/// Something worth counting or logging.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A worker came.
    WorkerJoined(WorkerId),
    /// A worker is gone.
    WorkerLost {
        /// The worker.
        worker: WorkerId,
        /// Why it is taken to be gone.
        reason: String,
    },
    /// An operator wants a worker to leave, and to get no tasks when it comes back.
    WorkerDrained(WorkerId),
    /// A worker is drained no longer.
    WorkerUndrained {
        /// The worker.
        worker: WorkerId,
        /// Whether that is so because it was away for so long.
        lapsed: bool,
    },
    /// A job got its slots.
    JobStarted {
        /// The job.
        job: JobId,
        /// Which attempt it is, from 0.
        attempt: u32,
    },
    /// A task failed.
    TaskFailed {
        /// The task.
        task: TaskId,
        /// What made it fail.
        cause: Cause,
        /// In words.
        message: String,
    },
    /// A generation was formed.
    GenerationFormed {
        /// The job whose run it belongs to.
        job: JobId,
        /// The new generation.
        generation: Generation,
        /// How many ranks it has.
        world_size: u32,
        /// What made it necessary.
        reason: FormReason,
    },
    /// The first step after a membership was broken.
    Recovered {
        /// The job.
        job: JobId,
        /// How it broke.
        reason: FormReason,
        /// From the first word of it to the report of that step.
        time: Duration,
    },
    /// A task of a job was told to stop for another job, and the others go on.
    MemberReleased {
        /// The task.
        task: TaskId,
        /// That job.
        by: JobId,
        /// What was weighed.
        grounds: Grounds,
    },
    /// The tasks of a job were told to stop for another one.
    JobEvicted {
        /// The job.
        job: JobId,
        /// That one.
        by: JobId,
        /// By what right.
        reason: EvictReason,
        /// What was weighed.
        grounds: Grounds,
    },
    /// Something was found about the group of a job.
    Noticed {
        /// The job.
        job: JobId,
        /// What.
        finding: Finding,
    },
    /// The ranks of a job have taken a window of steps.
    Paced {
        /// The job.
        job: JobId,
        /// How slow the slowest is beside its peers: 1 where it is like them.
        score: f64,
    },
    /// A job made progress.
    Progressed(JobId),
    /// The slots of a job, or its waiting for them, have taken time.
    Spent {
        /// The job.
        job: JobId,
        /// What it went to.
        on: Use,
        /// How much.
        time: Duration,
    },
    /// A job is over.
    JobOver(JobId),
}

/// By what right the tasks of a job are stopped for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvictReason {
    /// The other one has a higher priority in the same namespace.
    Preempted,
    /// The other one is within its quota, and these slots were borrowed.
    Reclaimed,
    /// They are those of members beyond the fewest that a pre-training goes on with: it shrinks, and goes on.
    Released,
}

impl EvictReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Preempted, Self::Reclaimed, Self::Released];

    /// The word it is counted by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Preempted => "preempted",
            Self::Reclaimed => "reclaimed",
            Self::Released => "released",
        }
    }
}

/// What made a new generation necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormReason {
    /// The run begins.
    Start,
    /// An earlier attempt ended before its work was done.
    Retry,
    /// Ranks were lost, and the others go on.
    Lost,
    /// The ranks are there and have lost sight of each other.
    Broken,
    /// Ranks were there and did not get on.
    Stalled,
    /// Ranks came, or left as they were told to.
    Resized,
}

impl FormReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [Self::Start, Self::Retry, Self::Lost, Self::Broken, Self::Stalled, Self::Resized];

    /// The word it is counted by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Retry => "retry",
            Self::Lost => "lost",
            Self::Broken => "broken",
            Self::Stalled => "stalled",
            Self::Resized => "resized",
        }
    }
}
