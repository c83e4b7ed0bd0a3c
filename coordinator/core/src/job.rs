//! A job: what it is, and where it is in its life.

mod group;
mod ledger;
mod transition;
mod watch;
mod why;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::event::Progress;
use crate::failure::Failure;
use crate::gang::{Gang, MemberState};
use crate::ids::{Generation, JobId, JobName, WorkerId};
use crate::reason::{Reason, slots};
use crate::spec::{Demand, JobSpec};
use crate::time::MonoTime;

pub use ledger::{Ledger, Use};
pub(crate) use transition::{Eviction, Input};
pub use why::Why;

/// How long each retry after a failure of the job's own is held back; there are as many retries as entries.
pub const RETRY_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// How long a job is held back that has lost a worker, which is no failure of its own.
pub const LOST_WORKER_PAUSE: Duration = Duration::from_secs(1);
/// Attempts in a row that end badly without any progress, whosever fault that is: the next would hardly do better.
pub const FRUITLESS_ATTEMPTS: u32 = 3;
/// How long the members of a gang may take to come up: time to load libtorch, set up a GPU on a busy node,
/// and read what a corpus holds.
pub const READY_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a gang keeps what it has come to in memory, with fewer members than it needs, until others come.
pub const REJOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Memberships in a row that may be lost before any of them gets further than ever before: the next would hardly do better.
pub const SETBACKS: u32 = 4;
/// The longest pause before a newcomer is tried again where others were lost before they met the gang.
pub const RECRUIT_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long tasks may take to stop: longer than an agent waits before it kills them.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A job of an accepted pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name in this coordinator.
    pub id: JobId,
    /// What it does.
    pub spec: JobSpec,
    /// When its pipeline was accepted.
    pub submitted: MonoTime,
    /// Where it is in its life.
    pub state: JobState,
    /// Attempts started.
    pub attempts: u32,
    /// Attempts that failed by no fault of a worker that was lost.
    pub failures: u32,
    /// The latest attempts that ended badly without any progress, in a row.
    pub fruitless: u32,
    /// The last generation formed.
    pub generation: Generation,
    /// The last progress of the latest attempt.
    pub progress: Option<Progress>,
    /// When it first got slots.
    pub started: Option<MonoTime>,
    /// Since when it waits for what it waits for, or runs.
    pub since: MonoTime,
    /// What its slots were used for, and what it waited for; of the attempts that are over.
    pub ledger: Ledger,
    /// The latest attempts that ended before their work was done, the last of them last.
    pub stops: Vec<Stop>,
}

/// How many of those are remembered.
pub const STOPS_KEPT: usize = 5;

/// An attempt that ended before its work was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// Which attempt, from 0.
    pub attempt: u32,
    /// When it had ended.
    pub at: MonoTime,
    /// Why.
    pub why: StopReason,
}

/// Where a job is in its life. All changes go through one function.
///
/// ```text
///                 ┌──────── pause over, or a worker left ────────┐
///                 ▼                                              │
///   ──▶ Waiting ──all slots at once──▶ Running ──the gang can't go on, or cancel──▶ Stopping
///          │                             │                                            │
///          │ cancel, or a job            │ the work                                   │ every member over, and
///          │ it needs failed             │ is done                                    │ no retry is left or wanted
///          ▼                             ▼                                            ▼
///         Over ◀─────────────────────────┴────────────────────────────────────────────┘
/// ```
///
/// Members that share files have done the work when every one of them has succeeded, and can't go on when one ends badly. Ranks have
/// done it when one of them has, and from their first progress on members may come and go: they can't go on when nobody is left who
/// knows what they have come to, when too few are left for longer than [`REJOIN_TIMEOUT`], after [`SETBACKS`], or for bad input.
#[derive(Debug, Clone, PartialEq)]
pub enum JobState {
    /// Holds no slot.
    Waiting(Reason),
    /// Its members have their slots.
    Running(Gang),
    /// What is left of the gang was told to stop.
    Stopping {
        /// The gang.
        gang: Gang,
        /// Why it stops.
        why: StopReason,
        /// Since when.
        since: MonoTime,
    },
    /// Nothing will happen to it any more.
    Over {
        /// How it ended.
        outcome: Outcome,
        /// When.
        at: MonoTime,
    },
}

