//! Batches read ahead of the training loop.

use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, channel};
use vismae_core::ids::Epoch;

use super::producer::{Producer, Waiting};
use super::schedule::StepRows;
use super::{Batch, Dataset, LoadError, NodeCache};
use crate::order::{Plan, RowRef};

/// Batches that wait, at most, however small: a rank without samples gets thousands of empty ones.
const WAITING_BATCHES: usize = 64;
/// How much a [`Loader`] holds and uses.
///
/// # The bound
/// `bytes` is held at most, in decoded row groups, those on their way, and batches that wait; a quarter of it is for the batches.
/// What a single step needs is read even where it is more: the row groups of one window of each lane, or of two where the
/// step begins the next, and one batch.
///
/// A rank reads each row group of its lanes once an epoch when three quarters of `bytes` hold, for each lane, twice the row
/// groups of a [`window`](crate::order::PlanSpec::window) and two more: the window in use, the next one, and what goes on in
/// another lane. With less, row groups are read again.
#[derive(Debug, Clone)]
pub struct LoaderOptions {
    /// Bytes held at most.
    pub bytes: u64,
    /// Row groups decoded at the same time, each on a thread of its own; at least 1.
    pub threads: usize,
    /// Where row groups are looked for before the store is asked, and kept for the other readers of this machine. Without use
    /// for a store that is a local folder.
    pub cache: Option<NodeCache>,
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
    batches: Option<Receiver<Waiting>>,
    thread: Option<JoinHandle<()>>,
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
        let Some(batches) = &mut self.batches else { return Ok(None) };
        let Some(Waiting { batch, .. }) = batches.blocking_recv() else {
            self.batches = None;
            let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
            return ended.map(|()| None).map_err(|_| LoadError::Panicked);
        };
        if batch.is_err() {
            self.batches = None;
        }
        batch.map(Some)
    }

    fn start(
        dataset: Arc<Dataset>,
        steps: impl Iterator<Item = StepRows> + Send + 'static,
        options: LoaderOptions,
        runtime: &Handle,
    ) -> Result<Self, LoadError> {
        let (sender, receiver) = channel(WAITING_BATCHES);
        let runtime = runtime.clone();
        let thread = std::thread::Builder::new()
            .name("loader".to_owned())
            .spawn(move || runtime.block_on(Producer::new(dataset, options, sender).produce(steps)))
            .map_err(LoadError::Thread)?;
        Ok(Self { batches: Some(receiver), thread: Some(thread) })
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
