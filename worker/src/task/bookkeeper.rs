//! The ledger of a run, as the first rank of each group keeps it: never in the way of a step.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use tokio::task::JoinHandle;
use vismae_core::ids::Generation;
use vismae_core::spec::CheckpointSpec;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{CheckpointFailed, Checkpointed};
use vismae_shards::runs::{Artefact, Begin, Entry, Group, Ledger, LedgerError, Retention, RunPaths, publish, tidy};

use super::TaskContext;
use super::checkpoint::Finished;
use super::error::TaskError;
use super::rank::StepError;

/// Writes down that a group has begun, and later what came of it. Whoever finds a later group in the ledger has been replaced.
pub(super) struct Bookkeeper<'a> {
    context: &'a TaskContext,
    generation: Generation,
    begin: &'a Begin,
    book: Book,
}

enum Book {
    /// One thing after the other is being written.
    Writing(JoinHandle<Result<Ledger, LedgerError>>),
    /// Everything is written.
    Open(Ledger),
    /// Something could not be written, which has been told.
    Closed,
}

impl Book {
    async fn written(self) -> Result<Ledger, LedgerError> {
        match self {
            Self::Writing(writing) => writing.await.unwrap_or(Err(LedgerError::Interrupted)),
            Self::Open(ledger) => Ok(ledger),
            Self::Closed => Err(LedgerError::Interrupted),
        }
    }
}

impl<'a> Bookkeeper<'a> {
    /// Begins to write that a group has begun, and before that what the run is to do where nobody has yet; behind what is known to be
    /// in the ledger.
    pub(super) fn open(
        context: &'a TaskContext,
        known: &Ledger,
        generation: Generation,
        (begin, group): (&'a Begin, Group),
    ) -> Self {
        let (known, writer, words) = (known.clone(), (generation, context.id.to_string()), (begin.clone(), group));
        let open = move || opened(known.clone(), writer.clone(), words.clone());
        // Training goes on meanwhile: only what is committed has to wait for a store that is away, or a disk that is full.
        let patient = ExponentialBuilder::default().with_max_delay(Duration::from_secs(10)).with_max_times(100);
        let writing = context.runtime.spawn(async move {
            let opened = open.retry(patient).when(|error| matches!(error, LedgerError::Store(_)));
            opened.notify(|error, _| tracing::warn!(%error, "the ledger can't be written, trying again")).await
        });
        Self { context, generation, begin, book: Book::Writing(writing) }
    }

    /// Takes in what has been written, without a wait.
    ///
    /// # Errors
    /// [`StepError::Broken`] where a later group has begun.
    pub(super) fn look(&mut self) -> Result<(), StepError> {
        match &self.book {
            Book::Writing(writing) if writing.is_finished() => self.settle().map(drop),
            _ => Ok(()),
        }
    }

    /// Waits until everything is written, and asks whether the group may still write: before it replaces anything.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub(super) fn confirm(&mut self) -> Result<(), StepError> {
        let (context, generation) = (self.context, self.generation);
        context.runtime.block_on(self.settle()?.confirm(generation)).map_err(refused)
    }

