//! What is wrong with a group that runs, in a form that programs can match and people can read.

use std::fmt;

use crate::ids::{TaskId, WorkerId};
use crate::pace::Score;
use crate::stall::Stall;
use crate::time::MonoTime;

/// Something that was found about a group, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// When.
    pub at: MonoTime,
    /// What.
    pub finding: Finding,
}

/// How many of those are remembered.
pub const NOTICES_KEPT: usize = 5;

/// Something about a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// The others wait for one of them that does not get on: they go on without it.
    Stuck {
        /// That one.
        task: TaskId,
        /// Where it runs.
        worker: WorkerId,
        /// What it is in the middle of.
        stall: Stall,
        /// How many wait for it.
        waiting: u32,
    },
    /// All waited for each other, and met anew.
    Released {
        /// How many.
        ranks: u32,
        /// What one of them has waited for.
        stall: Stall,
    },
    /// Nobody got on, and nobody could be blamed: the attempt has ended.
    GivenUp {
        /// The one that had been stuck for the longest.
        task: TaskId,
        /// Where it ran.
        worker: WorkerId,
        /// What it was in the middle of.
        stall: Stall,
    },
    /// One of them is slower than the others, which wait for it in each step.
    Slow {
        /// That one.
        task: TaskId,
        /// Where it runs.
        worker: WorkerId,
        /// How much.
        score: Score,
        /// In how many windows in a row.
        windows: u32,
        /// What was done about it.
        remedy: SlowRemedy,
    },
}

/// What is done about a slow rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowRemedy {
    /// Nothing: nobody has asked for it.
    Told,
    /// Nothing: without it the others would be too few.
    Needed,
    /// It is left out for a while.
    LeftOut,
}

impl SlowRemedy {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Told, Self::Needed, Self::LeftOut];

    /// The word it is counted by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Needed => "needed",
            Self::LeftOut => "left_out",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck { task, worker, stall, waiting } => {
                write!(f, "`{task}` on `{worker}` was left out: it was {stall}, and {waiting} others waited for it")
            }
            Self::Released { ranks, stall } => {
                write!(f, "{ranks} tasks waited for each other, {stall}, and met anew")
            }
            Self::GivenUp { task, worker, stall } => {
                write!(f, "no task got on, and none could be blamed: `{task}` on `{worker}` was {stall}")
            }
            Self::Slow { task, worker, score, windows, remedy } => {
                let Score { score, own_seconds, peers_seconds, .. } = score;
                write!(
                    f,
                    "`{task}` on `{worker}` takes {score:.1} x the median of its peers ({own_seconds:.3} s of its own for a step, they \
                     {peers_seconds:.3} s) for {windows} windows"
                )?;
                f.write_str(match remedy {
                    SlowRemedy::Told => "; `exclude_stragglers` would leave it out",
                    SlowRemedy::Needed => "; without it the others would be too few",
                    SlowRemedy::LeftOut => ", and was left out for a while",
                })
            }
        }
    }
}
