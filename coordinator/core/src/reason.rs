//! Why a job waits, in a form that programs can match and people can read.

use std::fmt;
use std::time::Duration;

use crate::device::DeviceKind;
use crate::failure::Failure;
use crate::ids::{JobId, JobName, NamespaceName};
use crate::spec::Placement;
use crate::time::MonoTime;

/// Why a job does not run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It was just submitted.
    Queued,
    /// Its pipeline is suspended.
    Suspended,
    /// Jobs it needs have not succeeded yet.
    Dependencies {
        /// Those jobs, in the order they were written.
        missing: Vec<JobName>,
    },
    /// Nobody offers a slot.
    NoWorkers,
    /// It needs more slots than all workers together have.
    Capacity {
        /// Slots it needs at once.
        needed: u32,
        /// Slots there are that can work together.
        present: u32,
    },
    /// Too few slots are free.
    Slots {
        /// Slots it needs at once.
        needed: u32,
        /// Free slots.
        free: u32,
        /// All slots.
        present: u32,
    },
    /// Too few slots are such as it asks for.
    Mismatch {
        /// Slots it needs at once.
        needed: u32,
        /// Slots that will do.
        matching: u32,
        /// All slots.
        present: u32,
        /// What it asks for.
        placement: Placement,
    },
    /// Its namespace may not use so many slots more.
    Quota {
        /// The namespace.
        namespace: NamespaceName,
        /// The kind of slots.
        kind: DeviceKind,
        /// Slots it needs at once.
        needed: u32,
        /// Slots its namespace uses.
        used: u32,
        /// Slots its namespace may use, borrowed ones among them.
        limit: u32,
    },
    /// An earlier job has the next claim on free slots.
    Behind {
        /// That job.
        job: JobId,
    },
    /// An attempt failed, and the next one is held back.
    Backoff {
        /// When it is due.
        until: MonoTime,
        /// How long it is held back in all.
        pause: Duration,
        /// Attempts that may still be made.
        left: u32,
        /// What went wrong.
        failure: Failure,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued => f.write_str("was just queued"),
            Self::Suspended => f.write_str("the pipeline is suspended"),
            Self::Dependencies { missing } => {
                f.write_str("waits for ")?;
                for (index, job) in missing.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}`{job}`")?;
                }
                Ok(())
            }
            Self::NoWorkers => f.write_str("no worker is here that takes tasks"),
            Self::Capacity { needed, present } => {
                write!(f, "needs {} at once, the workers have {present} of one kind", slots(*needed))
            }
            Self::Slots { needed, free, present } => {
                write!(f, "needs {} at once, {free} of {present} free", slots(*needed))
            }
            Self::Mismatch { needed, matching, present, placement } => {
                write!(f, "needs {} at once, {matching} of {present} slots match `{placement}`", slots(*needed))
            }
            Self::Quota { namespace, kind, needed, used, limit } if needed > limit => {
                write!(
                    f,
                    "needs {} at once, namespace `{namespace}` may use {limit} of kind `{kind}` and uses {used}",
                    slots(*needed)
                )
            }
            Self::Quota { namespace, kind, needed, used, limit } => {
                let needed = slots(*needed);
                write!(
                    f,
                    "needs {needed} at once, namespace `{namespace}` uses {used} of the {limit} of kind `{kind}` that it may"
                )
            }
            Self::Behind { job } => write!(f, "waits behind `{job}`, which has the next claim on free slots"),
            Self::Backoff { pause, left, failure, .. } => {
                write!(f, "tries again after {} s ({left} tries left): {failure}", pause.as_secs())
            }
        }
    }
}

pub(crate) fn slots(count: u32) -> String {
    if count == 1 { "1 slot".to_owned() } else { format!("{count} slots") }
}
