//! The only place that asks what time it is.

use std::time::SystemTime;

use tokio::time::Instant;
use vismae_core::time::MonoTime;

/// Gives the core its time, and its moments a date.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    date: SystemTime,
}

impl Clock {
    /// A clock whose origin is now.
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now(), date: SystemTime::now() }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> MonoTime {
        MonoTime::since_origin(self.origin.elapsed())
    }

    /// When a moment is due, for a timer.
    pub(crate) fn instant(&self, moment: MonoTime) -> Instant {
        self.origin + moment.elapsed()
    }

    /// The date of a moment. Dates follow the steady clock from the start on, so that they never run backwards.
    pub(crate) fn date(&self, moment: MonoTime) -> SystemTime {
        self.date + moment.elapsed()
    }
}