/// Why a gang stops before its work is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// A member failed, and the others can't go on without it.
    Failed(Failure),
    /// A worker that it can't do without leaves; its work is taken up elsewhere, and no failure is counted.
    WorkerLeaves(WorkerId),
    /// A job of higher priority needs its slots; it goes back to the queue, and no failure is counted.
    Preempted {
        /// That job.
        by: JobId,
        /// What was weighed; absent where an earlier coordinator has not kept it.
        grounds: Option<Grounds>,
    },
    /// Its namespace has borrowed slots that a job within the quota of another one needs; it goes back to the queue, and no failure is
    /// counted.
    Reclaimed {
        /// That job.
        by: JobId,
        /// What was weighed; absent where an earlier coordinator has not kept it.
        grounds: Option<Grounds>,
    },
    /// The pipeline is suspended; it goes on when that is resumed, and no failure is counted.
    Suspended,
    /// The pipeline is not over by its deadline.
    Late {
        /// So long after its submission.
        after: Duration,
    },
    /// The pipeline was cancelled.
    Cancelled,
}

/// What was weighed when a job was stopped for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grounds {
    /// The priority of the other one.
    pub priority: i32,
    /// That of this one.
    pub own_priority: i32,
    /// Slots that the other one needs at once.
    pub needed: u32,
    /// Slots that this one held.
    pub held: u32,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its work is done.
    Succeeded {
        /// Final figures by name.
        figures: BTreeMap<String, f64>,
    },
    /// It can't be done.
    Failed(Failure),
    /// The pipeline was not over by its deadline.
    Late {
        /// So long after its submission.
        after: Duration,
    },
    /// The pipeline was cancelled before it was done.
    Cancelled,
    /// A job it needs did not succeed.
    Abandoned {
        /// That job.
        because: JobName,
    },
}

impl Job {
    pub(crate) fn new(id: JobId, spec: JobSpec, submitted: MonoTime) -> Self {
        Self {
            id,
            spec,
            submitted,
            state: JobState::Waiting(Reason::Queued),
            attempts: 0,
            failures: 0,
            fruitless: 0,
            generation: Generation(0),
            progress: None,
            started: None,
            since: submitted,
            ledger: Ledger::default(),
            stops: Vec::new(),
        }
    }

    /// What its slots were used for, and what it waited for, until now: what it has come to in the present attempt counts as productive,
    /// as long as it is not lost.
    pub fn ledger_until(&self, now: MonoTime) -> Ledger {
        let mut ledger = self.ledger.clone();
        if let Some(on) = Use::of_waiting(&self.state) {
            ledger.add(on, now.since(self.since));
        }
        if let Some(gang) = self.state.gang() {
            let on = match &self.state {
                JobState::Stopping { why, .. } if gang.is_group() => Use::of_stop(why),
                _ => Use::Productive,
            };
            let spent = gang.spent_until(now);
            ledger.add(Use::Starting, spent.starting);
            ledger.add(on, spent.working);
        }
        ledger
    }

    /// How many slots it asks for.
    pub fn demand(&self) -> Demand {
        self.spec.kind.demand()
    }
}

impl JobState {
    /// Every word for a state.
    pub const WORDS: [&str; 9] =
        ["pending", "suspended", "running", "suspending", "cancelling", "stopping", "succeeded", "failed", "cancelled"];

