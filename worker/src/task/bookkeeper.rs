//! The ledger of a run, as the first rank of each group keeps it: never in the way of a step.

use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable as _};
use tokio::task::JoinHandle;
use vismae_core::ids::Generation;
use vismae_core::spec::CheckpointSpec;
use vismae_proto::v1::Checkpointed;
use vismae_proto::v1::task_event::Event;
use vismae_shards::runs::{
    Begin, CommittedFile, End, Entry, Group, Ledger, LedgerError, Retention, RunNumber, RunPaths, clear, committed,
    orphans, remove, surplus, verify,
};
use vismae_shards::store::Store;

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
    /// Begins to write that a group has begun, and before that what the run is to do where nobody has yet.
    pub(super) fn open(context: &'a TaskContext, generation: Generation, begin: &'a Begin, group: Group) -> Self {
        let paths = RunPaths::new(&context.id.job.to_string());
        let (store, of, writer) = (context.store.clone(), (paths, context.run), (generation, context.id.to_string()));
        let words = (begin.clone(), group);
        let open = move || opened(store.clone(), of.clone(), writer.clone(), words.clone());
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
                    tracing::warn!(step, %error, "checkpoint could not be committed; training goes on");
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
                retired => retired?,
            }
            Ok(ledger)
        }));
    }

    /// Commits what came of all steps.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub(super) fn commit(&mut self, steps: u64, files: Vec<CommittedFile>) -> Result<(), StepError> {
        let (context, generation) = (self.context, self.generation);
        let task = context.id.to_string();
        let append = self.settle()?.append(generation, &task, Entry::End(End { steps, files }));
        context.runtime.block_on(append).map_err(refused)
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
    store: Store,
    (paths, run): (RunPaths, RunNumber),
    (generation, task): (Generation, String),
    (begin, group): (Begin, Group),
) -> Result<Ledger, LedgerError> {
    let mut ledger = Ledger::open(&store, &paths, run).await?;
    ledger.confirm(generation).await?;
    if ledger.begin().is_none() {
        ledger.append(generation, &task, Entry::Begin(begin)).await?;
    }
    ledger.append(generation, &task, Entry::Group(group)).await?;
    Ok(ledger)
}

/// Removes what is not to be kept any more: checkpoints, and what uploads have left that were given up.
async fn tidy(
    store: &Store,
    ledger: &mut Ledger,
    (paths, run): (&RunPaths, RunNumber),
    writer: (Generation, &str),
    retention: Retention,
) -> Result<(), LedgerError> {
    retire(store, ledger, writer, retention).await?;
    for folder in orphans(store, paths, run, ledger).await? {
        clear(store, &folder).await?;
    }
    Ok(())
}

/// Removes the checkpoints that no rule keeps: only once the latest has been read back and is whole.
async fn retire(
    store: &Store,
    ledger: &mut Ledger,
    writer: (Generation, &str),
    retention: Retention,
) -> Result<(), LedgerError> {
    let kept = committed(ledger);
    let gone = surplus(&kept, retention, SystemTime::now());
    let Some(latest) = kept.last().filter(|_| !gone.is_empty()) else { return Ok(()) };
    if let Some(damage) = verify(store, &latest.checkpoint).await?.first() {
        let (step, path) = (latest.checkpoint.step, &damage.path);
        tracing::warn!(step, path, damage.message, "checkpoint does not read back as it was written: none is removed");
        return Ok(());
    }
    let folders = gone.iter().map(|kept| kept.checkpoint.folder.clone()).collect();
    remove(store, ledger, writer, folders).await
}

fn refused(error: LedgerError) -> StepError {
    match error {
        LedgerError::Fenced { .. } => StepError::Broken(error.to_string()),
        // The same again would find the same.
        LedgerError::Replaced { .. } | LedgerError::Removed { .. } => StepError::Task(TaskError::input_from(&error)),
        error => StepError::Task(TaskError::environment_from(&error)),
    }
}

/// What an earlier group or attempt has written that the run is to do.
pub(super) fn begun(context: &TaskContext) -> Result<Option<Begin>, TaskError> {
    let paths = RunPaths::new(&context.id.job.to_string());
    let ledger = context.runtime.block_on(Ledger::open(&context.store, &paths, context.run));
    Ok(ledger.map_err(|error| TaskError::environment_from(&error))?.begin().cloned())
}

/// Removes the ledgers and checkpoints of earlier runs of this name: their results are about to be replaced.
pub(super) fn retire_earlier(context: &TaskContext) -> Result<(), TaskError> {
    let paths = RunPaths::new(&context.id.job.to_string());
    let retired = context.runtime.block_on(Ledger::remove_before(&context.store, &paths, context.run));
    retired.map_err(|error| TaskError::environment_from(&error))
}
