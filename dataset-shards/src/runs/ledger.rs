//! What a run has done, kept entry by entry where nobody can change it.
//!
//! A ledger is a folder of numbered objects, each of them written by create-if-absent: of two writers of one number one wins, and the
//! other reads what it has lost to. Every entry has the generation of the group that wrote it, and none is added behind one of a later
//! generation. So a group that was replaced, and does not know it, can commit nothing any more once the next one has begun.

mod entry;

use std::time::SystemTime;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use vismae_core::ids::Generation;

use super::paths::{RunNumber, RunPaths};
use crate::store::{PutOutcome, Store, StoreError};

pub use entry::{Begin, Checkpoint, CommittedFile, Damage, End, Entry, Group, Record, Retire};

/// The only format written and read.
const FORMAT: u32 = 1;
/// Entries read at the same time.
const CONCURRENT_READS: usize = 16;

/// Why a ledger can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The writer's group has been replaced.
    #[error("generation {own} can't write to `{ledger}` any more: generation {newer} has taken its place")]
    Fenced {
        /// The ledger.
        ledger: String,
        /// The writer's.
        own: Generation,
        /// That of the last entry.
        newer: Generation,
    },
    /// An entry is not what this crate writes.
    #[error("entry `{path}` cannot be read")]
    Malformed {
        /// The entry.
        path: String,
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// An entry is of another format.
    #[error("entry `{path}` has format {found}, expected {FORMAT}")]
    Format {
        /// The entry.
        path: String,
        /// Its format.
        found: u32,
    },
    /// An entry is missing between others, or there is something else.
    #[error("ledger `{ledger}` is damaged: it has `{found}` where entry {expected} should be")]
    Gap {
        /// The ledger.
        ledger: String,
        /// What is there.
        found: String,
        /// The number of the entry that should be there.
        expected: usize,
    },
    /// An entry names a file that is not of its run: nobody may have it read or removed.
    #[error("entry `{path}` names `{named}`, which is not a file of its run")]
    Stray {
        /// The entry.
        path: String,
        /// What it names.
        named: String,
    },
    /// A later run of the same name has taken its place.
    #[error("run {own} can't write to `{folder}` any more: run {later} of the same name has begun")]
    Replaced {
        /// The folder of all ledgers of the name.
        folder: String,
        /// The writer's run.
        own: RunNumber,
        /// The latest.
        later: RunNumber,
    },
    /// Entries that were there are gone.
    #[error("ledger `{ledger}` has been removed: it had {known} entries, and has {found}")]
    Removed {
        /// The ledger.
        ledger: String,
        /// Entries that were read.
        known: usize,
        /// Entries there are.
        found: usize,
    },
    /// The writing was given up.
    #[error("the writing of the ledger was interrupted")]
    Interrupted,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The ledger of one run, with the entries that were read.
#[derive(Debug, Clone)]
pub struct Ledger {
    store: Store,
    paths: RunPaths,
    run: RunNumber,
    folder: String,
    /// What the files of the run begin with.
    files: String,
    /// What the folders of its checkpoints begin with.
    checkpoints: String,
    records: Vec<Record>,
}

impl Ledger {
    /// Reads all entries; one that nobody has written to has none.
    ///
    /// # Errors
    /// [`LedgerError`], but never [`LedgerError::Fenced`].
    pub async fn open(store: &Store, paths: &RunPaths, run: RunNumber) -> Result<Self, LedgerError> {
        let folder = paths.ledger(run);
        for (number, found) in store.list(&folder).await?.into_iter().enumerate() {
            if found != path(&folder, number) {
                return Err(LedgerError::Gap { ledger: folder, found, expected: number });
            }
        }
        let (files, checkpoints) = (format!("{}/", paths.folder()), format!("{}/", paths.checkpoints_of(run)));
        // An entry counts for good, and so must what it is written on.
        let (store, paths) = (store.synced(), paths.clone());
        let mut ledger = Self { store, paths, run, folder, files, checkpoints, records: Vec::new() };
        ledger.catch_up().await?;
        Ok(ledger)
    }

    /// The runs of a name that have a ledger, the latest last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn runs(store: &Store, paths: &RunPaths) -> Result<Vec<RunNumber>, StoreError> {
        let folders = store.folders(&paths.ledgers()).await?;
        let mut runs: Vec<RunNumber> = Vec::new();
        for run in folders.iter().filter_map(|folder| folder.parse().ok()) {
            // A folder on a disk outlives what was in it.
            if !store.list(&paths.ledger(run)).await?.is_empty() {
                runs.push(run);
            }
        }
        runs.sort_unstable();
        Ok(runs)
    }

    /// Removes the ledgers and checkpoints of earlier runs of a name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_before(store: &Store, paths: &RunPaths, run: RunNumber) -> Result<(), StoreError> {
        for earlier in Self::runs(store, paths).await?.into_iter().filter(|earlier| *earlier < run) {
            let of_it = |folder: &String| folder.starts_with(&format!("{earlier}-g"));
            for commit in store.folders(&paths.commits()).await?.into_iter().filter(of_it) {
                store.remove_folder(&format!("{}/{commit}", paths.commits())).await?;
            }
            // The ledger last: it is what names the run.
            for folder in [paths.checkpoints_of(earlier), paths.ledger(earlier)] {
                store.remove_folder(&folder).await?;
            }
        }
        Ok(())
    }

    /// What was read and written so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What the run is to do; none before it has begun.
    pub fn begin(&self) -> Option<&Begin> {
        self.records.iter().find_map(|record| match &record.entry {
            Entry::Begin(begin) => Some(begin),
            _ => None,
        })
    }

    /// Adds an entry behind all that there are.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`] where one of a later generation is among them.
    pub async fn append(&mut self, generation: Generation, task: &str, entry: Entry) -> Result<(), LedgerError> {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let record = Record { format: FORMAT, generation: generation.0, task: task.to_owned(), at, entry };
        let next = path(&self.folder, self.records.len());
        let bytes = serde_json::to_vec_pretty(&record);
        let bytes = bytes.map_err(|source| LedgerError::Malformed { path: next, source })?;
        loop {
            self.check(generation)?;
            let next = path(&self.folder, self.records.len());
            match self.store.put_if_absent(&next, bytes.clone()).await? {
                PutOutcome::Created | PutOutcome::AlreadyWritten => {
                    self.records.push(record);
                    return Ok(());
                }
                PutOutcome::AlreadyExists => self.catch_up().await?,
            }
        }
    }

    /// Whether a group of this generation may still write, with what others have written by now.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`] where it may not, [`LedgerError::Replaced`] where a later run has begun.
    pub async fn confirm(&mut self, generation: Generation) -> Result<(), LedgerError> {
        if let Some(&later) = Self::runs(&self.store, &self.paths).await?.last().filter(|later| **later > self.run) {
            return Err(LedgerError::Replaced { folder: self.paths.ledgers(), own: self.run, later });
        }
        self.catch_up().await?;
        self.check(generation)
    }

    fn check(&self, own: Generation) -> Result<(), LedgerError> {
        let newer = Generation(self.records.iter().map(|record| record.generation).max().unwrap_or(0));
        if newer.0 > own.0 {
            return Err(LedgerError::Fenced { ledger: self.folder.clone(), own, newer });
        }
        Ok(())
    }

    /// Reads what others have written since.
    ///
    /// # Errors
    /// As [`Ledger::open`], and [`LedgerError::Removed`] where entries are gone that were there.
    pub async fn catch_up(&mut self) -> Result<(), LedgerError> {
        let known = self.records.len();
        let all = self.store.list(&self.folder).await?.len();
        if all < known {
            return Err(LedgerError::Removed { ledger: self.folder.clone(), known, found: all });
        }
        let reading = (known..all).map(|number| read(&self.store, path(&self.folder, number)));
        let read: Vec<Record> = stream::iter(reading).buffered(CONCURRENT_READS).try_collect().await?;
        for (number, record) in (known..).zip(&read) {
            if let Some(named) = self.stray(&record.entry) {
                return Err(LedgerError::Stray { path: path(&self.folder, number), named: named.to_owned() });
            }
        }
        self.records.extend(read);
        Ok(())
    }

    /// What an entry names that does not lie where it should.
    fn stray<'a>(&self, entry: &'a Entry) -> Option<&'a str> {
        let is_checkpoint = |folder: &str| {
            folder.strip_prefix(&self.checkpoints).is_some_and(|name| !name.is_empty() && !name.contains('/'))
        };
        match entry {
            Entry::Begin(_) | Entry::Group(_) => None,
            Entry::Checkpoint(checkpoint) if !is_checkpoint(&checkpoint.folder) => Some(&checkpoint.folder),
            Entry::Checkpoint(checkpoint) => {
                let is_in_it =
                    |path: &str| path.strip_prefix(&checkpoint.folder).is_some_and(|rest| rest.starts_with('/'));
                checkpoint.files().map(|file| file.path.as_str()).find(|path| !is_in_it(path))
            }
            Entry::Retire(retire) => retire.folders.iter().map(String::as_str).find(|folder| !is_checkpoint(folder)),
            Entry::End(end) => {
                end.files.iter().map(|file| file.path.as_str()).find(|path| !path.starts_with(&self.files))
            }
        }
    }
}

fn path(folder: &str, number: usize) -> String {
    format!("{folder}/{number:08}.json")
}

async fn read(store: &Store, path: String) -> Result<Record, LedgerError> {
    let bytes = store.get(&path).await?;
    let record: Result<Record, _> = serde_json::from_slice(&bytes);
    match record {
        Ok(Record { format, .. }) if format != FORMAT => Err(LedgerError::Format { path, found: format }),
        Ok(record) => Ok(record),
        Err(source) => Err(LedgerError::Malformed { path, source }),
    }
}

#[cfg(test)]
mod tests;