    /// The word that every surface shows it by.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting(Reason::Suspended) => "suspended",
            Self::Waiting(_) => "pending",
            Self::Running(_) => "running",
            Self::Stopping { why: StopReason::Suspended, .. } => "suspending",
            Self::Stopping { why: StopReason::Cancelled, .. } => "cancelling",
            Self::Stopping { .. } => "stopping",
            Self::Over { outcome, .. } => match outcome {
                Outcome::Succeeded { .. } => "succeeded",
                Outcome::Failed(_) | Outcome::Late { .. } => "failed",
                Outcome::Cancelled | Outcome::Abandoned { .. } => "cancelled",
            },
        }
    }

    /// The gang, while there is one.
    pub fn gang(&self) -> Option<&Gang> {
        match self {
            Self::Running(gang) | Self::Stopping { gang, .. } => Some(gang),
            Self::Waiting(_) | Self::Over { .. } => None,
        }
    }

    /// Whether nothing will happen to the job any more.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Over { .. })
    }

    /// How the job ended, if it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Over { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// When something has to happen even if nobody says a word.
    pub(crate) fn deadline(&self) -> Option<MonoTime> {
        match self {
            Self::Waiting(Reason::Backoff { until, .. }) => Some(*until),
            Self::Running(gang) => gang.deadline(),
            Self::Stopping { since, .. } => Some(since.after(STOP_TIMEOUT)),
            Self::Waiting(_) | Self::Over { .. } => None,
        }
    }
}

/// Why the job is in this state, in words; empty when that needs no words.
impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(reason) => reason.fmt(f),
            Self::Running(gang) if gang.is_gathering() => {
                let up = gang.members.values().filter(|member| member.state != MemberState::Starting).count();
                write!(f, "{up} of {} tasks are up", gang.size())
            }
            Self::Running(gang) if gang.short.is_some() => {
                let (here, needed) = (gang.present().len(), gang.demand.at_least());
                write!(f, "{here} of at least {needed} tasks are there, and wait for others in memory")
            }
            Self::Running(gang) => match (gang.trouble(), gang.held_up()) {
                (Some(finding), _) => finding.fmt(f),
                (None, Some((member, stall))) => write!(f, "a task on `{}` is {stall}", member.slot.worker),
                (None, None) => Ok(()),
            },
            Self::Stopping { why, .. } => write!(f, "stops because {why}"),
            Self::Over { outcome, .. } => match outcome {
                Outcome::Succeeded { .. } => Ok(()),
                Outcome::Failed(failure) => failure.fmt(f),
                Outcome::Late { after } => {
                    write!(f, "was not over {} s after its pipeline's submission", after.as_secs_f64())
                }
                Outcome::Cancelled => f.write_str("the pipeline was cancelled"),
                Outcome::Abandoned { because } => write!(f, "cancelled because `{because}` did not succeed"),
            },
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => write!(f, "{failure}"),
            Self::WorkerLeaves(worker) => write!(f, "worker `{worker}` leaves"),
            Self::Preempted { by, grounds: Some(Grounds { priority, own_priority, needed, held }) } => write!(
                f,
                "`{by}` has a higher priority ({priority} over {own_priority}) and needs {}; this one held {held}",
                slots(*needed)
            ),
            Self::Preempted { by, grounds: None } => write!(f, "`{by}` has a higher priority and needs its slots"),
            Self::Reclaimed { by, grounds: Some(Grounds { needed, held, .. }) } => {
                write!(
                    f,
                    "`{by}` needs {} within its quota; this one held {held}, some of them borrowed",
                    slots(*needed)
                )
            }
            Self::Reclaimed { by, grounds: None } => write!(f, "borrowed slots were reclaimed by `{by}`"),
            Self::Suspended => f.write_str("the pipeline is suspended"),
            Self::Late { after } => {
                write!(
                    f,
                    "the pipeline is not over {} s after its submission, which is its deadline",
                    after.as_secs_f64()
                )
            }
            Self::Cancelled => f.write_str("the pipeline was cancelled"),
        }
    }
}
