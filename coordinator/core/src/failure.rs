//! Why a task failed, and whether trying again can help.

use std::fmt;

use crate::ids::TaskId;

/// What made a task fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A peer, the network, the store or the device.
    Environment,
    /// It did not get on, or the others with it.
    Stalled,
    /// Its worker left or fell silent.
    WorkerLost,
    /// Its process ended without a word.
    Crash,
    /// The specification or the data.
    Input,
}

impl Cause {
    /// Every cause, in the order in which a later one explains a failure better than an earlier one: the death of a peer
    /// reaches its survivors as trouble with the network, so that is the weakest explanation.
    pub const ALL: [Self; 5] = [Self::Environment, Self::Stalled, Self::WorkerLost, Self::Crash, Self::Input];

    /// The word it is logged and counted by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Stalled => "stalled",
            Self::WorkerLost => "worker_lost",
            Self::Crash => "crash",
            Self::Input => "input",
        }
    }

    /// Whether the same work may succeed the next time.
    pub fn is_retryable(self) -> bool {
        self != Self::Input
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A failure of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The task that failed.
    pub task: TaskId,
    /// What made it fail.
    pub cause: Cause,
    /// What, where, expected, what to do.
    pub message: String,
}

impl Failure {
    /// Whether this explains the end of a gang better than another failure of it.
    pub fn explains_more_than(&self, other: &Self) -> bool {
        self.cause > other.cause
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.task, self.message)
    }
}
