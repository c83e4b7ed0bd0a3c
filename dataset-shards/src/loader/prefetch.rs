//! Batches read ahead of the training loop.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use vismae_core::ids::Epoch;

use super::cache::GroupCache;
use super::{Batch, Dataset, LoadError};
use crate::order::{Plan, RowRef};

/// How much a [`Loader`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Batches that wait for the training loop, at least 1.
    pub prefetch: usize,
    /// Bytes of decoded row groups kept. A rank needs its lanes times the plan's window of row groups; with less, row groups
    /// are read more than once.
    pub cache_bytes: usize,
}

/// Where a planned reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The first epoch.
    pub epoch: Epoch,
    /// The first step in that epoch.
    pub step: u64,
}

/// Hands out batches that a thread of its own reads ahead. Dropping it ends the thread.
pub struct Loader {
    batches: Option<Receiver<Result<Batch, LoadError>>>,
    thread: Option<JoinHandle<()>>,
}

/// What one batch consists of.
struct StepRows {
    epoch: Epoch,
    step: u64,
    rows: Vec<RowRef>,
    global_samples: u32,
}

impl Loader {
    /// Reads the batches of some lanes of a plan, from a step on, to the end of the epoch before `epochs`. A lane range comes
    /// from [`Plan::lanes_of`]; a step that leaves these lanes without a sample gives an empty batch.
    ///
    /// # Errors
    /// [`LoadError::Thread`].
    pub fn planned(
        dataset: Arc<Dataset>,
        plan: Plan,
        lanes: Range<u32>,
        span: (Start, Epoch),
        options: LoaderOptions,
        runtime: &Handle,
    ) -> Result<Self, LoadError> {
        let (start, end) = span;
        let steps = (start.epoch.0..end.0).flat_map(move |epoch| {
            let order = plan.epoch(Epoch(epoch));
            let first = if epoch == start.epoch.0 { start.step } else { 0 };
            let steps = (first..).zip(order.into_steps(lanes.clone(), first));
            steps.map(move |(step, (rows, global_samples))| StepRows {
                epoch: Epoch(epoch),
                step,
                rows,
                global_samples,
            })
        });
        Self::start(dataset, steps, options, runtime)
    }

    /// Reads every row once, front to back, in batches of at most `batch`, and at most `limit` rows: for evaluation.
    ///
    /// # Errors
    /// [`LoadError::Thread`].
    pub fn sequential(
        dataset: Arc<Dataset>,
        batch: u32,
        limit: Option<u64>,
        options: LoaderOptions,
        runtime: &Handle,
    ) -> Result<Self, LoadError> {
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let rows: Vec<RowRef> = dataset.rows().take(limit).collect();
        let batch = batch.max(1) as usize;
        let steps = (0..rows.len().div_ceil(batch)).map(move |step| {
            let rows = rows[step * batch..((step + 1) * batch).min(rows.len())].to_vec();
            StepRows { epoch: Epoch(0), step: step as u64, global_samples: rows.len() as u32, rows }
        });
        Self::start(dataset, steps, options, runtime)
    }

    /// The next batch; nothing after the last one, and nothing after an error. Blocks the calling thread, so it is not for
    /// async code.
    ///
    /// # Errors
    /// [`LoadError`], naming the shard and row.
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would go on after an error")]
    pub fn next(&mut self) -> Result<Option<Batch>, LoadError> {
        let Some(batches) = &self.batches else { return Ok(None) };
        let Ok(next) = batches.recv() else {
            self.batches = None;
            let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
            return ended.map(|()| None).map_err(|_| LoadError::Panicked);
        };
        if next.is_err() {
            self.batches = None;
        }
        next.map(Some)
    }

    fn start(
        dataset: Arc<Dataset>,
        steps: impl Iterator<Item = StepRows> + Send + 'static,
        options: LoaderOptions,
        runtime: &Handle,
    ) -> Result<Self, LoadError> {
        let (sender, receiver) = sync_channel(options.prefetch.max(1));
        let (runtime, budget) = (runtime.clone(), options.cache_bytes);
        let thread = std::thread::Builder::new()
            .name("loader".to_owned())
            .spawn(move || runtime.block_on(produce(&dataset, steps, budget, &sender)))
            .map_err(LoadError::Thread)?;
        Ok(Self { batches: Some(receiver), thread: Some(thread) })
    }
}

/// Ends with the steps, at the first error, or when nobody listens any more.
async fn produce(
    dataset: &Dataset,
    steps: impl Iterator<Item = StepRows>,
    budget: usize,
    batches: &SyncSender<Result<Batch, LoadError>>,
) {
    let mut cache = GroupCache::new(budget);
    for StepRows { epoch, step, rows, global_samples } in steps {
        let batch = dataset.read_through(&mut cache, &rows).await;
        let failed = batch.is_err();
        let batch = batch.map(|batch| Batch { epoch, step, global_samples, ..batch });
        if batches.send(batch).is_err() || failed {
            return;
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // The receiver goes first: a thread that waits to send wakes up and ends.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its own message; there is nobody left to hand it to.
            let _ended = thread.join();
        }
    }
}
