//! The ledger of a run, as the first rank of each group keeps it: never in the way of a step.

use tokio::task::JoinHandle;
use vismae_core::ids::Generation;
use vismae_shards::runs::{Begin, CommittedFile, End, Entry, Group, Ledger, LedgerError, RunPaths};

use super::TaskContext;
use super::error::TaskError;
use super::rank::StepError;

/// Writes down that a group has begun, and later what came of it. Whoever finds a later group in the ledger has been replaced.
pub(super) struct Bookkeeper<'a> {
    context: &'a TaskContext,
    generation: Generation,
    state: State,
}

enum State {
    /// What the run is to do and that the group has begun is being written.
    Opening(JoinHandle<Result<Ledger, LedgerError>>),
    /// It is written.
    Open(Ledger),
}

impl<'a> Bookkeeper<'a> {
    /// Begins to write that a group has begun, and before that what the run is to do where nobody has yet.
    pub(super) fn open(context: &'a TaskContext, generation: Generation, begin: &Begin, group: Group) -> Self {
        let paths = RunPaths::new(&context.id.job.to_string());
        let (store, run, task, begin) = (context.store.clone(), context.run, context.id.to_string(), begin.clone());
        let opening = context.runtime.spawn(async move {
            let mut ledger = Ledger::open(&store, &paths, run).await?;
            if ledger.begin().is_none() {
                ledger.append(generation, &task, Entry::Begin(begin)).await?;
            }
            ledger.append(generation, &task, Entry::Group(group)).await?;
            Ok(ledger)
        });
        Self { context, generation, state: State::Opening(opening) }
    }

    /// Takes in what has been written, without a wait.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub(super) fn look(&mut self, begin: &Begin) -> Result<(), StepError> {
        match &self.state {
            State::Opening(opening) if opening.is_finished() => self.settle(begin).map(drop),
            _ => Ok(()),
        }
    }

    /// Waits until it is written that the group has begun; `begin` is what the run is to do as this group knows it.
    ///
    /// # Errors
    /// [`StepError::Broken`] where a later group has begun.
    fn settle(&mut self, begin: &Begin) -> Result<&mut Ledger, StepError> {
        if let State::Opening(opening) = &mut self.state {
            let opened = self.context.runtime.block_on(opening);
            let ledger = opened.map_err(TaskError::while_doing("writing the ledger"))?.map_err(refused)?;
            if ledger.begin().is_some_and(|begun| begun != begin) {
                return Err(StepError::Task(TaskError::input(format!(
                    "run {} of `{}` has begun with another corpus, selection or order than this attempt would go on with: submit it as a \
                     new pipeline",
                    self.context.run, self.context.id.job
                ))));
            }
            self.state = State::Open(ledger);
        }
        match &mut self.state {
            State::Open(ledger) => Ok(ledger),
            State::Opening(_) => Err(StepError::Task(TaskError::environment("the ledger is not open"))),
        }
    }

    /// Asks whether the group may still write: before it replaces anything.
    ///
    /// # Errors
    /// [`StepError::Broken`] where a later group has begun.
    pub(super) fn confirm(&mut self, begin: &Begin) -> Result<(), StepError> {
        let (context, generation) = (self.context, self.generation);
        let confirm = self.settle(begin)?.confirm(generation);
        context.runtime.block_on(confirm).map_err(refused)
    }

    /// Commits what came of all steps.
    ///
    /// # Errors
    /// [`StepError::Broken`] where a later group has begun.
    pub(super) fn commit(&mut self, begin: &Begin, steps: u64, files: Vec<CommittedFile>) -> Result<(), StepError> {
        let (context, generation) = (self.context, self.generation);
        let task = context.id.to_string();
        let append = self.settle(begin)?.append(generation, &task, Entry::End(End { steps, files }));
        context.runtime.block_on(append).map_err(refused)
    }
}

fn refused(error: LedgerError) -> StepError {
    match error {
        LedgerError::Fenced { .. } => StepError::Broken(error.to_string()),
        error => StepError::Task(TaskError::environment_from(&error)),
    }
}

/// What an earlier group or attempt has written that the run is to do.
pub(super) fn begun(context: &TaskContext) -> Result<Option<Begin>, TaskError> {
    let paths = RunPaths::new(&context.id.job.to_string());
    let ledger = context.runtime.block_on(Ledger::open(&context.store, &paths, context.run));
    Ok(ledger.map_err(|error| TaskError::environment_from(&error))?.begin().cloned())
}

/// Removes the ledgers of earlier runs of this name: their files are about to be replaced.
pub(super) fn retire_earlier(context: &TaskContext) -> Result<(), TaskError> {
    let paths = RunPaths::new(&context.id.job.to_string());
    let retired = context.runtime.block_on(Ledger::remove_before(&context.store, &paths, context.run));
    retired.map_err(|error| TaskError::environment_from(&error))
}
