//! How long a client waits for an object store, and what else the query of a URL may set.

use std::time::Duration;

use object_store::{BackoffConfig, RetryConfig};
use url::Url;

use super::OpenStoreError;

/// What opening a connection may take: a round trip or two, even across continents.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence that ends a request. It also bounds the upload of one object, during which a store says nothing: a full shard
/// needs 10 Mbit/s.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// One request in all. Bodies of any size are bounded by silence; this ends those that drip.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// How long one operation is tried again: rides out a restart of the store, and tells of a mistyped address in time. Less
/// than the few minutes that the signature of a request lasts.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
/// The shortest pause, and the first. Each one after it is drawn between this and so many times the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How far pauses spread: they grow by half on average, and clients that failed together do not come back together.
const SPREAD: f64 = 3.0;
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Time is the budget of retries; this only ends a store that fails at once, each time.
const RETRIES: usize = 100;

/// Settings of every client, by the names that the environment has them under after `AWS_`, `GOOGLE_` or `AZURE_`.
const TIMEOUTS: [(&str, Duration); 3] =
    [("connect_timeout", CONNECT_TIMEOUT), ("read_timeout", READ_TIMEOUT), ("timeout", REQUEST_TIMEOUT)];
/// The setting that is no client's.
const RETRY_TIMEOUT_KEY: &str = "retry_timeout";

/// What is set by the query of a URL, and by default where neither that nor the environment says otherwise.
#[derive(Debug)]
pub(super) struct Settings {
    /// For the builder of the client, by the names it knows them under.
    pub(super) client: Vec<(String, String)>,
    /// How long one operation is tried again.
    pub(super) patience: Duration,
}

impl Settings {
    /// Reads the query of a URL, in which the timeouts and what a client adds to them may be set. Secrets may not: a URL is
    /// written to job files, logs and errors.
    pub(super) fn of(url: &Url, environment: &str, extra: &[&str]) -> Result<Self, OpenStoreError> {
        let mut settings = Self { client: Vec::new(), patience: RETRY_TIMEOUT };
        for (key, default) in TIMEOUTS {
            if std::env::var_os(format!("{environment}_{}", key.to_uppercase())).is_none() {
                settings.client.push((key.to_owned(), humantime::format_duration(default).to_string()));
            }
        }
        for (key, value) in url.query_pairs() {
            let refused = |expected: String| OpenStoreError::Setting { setting: key.to_string(), expected };
            if key == RETRY_TIMEOUT_KEY {
                let patience = humantime::parse_duration(&value);
                settings.patience =
                    patience.map_err(|_| refused(format!("is `{value}`, expected a duration such as `30s`")))?;
            } else if TIMEOUTS.iter().any(|(known, _)| *known == key) || extra.contains(&key.as_ref()) {
                settings.client.push((key.into_owned(), value.into_owned()));
            } else {
                let timeouts = TIMEOUTS.iter().map(|(known, _)| *known);
                let known: Vec<&str> = extra.iter().copied().chain(timeouts).chain([RETRY_TIMEOUT_KEY]).collect();
                return Err(refused(format!("is unknown, expected one of `{}`", known.join("`, `"))));
            }
        }
        Ok(settings)
    }

    /// How a client tries again by itself: requests that did not get through, and answers that say to come back.
    pub(super) fn retry(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, base: SPREAD },
            max_retries: RETRIES,
            retry_timeout: self.patience,
        }
    }
}
