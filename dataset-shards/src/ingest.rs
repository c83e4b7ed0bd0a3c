//! From files to a committed corpus version.
//!
//! [`ingest`] lists its inputs, decodes and normalises the files on a bounded number of threads, and writes shards in the
//! order of the inputs: the same files give the same bytes with any number of threads. The manifest, put last and only if
//! absent, is the commit; until then nothing is visible but parts that no manifest names.

mod commit;
mod error;
mod groups;
mod input;
mod prepare;
mod progress;
mod pseudonym;
mod quarantine;
mod run;
mod series;
mod shards;
mod summary;

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;
use vismae_core::spec::IngestSpec;

pub use crate::memory::MEMORY_DEFAULT;
pub use error::IngestError;
pub use input::ListError;
pub use progress::IngestProgress;
pub use pseudonym::PseudonymKey;
pub use summary::IngestSummary;

use crate::store::Store;

/// How an ingest is run, as opposed to what it makes.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// Files decoded at the same time, at least 1.
    pub threads: usize,
    /// Bytes that the preparation of files takes at most at a time, over all threads; a file that needs more by itself is
    /// refused. [`MEMORY_DEFAULT`] suits most. Frames that wait to be written, and shards that are open, come on top.
    pub memory: u64,
    /// What patients and groups are pseudonymised with.
    pub pseudonym_key: PseudonymKey,
}

/// Reads the inputs of a specification and commits what came of them.
///
/// # Errors
/// [`IngestError`]. A file that cannot be used is not an error: it is quarantined, and the rest goes on.
///
/// # Cancel safety
/// Cancelling the token, or dropping the future, leaves nothing visible.
pub async fn ingest(
    store: &Store,
    spec: &IngestSpec,
    options: &IngestOptions,
    progress: impl Fn(IngestProgress) + Send + Sync,
    cancel: &CancellationToken,
) -> Result<IngestSummary, IngestError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(IngestError::Cancelled),
        done = run::run(store, spec, options, &progress) => done,
    }
}

/// The path in its set of every file below some inputs, by the alias that a quarantine calls it by under this key.
///
/// # Errors
/// [`ListError`] when an input can't be listed.
pub fn names_by_alias(inputs: &[String], key: &PseudonymKey) -> Result<HashMap<String, String>, ListError> {
    let items = input::list(inputs)?;
    Ok(items.into_iter().map(|item| (key.alias(&item.source, &item.file), item.file)).collect())
}

#[cfg(test)]
mod tests;
