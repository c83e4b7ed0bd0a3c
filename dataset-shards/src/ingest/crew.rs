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

    /// Clears the claims of other times, and says which files the members work on. What an early member has claimed may then be
    /// prepared twice, which does no harm.
    pub(super) async fn begin(&self, on: &Digest) -> Result<(), StoreError> {
        for path in self.store.list(&self.folder).await? {
            if path.contains("/attempt-") {
                self.store.delete(&path).await?;
            }
        }
        self.store.put(&self.marker("files"), on.to_vec()).await
    }

    /// Makes sure that a member sees the same files as the first to come.
    ///
    /// # Errors
    /// [`IngestError::OtherFiles`] when this member's differ.
    pub(super) async fn agree(&self, on: &Digest) -> Result<(), IngestError> {
        match self.store.put_if_absent(&self.marker("files"), on.to_vec()).await? {
            PutOutcome::AlreadyExists if !self.is_over().await? => {
                Err(IngestError::OtherFiles { member: self.crew.member })
            }
            _ => Ok(()),
        }
    }

    /// Whether this attempt has been committed: there is nothing left to do.
    pub(super) async fn is_over(&self) -> Result<bool, StoreError> {
        if self.crew.is_alone() { Ok(false) } else { self.store.exists(&self.marker("over")).await }
    }

    /// Tells the others that nothing is left to do, and removes everything that attempts at this job left.
    pub(super) async fn end(&self) -> Result<(), StoreError> {
        let over = self.marker("over");
        if !self.crew.is_alone() {
            self.store.put(&over, Vec::new()).await?;
        }
        let mut left = self.store.list(&self.folder).await?;
        // A task that has lost its last part first is not done, whenever this is interrupted.
        left.sort_by_key(|path| !path.ends_with("-last"));
        for path in left.iter().filter(|path| **path != over) {
            self.store.delete(path).await?;
        }
        Ok(())
    }

    fn marker(&self, name: &str) -> String {
        format!("{}/attempt-{}/{name}", self.folder, self.crew.attempt)
    }

    /// Whether this member shall prepare a task: nobody else does, or did.
    pub(super) async fn claim(&self, task: &Digest) -> Result<bool, StoreError> {
        if self.is_done(task).await? {
            return Ok(false);
        }
        let claim = self.marker(&hex(task));
        // Each member writes its own number: one that finds it there has claimed the task before the answer was lost.
        let claimed = self.store.put_if_absent(&claim, self.crew.member.to_string()).await?;
        Ok(claimed != PutOutcome::AlreadyExists)
    }

    /// Whether every part of a task is there.
    pub(super) async fn is_done(&self, task: &Digest) -> Result<bool, StoreError> {
        self.store.exists(&self.last(task)).await
    }

    /// Reads a part of a task: its units, and how many lie before it. A task of which a part is not as it was put away counts as
    /// not done from then on.
    async fn part(&self, task: &Digest, path: &str) -> Result<Part, IngestError> {
        let bytes = self.store.get(path).await?;
        let unsealed = tokio::task::spawn_blocking(move || unseal(&bytes)).await.map_err(IngestError::Thread)?;
        if unsealed.is_err() {
            self.store.delete(&self.last(task)).await?;
        }
        unsealed.map_err(|_| IngestError::Staged { path: path.to_owned() })
    }

    /// The number of parts of a task that is done, but for the last.
    pub(super) async fn parts(&self, task: &Digest) -> Result<(u32, Vec<Vec<Outcome>>), IngestError> {
        let last = self.part(task, &self.last(task)).await?;
        Ok((last.before, last.units))
    }

    /// One of the parts before the last.
    pub(super) async fn part_before(&self, task: &Digest, number: u32) -> Result<Vec<Vec<Outcome>>, IngestError> {
        Ok(self.part(task, &self.numbered(task, number)).await?.units)
    }

    /// Begins to write the parts of a task.
    pub(super) fn writer(&'a self, task: Digest) -> PartWriter<'a> {
        PartWriter { staging: self, task, before: 0, units: Vec::new(), bytes: 0 }
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
