//! What each caller may ask for at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::file::LimitsEntry;

/// Callers remembered before those that ask for nothing are forgotten.
const CALLERS: usize = 4096;

/// A caller asks for too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Excess {
    #[error("`{caller}` sends more than {per_second} requests a second, expected fewer: try again in {} ms", retry.as_millis())]
    Requests { caller: String, per_second: u32, retry: Duration },
    #[error("`{caller}` has {open} streams open, which is all it may have: close one first")]
    Streams { caller: String, open: u32 },
}

/// Counts requests and open streams by caller.
#[derive(Debug)]
pub(crate) struct Limits {
    entry: LimitsEntry,
    requests: DefaultKeyedRateLimiter<String>,
    open: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Limits {
    pub(super) fn new(entry: &LimitsEntry) -> Self {
        let quota = Quota::per_second(entry.requests_per_second).allow_burst(entry.burst);
        Self { entry: entry.clone(), requests: RateLimiter::keyed(quota), open: Mutex::default() }
    }

    /// Whether they allow the same as others.
    pub(super) fn are_as(&self, other: &Self) -> bool {
        self.entry == other.entry
    }

    /// Counts a request.
    pub(crate) fn request(&self, caller: &str) -> Result<(), Excess> {
        if self.requests.len() > CALLERS {
            self.requests.retain_recent();
        }
        self.requests.check_key(&caller.to_owned()).map_err(|until| Excess::Requests {
            caller: caller.to_owned(),
            per_second: self.entry.requests_per_second.get(),
            retry: until.wait_time_from(DefaultClock::default().now()),
        })
    }

    /// Counts a stream for as long as what is returned lives.
    pub(crate) fn stream(&self, caller: &str) -> Result<OwnedSemaphorePermit, Excess> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() > CALLERS {
            // Nobody else holds those of which no stream is open.
            open.retain(|_, streams| Arc::strong_count(streams) > 1);
        }
        let streams = open
            .entry(caller.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(usize::try_from(self.entry.streams).unwrap_or(usize::MAX))));
        Arc::clone(streams)
            .try_acquire_owned()
            .map_err(|_| Excess::Streams { caller: caller.to_owned(), open: self.entry.streams })
    }
}
