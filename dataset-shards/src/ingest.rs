//! From files to a committed corpus version.
//!
//! [`ingest`] lists its inputs, decodes and normalises the files on a bounded number of threads, and writes shards in the
//! order of the inputs: the same files give the same bytes with any number of threads, and with any number of processes that
//! [`help`]. The manifest, put last and only if absent, is the commit; until then nothing is visible but parts that no
//! manifest names.
//!
//! A version holds what its inputs hold, no more and no less. What an earlier ingest has read and has not changed since is not
//! read again; shards of which every row is wanted are shared with the version before.

mod base;
mod catalogue;
mod commit;
mod crew;
mod error;
mod groups;
mod input;
mod intake;
mod outcome;
mod prepare;
mod progress;
mod pseudonym;
mod quarantine;
mod run;
mod sealed;
mod series;
mod shards;
mod summary;
mod tasks;

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;
use vismae_core::spec::IngestSpec;

pub use crate::memory::MEMORY_DEFAULT;
pub use crew::Crew;
pub use error::IngestError;
pub use input::ListError;
pub use progress::IngestProgress;
pub use pseudonym::PseudonymKey;
pub use shards::{ShardWriter, ShardWriterOptions};
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
    /// Who shares the files.
    pub crew: Crew,
}

/// Reads the inputs of a specification and commits what came of them, as the first member of a crew or alone.
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
        done = run::lead(store, spec, options, &progress) => done,
    }
}

/// Prepares files for the first member of a crew, until none is left.
///
/// # Errors
/// As [`ingest`].
///
/// # Cancel safety
/// As [`ingest`]; what is finished is left for the next attempt.
pub async fn help(
    store: &Store,
    spec: &IngestSpec,
    options: &IngestOptions,
    cancel: &CancellationToken,
) -> Result<(), IngestError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(IngestError::Cancelled),
        done = run::help(store, spec, options) => done,
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
