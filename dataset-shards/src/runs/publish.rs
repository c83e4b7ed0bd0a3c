//! The end of a run: its commit, and what people take from it.

use bytes::Bytes;
use vismae_core::ids::Generation;

use super::ledger::{CommittedFile, End, Entry, Ledger, LedgerError};
use crate::store::Store;

/// A file of a run, before it is written.
#[derive(Debug, Clone)]
pub struct Artefact {
    /// Where people look for it.
    pub path: String,
    /// What is in it.
    pub bytes: Bytes,
}

/// Writes the files of a run in a folder of their own, where no other group writes, commits them, and only then lets people find them: a
/// group that has been replaced, and does not know it yet, spoils nothing.
///
/// Where people look is a copy that the store makes by itself, so that the bytes leave this machine once.
///
/// # Errors
/// [`LedgerError`]; what was committed stays committed.
pub async fn publish(
    store: &Store,
    ledger: &mut Ledger,
    (generation, task): (Generation, &str),
    (folder, steps): (&str, u64),
    artefacts: &[Artefact],
) -> Result<(), LedgerError> {
    let store = store.synced();
    let mut files = Vec::with_capacity(artefacts.len());
    for Artefact { path, bytes } in artefacts {
        let name = path.rsplit('/').next().unwrap_or_default();
        files.push(CommittedFile::put(&store, &format!("{folder}/{name}"), bytes.clone()).await?);
    }
    ledger.append(generation, task, Entry::End(End { steps, files: files.clone() })).await?;
    for (file, Artefact { path, bytes }) in files.iter().zip(artefacts) {
        if let Err(error) = store.copy(&file.path, path).await {
            // It may be of a kind that copies nothing, or nothing of this size.
            tracing::warn!(path, %error, "the store did not copy a file: it is written once more");
            store.put(path, bytes.clone()).await?;
        }
    }
    Ok(())
}
