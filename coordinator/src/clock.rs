//! The only place that asks what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use vismae_core::time::MonoTime;

/// Farther than any deadline that matters, and not out of a clock's range.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Gives the core its time, and its moments a date. Moments count from 1970, so that those of an earlier coordinator mean the
/// same; they follow the steady clock from the start on, so that they never run backwards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    date: Duration,
}

impl Clock {
    /// A clock that is set by the machine's date, once.
    pub(crate) fn start() -> Self {
        let date = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), date }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> MonoTime {
        MonoTime::since_origin(self.date + self.started.elapsed())
    }

    /// When a moment is due, for a timer.
    pub(crate) fn instant(&self, moment: MonoTime) -> Instant {
        self.started + moment.elapsed().saturating_sub(self.date).min(FAR)
    }

    /// The date of a moment.
    pub(crate) fn date(&self, moment: MonoTime) -> SystemTime {
        UNIX_EPOCH.checked_add(moment.elapsed()).unwrap_or(UNIX_EPOCH)
    }
}
