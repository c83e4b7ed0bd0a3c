//! Trying again what the client of a store gives up.
//!
//! The client resumes a broken body of an object by itself and repeats requests that were not answered, but neither a broken
//! listing, nor a whole object of the wrong length, nor a write that may or may not have been applied. Everything a
//! [`Store`](super::Store) does may be done twice, so all of it is tried again here.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use object_store::{Error, Result};

/// The first pause; each one after it is twice as long, and up to twice that by chance.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Times that an operation is tried again, after the client has tried each request for as long as its patience lasts.
const RETRIES: usize = 6;

/// Does something until it succeeds, fails for good, or patience is over.
pub(super) async fn retried<T, F>(patience: Duration, attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_max_times(RETRIES).with_jitter();
    let started = Instant::now();
    attempt.retry(pauses).when(|error| may_pass(error) && started.elapsed() < patience).await
}

/// Whether the same again may end otherwise. Clients call all that is neither an answer about the object nor a refusal generic;
/// an object that is both there and not there is between two writers.
fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Generic { .. } | Error::AlreadyExists { .. })
}
