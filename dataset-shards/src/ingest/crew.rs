//! The processes that share the files of one ingest, and how they share them: over the store alone.
//!
//! Files that are read together form units, and runs of units form tasks. Whoever creates the claim of a task prepares it and
//! leaves what came of it in the staging folder; the first member takes the parts in the order of the files, writes the
//! shards and commits. Claims are those of one attempt; parts are named by what they were made of, so that a later attempt
//! finds the work of an earlier one done. What lies in the staging folder is no part of any version.

use vismae_core::ids::{CorpusName, TaskId};

use super::IngestError;
use super::catalogue::UnitKey;
use super::outcome::{Digest, Outcome, digest, pixel_bytes};
use super::sealed::{seal, unseal};
use crate::manifest::Manifest;
use crate::store::{PutOutcome, Store, StoreError};

/// Bytes of pixels in one part, about: what a member holds of what it prepared.
const PART_BYTES: usize = 64 << 20;

/// One of the processes that share an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crew {
    folder: String,
    attempt: u32,
    member: u32,
    size: u32,
}

impl Crew {
    /// A process that does all by itself.
    pub fn alone() -> Self {
        Self { folder: "alone".to_owned(), attempt: 0, member: 0, size: 1 }
    }

    /// The member that a task is, of a gang of this size. Attempts at one job share what they have staged.
    pub fn member(task: &TaskId, size: u32) -> Self {
        Self { folder: task.job.to_string(), attempt: task.attempt, member: task.member, size: size.max(1) }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.size == 1
    }

    /// The tasks in the order that this member tries to claim them: each begins elsewhere, and the first in front, where the
    /// parts are waited for.
    pub(super) fn tour(&self, tasks: usize) -> impl Iterator<Item = usize> + use<> {
        let first = tasks as u64 * u64::from(self.member) / u64::from(self.size);
        (0..tasks).map(move |at| (first as usize + at) % tasks)
    }
}

/// What a crew has laid down for each other in the store.
pub(super) struct Staging<'a> {
    store: &'a Store,
    crew: &'a Crew,
    folder: String,
}

/// The last part of a task says how many lie before it.
#[derive(serde::Serialize, serde::Deserialize)]
struct Part {
    before: u32,
    units: Vec<Vec<Outcome>>,
}

/// What a task is called: by the units that it consists of.
pub(super) fn task_key(units: &[UnitKey]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for unit in units {
        hasher.update(unit);
    }
    digest(&hasher)
}

impl<'a> Staging<'a> {
    pub(super) fn new(store: &'a Store, corpus: &CorpusName, crew: &'a Crew) -> Self {
        Self { store, crew, folder: format!("{}/staging/{}", Manifest::folder(corpus), crew.folder) }
    }

    /// Whether an earlier attempt at this job left anything.
    pub(super) async fn is_begun(&self) -> Result<bool, StoreError> {
        Ok(!self.store.list(&self.folder).await?.is_empty())
    }

    /// Makes sure that all members see the same files: the first to come says which.
    ///
    /// # Errors
    /// [`IngestError::OtherFiles`] when this member's differ.
    pub(super) async fn agree(&self, on: &Digest) -> Result<(), IngestError> {
        let path = format!("{}/attempt-{}/files", self.folder, self.crew.attempt);
        match self.store.put_if_absent(&path, on.to_vec()).await? {
            PutOutcome::Created | PutOutcome::AlreadyWritten => Ok(()),
            PutOutcome::AlreadyExists => Err(IngestError::OtherFiles { member: self.crew.member }),
        }
    }

    /// Whether this member shall prepare a task: nobody else does, or did.
    pub(super) async fn claim(&self, task: &Digest) -> Result<bool, StoreError> {
        if self.is_done(task).await? {
            return Ok(false);
        }
        let claim = format!("{}/attempt-{}/{}", self.folder, self.crew.attempt, hex(task));
        // Each member writes its own number: one that finds it there has claimed the task before the answer was lost.
        let claimed = self.store.put_if_absent(&claim, self.crew.member.to_string()).await?;
        Ok(claimed != PutOutcome::AlreadyExists)
    }

    /// Whether every part of a task is there.
    pub(super) async fn is_done(&self, task: &Digest) -> Result<bool, StoreError> {
        self.store.exists(&self.last(task)).await
    }

    /// Reads a part of a task: its units, and whether others follow.
    async fn part(&self, path: &str) -> Result<Part, IngestError> {
        let bytes = self.store.get(path).await?;
        let unsealed = tokio::task::spawn_blocking(move || unseal(&bytes)).await.map_err(IngestError::Thread)?;
        unsealed.map_err(|_| IngestError::Staged { path: path.to_owned() })
    }

    /// The number of parts of a task that is done, but for the last.
    pub(super) async fn parts(&self, task: &Digest) -> Result<(u32, Vec<Vec<Outcome>>), IngestError> {
        let last = self.part(&self.last(task)).await?;
        Ok((last.before, last.units))
    }

    /// One of the parts before the last.
    pub(super) async fn part_before(&self, task: &Digest, number: u32) -> Result<Vec<Vec<Outcome>>, IngestError> {
        Ok(self.part(&self.numbered(task, number)).await?.units)
    }

    /// Begins to write the parts of a task.
    pub(super) fn writer(&'a self, task: Digest) -> PartWriter<'a> {
        PartWriter { staging: self, task, before: 0, units: Vec::new(), bytes: 0 }
    }

    /// Removes everything that attempts at this job left.
    pub(super) async fn clear(&self) -> Result<(), StoreError> {
        for path in self.store.list(&self.folder).await? {
            self.store.delete(&path).await?;
        }
        Ok(())
    }

    fn last(&self, task: &Digest) -> String {
        format!("{}/parts/{}-last", self.folder, hex(task))
    }

    fn numbered(&self, task: &Digest, number: u32) -> String {
        format!("{}/parts/{}-{number}", self.folder, hex(task))
    }
}

/// Collects what came of the units of a task; a part is put away whenever it is large enough.
pub(super) struct PartWriter<'a> {
    staging: &'a Staging<'a>,
    task: Digest,
    before: u32,
    units: Vec<Vec<Outcome>>,
    bytes: usize,
}

impl PartWriter<'_> {
    pub(super) async fn push(&mut self, outcomes: Vec<Outcome>) -> Result<(), IngestError> {
        self.bytes += pixel_bytes(&outcomes);
        self.units.push(outcomes);
        if self.bytes >= PART_BYTES {
            self.put(&self.staging.numbered(&self.task, self.before)).await?;
            self.before += 1;
        }
        Ok(())
    }

    /// Puts away the rest: with its last part the task is done.
    pub(super) async fn finish(mut self) -> Result<(), IngestError> {
        self.put(&self.staging.last(&self.task)).await
    }

    async fn put(&mut self, path: &str) -> Result<(), IngestError> {
        let part = Part { before: self.before, units: std::mem::take(&mut self.units) };
        self.bytes = 0;
        let sealed = tokio::task::spawn_blocking(move || seal(&part)).await.map_err(IngestError::Thread)?;
        self.staging.store.put(path, sealed.map_err(IngestError::Seal)?).await?;
        Ok(())
    }
}

fn hex(digest: &Digest) -> String {
    format!("{:032x}", u128::from_be_bytes(*digest))
}
