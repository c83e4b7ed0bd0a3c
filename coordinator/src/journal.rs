//! Where the core's records go before anyone is told of them.

mod codec;
mod durable;

use std::collections::BTreeMap;
use std::future::Future;

use vismae_core::effect::Record;
use vismae_core::ids::{JobId, NamespaceName, PipelineId, WorkerId};

pub use codec::CorruptRecord;
pub use durable::{DurableJournal, OpenJournalError};

/// Why records could not be kept. The coordinator ends then: what it decides next could not be kept either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another coordinator has taken over.
    #[error("another coordinator has opened the same state and taken over; this one decides nothing any more")]
    Fenced,
    /// The store does not take them.
    #[error("the coordinator's records could not be kept: {problem}")]
    Failed {
        /// What went wrong.
        problem: String,
    },
}

/// Keeps records.
pub trait Journal: Send + 'static {
    /// Keeps all of the records, in their order. Nothing that follows from them happens before this returns.
    ///
    /// # Errors
    /// [`JournalError`] when they may not have been kept.
    fn append(&mut self, records: &[Record]) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Waits until nothing can be kept any more, though nothing was asked to be: as when another coordinator takes over.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    fn lost(&mut self) -> impl Future<Output = JournalError> + Send {
        std::future::pending()
    }

    /// Ends the keeping in good order.
    ///
    /// # Errors
    /// [`JournalError`]; everything appended has been kept all the same.
    fn close(self) -> impl Future<Output = Result<(), JournalError>> + Send
    where
        Self: Sized,
    {
        std::future::ready(Ok(()))
    }
}

/// Keeps the latest records for as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    pipelines: BTreeMap<PipelineId, Kept>,
    namespaces: BTreeMap<NamespaceName, Record>,
    drained: BTreeMap<WorkerId, Record>,
}

/// What is kept of one pipeline.
#[derive(Debug, Default)]
struct Kept {
    submission: Option<Record>,
    cancellation: Option<Record>,
    suspension: Option<Record>,
    jobs: BTreeMap<JobId, Record>,
    generations: BTreeMap<JobId, Record>,
}

impl MemoryJournal {
    /// Everything that would be needed to go on, in the order in which it can be taken up.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        let pipelines = self.pipelines.values().flat_map(|kept| {
            let whole = kept.submission.iter().chain(&kept.cancellation).chain(&kept.suspension);
            whole.chain(kept.jobs.values()).chain(kept.generations.values())
        });
        self.namespaces.values().chain(self.drained.values()).chain(pipelines)
    }

    fn keep(&mut self, record: &Record) {
        match record {
            Record::Pipeline { spec, .. } => self.kept(&spec.name).submission = Some(record.clone()),
            Record::Cancelled { pipeline } => self.kept(pipeline).cancellation = Some(record.clone()),
            Record::Suspended { pipeline, .. } => self.kept(pipeline).suspension = Some(record.clone()),
            Record::Job { job, .. } => {
                self.kept(&job.pipeline).jobs.insert(job.clone(), record.clone());
            }
            Record::Generation { job, .. } => {
                self.kept(&job.pipeline).generations.insert(job.clone(), record.clone());
            }
            Record::Namespace(namespace) => {
                self.namespaces.insert(namespace.name.clone(), record.clone());
            }
            Record::NamespaceDeleted { namespace } => {
                self.namespaces.remove(namespace);
            }
            Record::Drained { worker, .. } => {
                self.drained.insert(worker.clone(), record.clone());
            }
            Record::Undrained { worker } => {
                self.drained.remove(worker);
            }
            Record::Forgotten { pipeline } => {
                self.pipelines.remove(pipeline);
            }
        }
    }

    fn kept(&mut self, pipeline: &PipelineId) -> &mut Kept {
        self.pipelines.entry(pipeline.clone()).or_default()
    }
}

impl Journal for MemoryJournal {
    async fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        records.iter().for_each(|record| self.keep(record));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use vismae_core::ids::Generation;
    use vismae_core::job::{JobState, Ledger};
    use vismae_core::reason::Reason;

    use super::*;

    #[tokio::test]
    async fn the_latest_record_of_a_key_is_kept_until_its_pipeline_is_forgotten() {
        let job: JobId = "demo.ingest".parse().unwrap();
        let record = |attempts| Record::Job {
            job: job.clone(),
            attempts,
            failures: 0,
            fruitless: 0,
            generation: Generation(0),
            started: None,
            since: None,
            ledger: Ledger::default(),
            stops: Vec::new(),
            state: JobState::Waiting(Reason::Queued),
        };
        let mut journal = MemoryJournal::default();
        journal.append(&[record(0), record(1)]).await.unwrap();
        assert_eq!(journal.records().collect::<Vec<_>>(), [&record(1)]);
        journal.append(&[Record::Forgotten { pipeline: job.pipeline.clone() }]).await.unwrap();
        assert_eq!(journal.records().count(), 0);
    }
}
