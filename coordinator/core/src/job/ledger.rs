//! What the slots of a job were used for, and what it waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{JobState, StopReason};
use crate::failure::Cause;
use crate::reason::Reason;

/// What time went to. That of slots counts each slot by itself; that of waiting counts the job once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Slots, from the first progress of an attempt to its end, where the work counted.
    Productive,
    /// Slots, from the placement of an attempt to its first progress.
    Starting,
    /// Slots, for work that a lost worker has taken with it.
    WorkerLost,
    /// Slots, for work that ended with a crash.
    Crash,
    /// Slots, for work that the network, the store or a device has ended.
    Environment,
    /// Slots, for work that ended because nobody got on.
    Stalled,
    /// Slots, for work that ended at bad data.
    Input,
    /// Slots, for work that ended when a worker left.
    WorkerLeaves,
    /// Slots, for work that was stopped for a higher priority.
    Preempted,
    /// Slots, for work on borrowed slots that were reclaimed.
    Reclaimed,
    /// Slots, for work that was stopped when the pipeline was suspended.
    Suspended,
    /// Slots, for work that was stopped at the deadline.
    Late,
    /// Slots, for work that was cancelled.
    Cancelled,
    /// Waiting for jobs it needs.
    WaitDependencies,
    /// Waiting for workers that have such slots.
    WaitWorkers,
    /// Waiting for slots that others held.
    WaitSlots,
    /// Waiting behind an earlier job that waits for slots or quota, and has the next claim on them.
    WaitBehind,
    /// Waiting for the quota of its namespace.
    WaitQuota,
    /// Waiting for the end of a pause after a failure.
    WaitPause,
    /// Waiting for its pipeline to be resumed.
    WaitSuspended,
}

impl Use {
    /// Every use.
    pub const ALL: [Self; 20] = [
        Self::Productive,
        Self::Starting,
        Self::WorkerLost,
        Self::Crash,
        Self::Environment,
        Self::Stalled,
        Self::Input,
        Self::WorkerLeaves,
        Self::Preempted,
        Self::Reclaimed,
        Self::Suspended,
        Self::Late,
        Self::Cancelled,
        Self::WaitDependencies,
        Self::WaitWorkers,
        Self::WaitSlots,
        Self::WaitBehind,
        Self::WaitQuota,
        Self::WaitPause,
        Self::WaitSuspended,
    ];

    /// The word it is shown, kept and counted by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Productive => "productive",
            Self::Starting => "starting",
            Self::WorkerLost => "worker_lost",
            Self::Crash => "crash",
            Self::Environment => "environment",
            Self::Stalled => "stalled",
            Self::Input => "input",
            Self::WorkerLeaves => "worker_leaves",
            Self::Preempted => "preempted",
            Self::Reclaimed => "reclaimed",
            Self::Suspended => "suspended",
            Self::Late => "late",
            Self::Cancelled => "cancelled",
            Self::WaitDependencies => "wait_dependencies",
            Self::WaitWorkers => "wait_workers",
            Self::WaitSlots => "wait_slots",
            Self::WaitBehind => "wait_behind",
            Self::WaitQuota => "wait_quota",
            Self::WaitPause => "wait_pause",
            Self::WaitSuspended => "wait_suspended",
        }
    }

    /// Reads that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|other| other.word() == word)
    }

    /// Whether it is time of slots, and not time of waiting for them.
    pub fn is_of_slots(self) -> bool {
        self < Self::WaitDependencies
    }

    /// What a job in this state waits for, if it waits.
    pub(super) fn of_waiting(state: &JobState) -> Option<Self> {
        let JobState::Waiting(reason) = state else { return None };
        Some(match reason {
            Reason::Suspended => Self::WaitSuspended,
            Reason::Dependencies { .. } => Self::WaitDependencies,
            Reason::NoWorkers | Reason::Capacity { .. } | Reason::Mismatch { .. } => Self::WaitWorkers,
            Reason::Quota { .. } => Self::WaitQuota,
            Reason::Queued | Reason::Slots { .. } => Self::WaitSlots,
            Reason::Behind { .. } => Self::WaitBehind,
            Reason::Backoff { .. } => Self::WaitPause,
        })
    }

    /// What the work of an attempt was lost to.
    pub(super) fn of_stop(why: &StopReason) -> Self {
        match why {
            StopReason::Failed(failure) => match failure.cause {
                Cause::Environment => Self::Environment,
                Cause::Stalled => Self::Stalled,
                Cause::WorkerLost => Self::WorkerLost,
                Cause::Crash => Self::Crash,
                Cause::Input => Self::Input,
            },
            StopReason::WorkerLeaves(_) => Self::WorkerLeaves,
            StopReason::Preempted { .. } => Self::Preempted,
            StopReason::Reclaimed { .. } => Self::Reclaimed,
            StopReason::Suspended => Self::Suspended,
            StopReason::Late { .. } => Self::Late,
            StopReason::Cancelled => Self::Cancelled,
        }
    }
}

/// How much time went to what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger(BTreeMap<Use, Duration>);

impl Ledger {
    /// Adds time.
    pub fn add(&mut self, on: Use, time: Duration) {
        if !time.is_zero() {
            let all = self.0.entry(on).or_default();
            *all = all.saturating_add(time);
        }
    }

    /// The time that went to something.
    pub fn of(&self, on: Use) -> Duration {
        self.0.get(&on).copied().unwrap_or_default()
    }

    /// Everything that time went to.
    pub fn iter(&self) -> impl Iterator<Item = (Use, Duration)> {
        self.0.iter().map(|(on, time)| (*on, *time))
    }

    /// The share of the time of slots that was productive; none while no time was spent.
    pub fn goodput(&self) -> Option<f64> {
        let slots = self.iter().filter(|(on, _)| on.is_of_slots()).map(|(_, time)| time.as_secs_f64()).sum::<f64>();
        (slots > 0.0).then(|| self.of(Use::Productive).as_secs_f64() / slots)
    }
}
