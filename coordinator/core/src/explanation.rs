//! Why a job is where it is, with the numbers that a user can act on.

use std::fmt;

use crate::device::PerKind;
use crate::effect::EvictReason;
use crate::failure::Failure;
use crate::finding::Notice;
use crate::ids::{JobId, NamespaceName};
use crate::job::{JobState, Ledger, Stop};
use crate::namespace::{Limits, Usage};
use crate::reason::Reason;
use crate::spec::{Demand, Placement};
use crate::time::MonoTime;

/// Why a job is where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The job.
    pub job: JobId,
    /// Where it is in its life.
    pub state: JobState,
    /// What it asks for.
    pub demand: Demand,
    /// Which slots it may use.
    pub placement: Placement,
    /// Its priority.
    pub priority: i32,
    /// The slots there are, for it.
    pub slots: Slots,
    /// Its namespace.
    pub namespace: NamespaceName,
    /// What that may use.
    pub limits: Limits,
    /// What that uses.
    pub usage: Usage,
    /// How many jobs wait that have their turn before it.
    pub before: u32,
    /// Whom it waits for, whom that one waits for, and so on.
    pub ahead: Vec<Link>,
    /// The jobs that hold slots it could use, and how many: those with the most first.
    pub holders: Vec<(JobId, u32)>,
    /// What would have to happen.
    pub remedy: Remedy,
    /// Attempts started.
    pub attempts: u32,
    /// Failures of its own that it may still have.
    pub retries_left: u32,
    /// The latest attempts that ended before their work was done.
    pub stops: Vec<Stop>,
    /// What was found about its group while it runs, the last of it last.
    pub notices: Vec<Notice>,
    /// What its slots were used for, and what it waited for, until now.
    pub ledger: Ledger,
}

/// The slots there are, as one job sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slots {
    /// All of them.
    pub present: PerKind<u32>,
    /// Those that its placement admits.
    pub matching: PerKind<u32>,
    /// Those of them that run nothing.
    pub free: PerKind<u32>,
}

/// A job that another one waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The job.
    pub job: JobId,
    /// Where it is in its life.
    pub state: JobState,
}

/// What would have to happen before a job can run.
#[derive(Debug, Clone, PartialEq)]
pub enum Remedy {
    /// Nothing: it runs, or is over.
    Nothing,
    /// What stops must have stopped.
    Stop,
    /// Its pipeline must be resumed.
    Resume,
    /// The jobs it waits for must succeed.
    Dependencies,
    /// The pause after a failure must end.
    Pause {
        /// When it does.
        until: MonoTime,
        /// What failed.
        failure: Failure,
    },
    /// Its turn must come.
    Turn,
    /// Workers must join, or the job ask for less.
    Workers {
        /// So many slots more, of those that will do.
        more: u32,
    },
    /// The limits of its namespace must be raised, or the job ask for less.
    Limits {
        /// So many slots more.
        more: u32,
    },
    /// Slots of its namespace must come free.
    Quota {
        /// So many.
        more: u32,
        /// Whether others can be stopped for it.
        eviction: Eviction,
    },
    /// Slots must come free.
    Slots {
        /// So many, of those that will do.
        more: u32,
        /// Whether others can be stopped for it.
        eviction: Eviction,
    },
}

/// Whether gangs can be stopped for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// They stop already.
    Underway {
        /// Those whose slots it can use.
        jobs: Vec<JobId>,
    },
    /// They are stopped when its turn comes.
    Would {
        /// They, and by what right.
        jobs: Vec<(JobId, EvictReason)>,
    },
    /// None can: nobody with slots that it could use has a lower priority in its namespace, or has borrowed them while it stays within
    /// the quota of its own.
    Nobody,
    /// Some could, and all of them together would not be enough.
    TooFew {
        /// The slots they hold of those that will do.
        slots: u32,
    },
}

impl Explanation {
    /// Why it waits, where it does.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.state {
            JobState::Waiting(reason) => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = |count: u32| if count == 1 { "1 slot".to_owned() } else { format!("{count} slots") };
        match self {
            Self::Nothing => f.write_str("nothing has to happen"),
            Self::Stop => f.write_str("its tasks must have stopped"),
            Self::Resume => f.write_str("its pipeline must be resumed"),
            Self::Dependencies => f.write_str("the jobs it needs must succeed"),
            Self::Pause { failure, .. } => write!(f, "the pause after a failure must end: {failure}"),
            Self::Turn => f.write_str("the jobs before it must have their slots"),
            Self::Workers { more } => {
                write!(f, "workers with {} more that it may use must join, or it must ask for less", slots(*more))
            }
            Self::Limits { more } => {
                write!(f, "its namespace must be allowed {} more, or it must ask for less", slots(*more))
            }
            Self::Quota { more, eviction } => write!(f, "{} of its namespace must come free; {eviction}", slots(*more)),
            Self::Slots { more, eviction } => write!(f, "{} more must come free; {eviction}", slots(*more)),
        }
    }
}

impl fmt::Display for Eviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |jobs: &mut dyn Iterator<Item = String>| jobs.collect::<Vec<_>>().join(", ");
        match self {
            Self::Underway { jobs } => {
                write!(f, "{} stop already", list(&mut jobs.iter().map(|job| format!("`{job}`"))))
            }
            Self::Would { jobs } => {
                let word = |reason: &EvictReason| match reason {
                    EvictReason::Preempted => "of lower priority",
                    EvictReason::Reclaimed => "on borrowed slots",
                    EvictReason::Released => "members that it can do without",
                };
                let jobs = list(&mut jobs.iter().map(|(job, reason)| format!("`{job}` ({})", word(reason))));
                write!(f, "{jobs} would be stopped for it")
            }
            Self::Nobody => f.write_str("nobody can be stopped for it"),
            Self::TooFew { slots } => write!(f, "those that could be stopped for it hold {slots}, which is too few"),
        }
    }
}
