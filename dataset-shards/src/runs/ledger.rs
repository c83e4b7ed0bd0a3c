//! What a run has done, kept entry by entry where nobody can change it.
//!
//! A ledger is a folder of numbered objects, each of them written by create-if-absent: of two writers of one number one wins, and the
//! other reads what it has lost to. Every entry has the generation of the group that wrote it, and none is added behind one of a later
//! generation. So a group that was replaced, and does not know it, can commit nothing any more once the next one has begun.

use std::time::SystemTime;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use vismae_core::ids::Generation;
use vismae_core::spec::{Modality, Selection};

use super::checkpoints::clear;
use super::paths::{RunNumber, RunPaths};
use crate::manifest::{ContentHash, modality_words};
use crate::order::{Plan, PlanSpec};
use crate::store::{PutOutcome, Store, StoreError};

/// The only format written and read.
const FORMAT: u32 = 1;
/// Entries read at the same time.
const CONCURRENT_READS: usize = 16;

/// One entry, and who wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The only one there is.
    pub format: u32,
    /// The generation of the group that its writer was the first rank of.
    pub generation: u64,
    /// The task that wrote it.
    pub task: String,
    /// When, by its own clock, as in RFC 3339.
    pub at: String,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The first one: what the run is to do.
    Begin(Begin),
    /// A group of ranks begins.
    Group(Group),
    /// Everything that the ranks have come to is in the store.
    Checkpoint(Checkpoint),
    /// Checkpoints that are not kept any more; their files are removed after this.
    Retire(Retire),
    /// All steps have been taken, and what came of them is in the store.
    End(End),
}

/// What a run is to do: everything that decides which samples its steps take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// The corpus it reads.
    pub corpus: String,
    /// The version of it, which never changes.
    pub corpus_version: u64,
    /// Modalities kept; all where there is none.
    #[serde(with = "modality_words")]
    pub modalities: Vec<Modality>,
    /// Sources kept; all where there is none.
    pub sources: Vec<String>,
    /// Seed of the order.
    pub seed: u64,
    /// Streams that a global batch is drawn from.
    pub lanes: u32,
    /// Samples in one step.
    pub global_batch: u32,
    /// Row groups that rows are shuffled within.
    pub window: u32,
    /// Passes over the samples.
    pub epochs: u32,
    /// Samples in each of them.
    pub samples_per_epoch: u64,
    /// Steps in each of them.
    pub steps_per_epoch: u64,
}

/// A group of ranks, as it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The first step that it is to take.
    pub first_step: u64,
    /// The tasks in the order of their ranks.
    pub ranks: Vec<String>,
}

/// The commit of a checkpoint: from these files any number of ranks goes on as if nothing had been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Steps that the weights have seen.
    pub step: u64,
    /// Of what decides the network and its optimiser: nothing else can take it up.
    pub configuration: ContentHash,
    /// Mean loss of the steps since the checkpoint before.
    pub loss: Option<f64>,
    /// The folder that its files lie in, and no others.
    pub folder: String,
    /// The tensors, split over the ranks there were.
    pub parts: Vec<CommittedFile>,
    /// The record of every step.
    pub steps: CommittedFile,
}

impl Checkpoint {
    /// All of its files.
    pub fn files(&self) -> impl Iterator<Item = &CommittedFile> {
        self.parts.iter().chain([&self.steps])
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.files().map(|file| file.bytes).sum()
    }
}

/// Checkpoints that are kept no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retire {
    /// Their folders.
    pub folders: Vec<String>,
}

/// The commit of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Steps that the weights have seen.
    pub steps: u64,
    /// What was left in the store; the record of every step is among it.
    pub files: Vec<CommittedFile>,
}

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedFile {
    /// Its path in the store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Hash of its bytes.
    pub blake3: ContentHash,
}

impl CommittedFile {
    /// Names bytes that were written.
    pub fn new(path: &str, bytes: &[u8]) -> Self {
        Self { path: path.to_owned(), bytes: bytes.len() as u64, blake3: ContentHash::of(bytes) }
    }
}

impl Begin {
    /// What a run over a plan is to do.
    pub fn new(corpus: (&str, u64), selection: &Selection, plan: &Plan, epochs: u32) -> Self {
        let PlanSpec { seed, lanes, global_batch, window } = plan.spec();
        Self {
            corpus: corpus.0.to_owned(),
            corpus_version: corpus.1,
            modalities: selection.modalities.clone(),
            sources: selection.sources.clone(),
            seed,
            lanes,
            global_batch,
            window,
            epochs,
            samples_per_epoch: plan.samples(),
            steps_per_epoch: plan.steps_per_epoch(),
        }
    }

    /// Which samples it takes.
    pub fn selection(&self) -> Selection {
        Selection { modalities: self.modalities.clone(), sources: self.sources.clone() }
    }

    /// How it orders them.
    pub fn plan_spec(&self) -> PlanSpec {
        let &Self { seed, lanes, global_batch, window, .. } = self;
        PlanSpec { seed, lanes, global_batch, window }
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.steps_per_epoch * u64::from(self.epochs)
    }
}

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
    folder: String,
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
        let mut ledger = Self { store: store.clone(), folder, records: Vec::new() };
        ledger.catch_up().await?;
        Ok(ledger)
    }

    /// The runs of a name that have a ledger, the latest last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn runs(store: &Store, paths: &RunPaths) -> Result<Vec<RunNumber>, StoreError> {
        let folders = store.folders(&paths.ledgers()).await?;
        let mut runs: Vec<RunNumber> = folders.iter().filter_map(|folder| folder.parse().ok()).collect();
        runs.sort_unstable();
        Ok(runs)
    }

    /// Removes the ledgers and checkpoints of earlier runs of a name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_before(store: &Store, paths: &RunPaths, run: RunNumber) -> Result<(), StoreError> {
        for earlier in Self::runs(store, paths).await?.into_iter().filter(|earlier| *earlier < run) {
            // The ledger last: it is what names the run.
            for folder in [paths.checkpoints_of(earlier), paths.ledger(earlier)] {
                clear(store, &folder).await?;
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
    /// [`LedgerError::Fenced`] where it may not.
    pub async fn confirm(&mut self, generation: Generation) -> Result<(), LedgerError> {
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
    async fn catch_up(&mut self) -> Result<(), LedgerError> {
        let known = self.records.len();
        let all = self.store.list(&self.folder).await?.len();
        let reading = (known..all).map(|number| read(&self.store, path(&self.folder, number)));
        let read: Vec<Record> = stream::iter(reading).buffered(CONCURRENT_READS).try_collect().await?;
        self.records.extend(read);
        Ok(())
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
