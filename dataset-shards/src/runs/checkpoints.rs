//! Which checkpoints a run has, whether they are whole, and which of them to keep.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use vismae_core::ids::Generation;

use super::ledger::{Checkpoint, Damage, Entry, Ledger, LedgerError, Retire};
use super::paths::{RunNumber, RunPaths};
use crate::store::{Store, StoreError};

/// A checkpoint that was committed, and has not been retired since.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The generation that made it.
    pub generation: Generation,
    /// When, by the clock of its first rank, as in RFC 3339.
    pub at: String,
    /// What it consists of.
    pub checkpoint: Checkpoint,
}

/// How many checkpoints are kept. Whatever one of the rules keeps is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many of the latest; at least one.
    pub latest: usize,
    /// So many of those with the lowest loss.
    pub best: usize,
    /// Those not older than this.
    pub younger_than: Option<Duration>,
}

/// The checkpoints of a run, the latest last.
pub fn committed(ledger: &Ledger) -> Vec<Kept> {
    let mut kept: Vec<Kept> = Vec::new();
    for record in ledger.records() {
        match &record.entry {
            Entry::Checkpoint(checkpoint) => kept.push(Kept {
                generation: Generation(record.generation),
                at: record.at.clone(),
                checkpoint: checkpoint.clone(),
            }),
            Entry::Retire(Retire { folders }) => kept.retain(|kept| !folders.contains(&kept.checkpoint.folder)),
            Entry::Begin(_) | Entry::Group(_) | Entry::End(_) => {}
        }
    }
    kept
}

/// Reads every file of a checkpoint, and compares it with the commit. Nothing means that it is whole.
///
/// # Errors
/// [`StoreError`] when the store fails in another way than lacking a file.
pub async fn verify(store: &Store, checkpoint: &Checkpoint) -> Result<Vec<Damage>, StoreError> {
    let mut damages = Vec::new();
    for file in checkpoint.files() {
        damages.extend(file.read(store).await?.err());
    }
    Ok(damages)
}

/// Those of the checkpoints, the latest last, that no rule keeps; the latest is never among them. None of them may be removed before
/// [`verify`] has read the latest back and found it whole.
pub fn surplus(kept: &[Kept], retention: Retention, now: SystemTime) -> Vec<&Kept> {
    let (older, _) = kept.split_at(kept.len().saturating_sub(retention.latest.max(1)));
    let mut by_loss: Vec<(f64, usize)> =
        (0..).zip(kept).filter_map(|(index, kept)| Some((kept.checkpoint.loss?, index))).collect();
    by_loss.sort_by(|one, other| one.0.total_cmp(&other.0));
    let best: BTreeSet<usize> = by_loss.into_iter().take(retention.best).map(|(_, index)| index).collect();
    let is_young = |kept: &Kept| {
        let Some(limit) = retention.younger_than else { return false };
        // A date that can't be read is no reason to remove anything.
        humantime::parse_rfc3339(&kept.at)
            .map_or(true, |at| now.duration_since(at).is_ok_and(|age| age <= limit) || at > now)
    };
    (0..).zip(older).filter(|(index, kept)| !best.contains(index) && !is_young(kept)).map(|(_, kept)| kept).collect()
}

/// Says in the ledger that these checkpoints are kept no more, then removes their files.
///
/// # Errors
/// [`LedgerError`]; what was written stays written, and [`orphans`] finds what has not been removed.
pub async fn remove(
    store: &Store,
    ledger: &mut Ledger,
    (generation, task): (Generation, &str),
    folders: Vec<String>,
) -> Result<(), LedgerError> {
    if folders.is_empty() {
        return Ok(());
    }
    ledger.append(generation, task, Entry::Retire(Retire { folders: folders.clone() })).await?;
    for folder in folders {
        store.remove_folder(&folder).await?;
    }
    Ok(())
}

/// After a commit: removes the checkpoints that no rule keeps, and what uploads have left that were given up. Gives the damage of the
/// latest where it does not read back as it was written: then none is retired.
///
/// What is removed can't be read again, so the latest is downloaded whole for each commit that retires another one, by the first rank and
/// behind the back of the loop. The hash that a store keeps itself would cost less, and prove less: that it took the bytes, not that it
/// gives them.
///
/// # Errors
/// [`LedgerError`]; what was written stays written.
pub async fn tidy(
    store: &Store,
    ledger: &mut Ledger,
    (paths, run): (&RunPaths, RunNumber),
    writer: (Generation, &str),
    retention: Retention,
) -> Result<Option<Damage>, LedgerError> {
    let kept = committed(ledger);
    let gone = surplus(&kept, retention, SystemTime::now());
    let mut damage = None;
    if let Some(latest) = kept.last().filter(|_| !gone.is_empty()) {
        damage = verify(store, &latest.checkpoint).await?.into_iter().next();
        if damage.is_none() {
            let folders = gone.iter().map(|kept| kept.checkpoint.folder.clone()).collect();
            remove(store, ledger, writer, folders).await?;
        }
    }
    for folder in orphans(store, paths, run, ledger).await? {
        store.remove_folder(&folder).await?;
    }
    Ok(damage)
}

/// The folders of checkpoints that no commit names: of uploads that were not finished, or that have been retired. Those that may be
/// about to be committed are not among them: of the latest generation, and behind its last commit.
///
/// # Errors
/// [`StoreError`].
pub async fn orphans(
    store: &Store,
    paths: &RunPaths,
    run: RunNumber,
    ledger: &Ledger,
) -> Result<Vec<String>, StoreError> {
    let kept = committed(ledger);
    let named: BTreeSet<&str> = kept.iter().map(|kept| kept.checkpoint.folder.as_str()).collect();
    let is_over = ledger.records().iter().any(|record| matches!(record.entry, Entry::End(_)));
    let newest = ledger.records().iter().map(|record| record.generation).max().unwrap_or(0);
    let last = kept.last().map_or((0, 0), |kept| (kept.generation.0, kept.checkpoint.step));
    let parent = paths.checkpoints_of(run);
    let mut orphans = Vec::new();
    for name in store.folders(&parent).await? {
        let folder = format!("{parent}/{name}");
        let of =
            name.split_once("-g").and_then(|(step, generation)| Some((step.parse().ok()?, generation.parse().ok()?)));
        let is_under_way = of.is_some_and(|(step, generation): (u64, u64)| {
            !is_over && generation >= newest && (generation, step) > last
        });
        // It may have nothing that a store lists: a killed process leaves half a file on a disk.
        if !named.contains(folder.as_str()) && !is_under_way {
            orphans.push(folder);
        }
    }
    Ok(orphans)
}

#[cfg(test)]
mod kills;
#[cfg(test)]
mod tests;
