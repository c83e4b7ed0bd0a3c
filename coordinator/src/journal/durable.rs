//! Records in an object store, by SlateDB: a log of small writes that is merged in the background.

use std::sync::Arc;

use object_store::ObjectStore;
use slatedb::{CloseReason, Db, DbStatus, ErrorKind, Settings, WriteBatch};
use tokio::sync::watch;
use vismae_core::effect::Record;

use super::codec::{self, Change, CorruptRecord, Key};
use super::{Journal, JournalError};

/// The form of keys and values. A coordinator reads the forms up to its own and writes its own.
const SCHEMA: u32 = 1;
/// Bytes of records that are merged into one object. Until then each write is an object of its own, and the next coordinator reads them
/// one by one: some hundred, and not the thousands that the default of 64 MiB would leave.
const MERGED_FROM: usize = 256 << 10;
/// Where the form is written down; every record's key has a `/`.
const SCHEMA_KEY: &str = "schema";

/// Why the records of an earlier coordinator could not be taken up.
#[derive(Debug, thiserror::Error)]
pub enum OpenJournalError {
    /// The store refuses, or what lies there is no journal.
    #[error("the coordinator's state can't be opened: {0}")]
    Store(#[source] slatedb::Error),
    /// A record is damaged, or of a newer coordinator.
    #[error("the coordinator's state is damaged: {0}")]
    Corrupt(#[from] CorruptRecord),
    /// A newer coordinator has been here.
    #[error(
        "the coordinator's state has form {found}, expected at most {SCHEMA}: start the newer version that wrote it"
    )]
    Newer {
        /// The form found.
        found: String,
    },
}

/// Keeps records in an object store. Opening it fences every coordinator that has it open: their next write fails.
pub struct DurableJournal {
    db: Db,
    status: watch::Receiver<DbStatus>,
}

impl DurableJournal {
    /// Opens the state under a folder of a store, or begins it; gives every record that was kept.
    ///
    /// # Errors
    /// [`OpenJournalError`].
    pub async fn open(store: Arc<dyn ObjectStore>, folder: &str) -> Result<(Self, Vec<Record>), OpenJournalError> {
        let settings = Settings { l0_sst_size_bytes: MERGED_FROM, ..Settings::default() };
        let db = Db::builder(folder, store).with_settings(settings).build().await.map_err(OpenJournalError::Store)?;
        let journal = Self { status: db.subscribe(), db };
        let records = journal.read_all().await?;
        Ok((journal, records))
    }

    async fn read_all(&self) -> Result<Vec<Record>, OpenJournalError> {
        match self.db.get(SCHEMA_KEY).await.map_err(OpenJournalError::Store)? {
            None => {
                let written = self.db.put(SCHEMA_KEY, SCHEMA.to_string()).await.map_err(OpenJournalError::Store)?;
                written.await_durable().await.map_err(OpenJournalError::Store)?;
            }
            Some(form) if form == SCHEMA.to_string() => {}
            Some(form) => return Err(OpenJournalError::Newer { found: String::from_utf8_lossy(&form).into_owned() }),
        }
        let mut records = Vec::new();
        let mut all = self.db.scan::<std::ops::RangeFull>(..).await.map_err(OpenJournalError::Store)?;
        while let Some(entry) = all.next().await.map_err(OpenJournalError::Store)? {
            let path = String::from_utf8_lossy(&entry.key);
            if path != SCHEMA_KEY {
                records.push(codec::decode(Key::parse(&path)?, &entry.value)?);
            }
        }
        Ok(records)
    }

    /// Removes all that is kept of a pipeline.
    async fn forget(
        &self,
        batch: &mut WriteBatch,
        pipeline: &vismae_core::ids::PipelineId,
    ) -> Result<(), slatedb::Error> {
        batch.delete(Key::Pipeline(pipeline.clone()).path());
        batch.delete(Key::Cancelled(pipeline.clone()).path());
        batch.delete(Key::Suspended(pipeline.clone()).path());
        for kind in ["job", "generation"] {
            let mut jobs = self.db.scan_prefix(format!("{kind}/{pipeline}."), ..).await?;
            while let Some(entry) = jobs.next().await? {
                batch.delete(entry.key);
            }
        }
        Ok(())
    }

    async fn write(&self, records: &[Record]) -> Result<(), slatedb::Error> {
        let mut batch = WriteBatch::new();
        let mut put: Vec<Key> = Vec::new();
        for record in records {
            match codec::encode(record) {
                Change::Put(key, value) => {
                    batch.put(key.path(), value);
                    put.push(key);
                }
                Change::Delete(key) => batch.delete(key.path()),
                Change::Forget(pipeline) => {
                    // What this very batch puts is in no scan yet.
                    put.iter().filter(|key| key.pipeline() == Some(&pipeline)).for_each(|key| batch.delete(key.path()));
                    self.forget(&mut batch, &pipeline).await?;
                }
            }
        }
        self.db.write(batch).await?;
        // Now, and not when the next flush is due.
        self.db.flush().await
    }
}

impl Journal for DurableJournal {
    async fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        self.write(records).await.map_err(|error| told(&error))
    }

    async fn lost(&mut self) -> JournalError {
        let closed = self.status.wait_for(|status| status.close_reason.is_some()).await;
        match closed.as_ref().ok().and_then(|status| status.close_reason) {
            Some(CloseReason::Fenced) => JournalError::Fenced,
            reason => JournalError::Failed { problem: format!("the store was closed ({reason:?})") },
        }
    }

    async fn close(self) -> Result<(), JournalError> {
        self.db.close().await.map_err(|error| told(&error))
    }
}

fn told(error: &slatedb::Error) -> JournalError {
    match error.kind() {
        ErrorKind::Closed(CloseReason::Fenced) => JournalError::Fenced,
        _ => JournalError::Failed { problem: error.to_string() },
    }
}