    /// Begins to commit a checkpoint, and then to remove those that are kept no more.
    pub(super) fn keep(&mut self, finished: Finished, spec: &CheckpointSpec) {
        let Finished { checkpoint, began, stall } = finished;
        let retention =
            Retention { latest: spec.latest as usize, best: spec.best as usize, younger_than: spec.younger_than };
        let (store, generation, task) = (self.context.store.clone(), self.generation, self.context.id.to_string());
        let (paths, run) = (RunPaths::new(&self.context.id.job.to_string()), self.context.run);
        let before = std::mem::replace(&mut self.book, Book::Closed);
        let reporter = self.context.reporter.clone();
        self.book = Book::Writing(self.context.runtime.spawn(async move {
            let mut ledger = before.written().await?;
            let (step, bytes) = (checkpoint.step, checkpoint.bytes());
            match ledger.append(generation, &task, Entry::Checkpoint(checkpoint)).await {
                Err(LedgerError::Store(error)) => {
                    let reason = TaskError::environment_from(&error).to_string();
                    tracing::warn!(step, reason, "checkpoint could not be committed; training goes on");
                    reporter.send(Event::CheckpointFailed(CheckpointFailed { step, reason }));
                    return Ok(ledger);
                }
                appended => appended?,
            }
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!(step, bytes, stall, seconds, "checkpoint committed");
            reporter.send(Event::Checkpointed(Checkpointed { step, bytes, stall_seconds: stall, seconds }));
            let of = (&paths, run);
            match tidy(&store, &mut ledger, of, (generation, &task), retention).await {
                Err(LedgerError::Store(error)) => tracing::warn!(%error, "checkpoints that are not to be kept stay"),
                Ok(Some(damage)) => {
                    tracing::warn!(step, %damage, "checkpoint does not read back as it was written: none is removed");
                }
                retired => drop(retired?),
            }
            Ok(ledger)
        }));
    }

    /// Commits what came of all steps, and lets people find it.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub(super) fn commit(&mut self, of: (&str, u64), artefacts: &[Artefact]) -> Result<(), StepError> {
        let (context, generation) = (self.context, self.generation);
        let task = context.id.to_string();
        let publish = publish(&context.store, self.settle()?, (generation, &task), of, artefacts);
        context.runtime.block_on(publish).map_err(refused)
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub(super) fn settle(&mut self) -> Result<&mut Ledger, StepError> {
        let book = std::mem::replace(&mut self.book, Book::Closed);
        let ledger = self.context.runtime.block_on(book.written()).map_err(refused)?;
        if ledger.begin().is_some_and(|begun| begun != self.begin) {
            return Err(StepError::Task(TaskError::input(format!(
                "run {} of `{}` has begun with another corpus, selection or order than this attempt would go on with: submit it as a new \
                 pipeline",
                self.context.run, self.context.id.job
            ))));
        }
        self.book = Book::Open(ledger);
        match &mut self.book {
            Book::Open(ledger) => Ok(ledger),
            _ => Err(refused(LedgerError::Interrupted)),
        }
    }
}

/// Writes that a group has begun; tried again, it may say so twice.
async fn opened(
    mut ledger: Ledger,
    (generation, task): (Generation, String),
    (begin, group): (Begin, Group),
) -> Result<Ledger, LedgerError> {
    ledger.confirm(generation).await?;
    if ledger.begin().is_none() {
        ledger.append(generation, &task, Entry::Begin(begin)).await?;
    }
    ledger.append(generation, &task, Entry::Group(group)).await?;
    Ok(ledger)
}

fn refused(error: LedgerError) -> StepError {
    match error {
        LedgerError::Fenced { .. } => StepError::Broken(error.to_string()),
        // The same again would find the same.
        LedgerError::Replaced { .. } | LedgerError::Removed { .. } => StepError::Task(TaskError::input_from(&error)),
        error => StepError::Task(TaskError::environment_from(&error)),
    }
}

/// What earlier groups and attempts have written.
pub(super) fn read(context: &TaskContext) -> Result<Ledger, TaskError> {
    let paths = RunPaths::new(&context.id.job.to_string());
    let ledger = context.runtime.block_on(Ledger::open(&context.store, &paths, context.run));
    ledger.map_err(|error| TaskError::environment_from(&error))
}

/// Removes the ledgers and checkpoints of earlier runs of this name: their results are about to be replaced.
pub(super) fn retire_earlier(context: &TaskContext) -> Result<(), TaskError> {
    let paths = RunPaths::new(&context.id.job.to_string());
    let retired = context.runtime.block_on(Ledger::remove_before(&context.store, &paths, context.run));
    retired.map_err(|error| TaskError::environment_from(&error))
}
