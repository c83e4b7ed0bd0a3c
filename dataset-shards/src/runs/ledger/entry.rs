//! What the entries of a ledger say.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use vismae_core::spec::{Modality, Selection};

use crate::manifest::{ContentHash, modality_words};
use crate::order::{Plan, PlanSpec};
use crate::store::{Store, StoreError};

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
        self.files().fold(0, |sum, file| sum.saturating_add(file.bytes))
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

    /// Writes bytes, so that they outlast a loss of power: an entry that names them does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put(store: &Store, path: &str, bytes: impl Into<Bytes>) -> Result<Self, StoreError> {
        let bytes = bytes.into();
        let written = Self::new(path, &bytes);
        store.synced().put(path, bytes).await?;
        Ok(written)
    }

    /// Reads it back: its bytes, or how it differs from what was committed.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails in another way than lacking the file.
    pub async fn read(&self, store: &Store) -> Result<Result<Bytes, Damage>, StoreError> {
        let message = match store.get(&self.path).await {
            Ok(bytes) if bytes.len() as u64 != self.bytes => {
                format!("has {} bytes, expected {}", bytes.len(), self.bytes)
            }
            Ok(bytes) if ContentHash::of(&bytes) != self.blake3 => format!("has another hash than {}", self.blake3),
            Ok(bytes) => return Ok(Ok(bytes)),
            Err(StoreError::NotFound { .. }) => "is missing".to_owned(),
            Err(error) => return Err(error),
        };
        Ok(Err(Damage { path: self.path.clone(), message }))
    }
}

/// A file that is not what was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
}

/// The file and what is wrong with it.
impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path, self.message)
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
        self.steps_per_epoch.saturating_mul(self.epochs.into())
    }
}
