//! What is left to prepare, cut into tasks, and preparing them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::FuturesOrdered;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use vismae_core::spec::IngestSpec;

use super::IngestError;
use super::catalogue::UnitKey;
use super::crew::{Crew, Staging, task_key};
use super::outcome::{Digest, Outcome, pixel_bytes};
use super::prepare::prepare;
use super::pseudonym::PseudonymKey;
use super::series::Unit;
use crate::memory::Budget;

/// Files of a task, about: few enough that the last tasks keep all members busy, enough that claims cost nothing beside the work.
const FILES: usize = 128;
/// Units prepared or waiting for their turn, for each thread: how far the others run ahead of one slow file.
const AHEAD_PER_THREAD: usize = 64;
/// Bytes of frames that wait for their turn, about: units that are being prepared when it is reached come on top.
const WAITING_BYTES: usize = 256 << 20;
/// Parts of tasks read ahead by the first member.
const PARTS_AHEAD: usize = 2;
/// How long the first member waits for a task before it prepares it too: most take seconds.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often the first member looks for what others prepare: at first, and at most.
const LOOK: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// Units that one member prepares in one go.
pub(super) struct Task {
    units: Vec<Arc<Unit>>,
    key: Digest,
}

/// Everything that decides what comes of a unit, and how many are prepared at a time.
#[derive(Clone)]
pub(super) struct Kitchen {
    pub(super) spec: Arc<IngestSpec>,
    pub(super) key: PseudonymKey,
    pub(super) memory: Arc<Budget>,
    pub(super) threads: usize,
}

/// Cuts units into tasks, in their order.
pub(super) fn cut(units: Vec<(Arc<Unit>, UnitKey)>) -> Vec<Task> {
    let mut tasks = Vec::new();
    let (mut members, mut keys, mut files) = (Vec::new(), Vec::new(), 0);
    for (unit, key) in units {
        files += unit.items.len();
        members.push(unit);
        keys.push(key);
        if files >= FILES {
            tasks.push(Task { units: std::mem::take(&mut members), key: task_key(&keys) });
            keys.clear();
            files = 0;
        }
    }
    if !members.is_empty() {
        tasks.push(Task { units: members, key: task_key(&keys) });
    }
    tasks
}

impl Kitchen {
    /// What becomes of the files of a unit.
    pub(super) async fn prepare_one(&self, unit: &Arc<Unit>) -> Result<Vec<Outcome>, IngestError> {
        let (unit, kitchen) = (Arc::clone(unit), self.clone());
        let prepared = tokio::task::spawn_blocking(move || prepare(&unit, &kitchen));
        prepared.await.map_err(IngestError::Thread)
    }

    /// What becomes of the files of each unit, in their order, prepared on as many threads as there are. No unit is begun while
    /// frames of more than [`WAITING_BYTES`] wait for their turn, but the one whose turn is next.
    pub(super) fn prepare_all(
        &self,
        units: Vec<Arc<Unit>>,
    ) -> impl Stream<Item = Result<Vec<Outcome>, IngestError>> + Send + use<> {
        // One more than there are threads: the next is ready when one ends, however short they are.
        let (slots, waiting) = (Arc::new(Semaphore::new(self.threads + 1)), Arc::new(AtomicUsize::new(0)));
        let start = (self.clone(), units.into_iter(), FuturesOrdered::new());
        stream::unfold(start, move |(kitchen, mut units, mut begun)| {
            let (slots, waiting) = (Arc::clone(&slots), Arc::clone(&waiting));
            async move {
                let room = |begun: usize| {
                    let few =
                        waiting.load(Ordering::Relaxed) < WAITING_BYTES && begun < kitchen.threads * AHEAD_PER_THREAD;
                    few || begun == 0
                };
                while room(begun.len())
                    && let Some(unit) = units.next()
                {
                    let (kitchen, slots, waiting) = (kitchen.clone(), Arc::clone(&slots), Arc::clone(&waiting));
                    begun.push_back(AbortOnDropHandle::new(tokio::spawn(async move {
                        let _slot = slots.acquire_owned().await;
                        let outcomes = kitchen.prepare_one(&unit).await;
                        let bytes = outcomes.as_deref().map_or(0, pixel_bytes);
                        waiting.fetch_add(bytes, Ordering::Relaxed);
                        (outcomes, bytes)
                    })));
                }
                let outcomes = begun.next().await?.map_err(IngestError::Thread).and_then(|(outcomes, bytes)| {
                    waiting.fetch_sub(bytes, Ordering::Relaxed);
                    outcomes
                });
                Some((outcomes, (kitchen, units, begun)))
            }
        })
    }

    /// Prepares every task that nobody else does, until none is left.
    pub(super) async fn work(&self, staging: &Staging<'_>, crew: &Crew, tasks: &[Task]) -> Result<(), IngestError> {
        for at in crew.tour(tasks.len()) {
            let task = &tasks[at];
            if staging.is_over().await? {
                return Ok(());
            }
            if !staging.claim(&task.key).await? {
                continue;
            }
            self.stage(staging, task).await?;
        }
        Ok(())
    }

    /// Prepares a task and puts away what came of it.
    async fn stage(&self, staging: &Staging<'_>, task: &Task) -> Result<(), IngestError> {
        let mut parts = staging.writer(task.key);
        let mut prepared = std::pin::pin!(self.prepare_all(task.units.clone()));
        while let Some(outcomes) = prepared.next().await {
            parts.push(outcomes?).await?;
        }
        parts.finish().await
    }
}

/// What became of the files of each unit of all tasks, in their order, whoever prepares them. What nobody prepares for a while is
/// prepared here: whoever claimed it may be of another time, and two who prepare the same write the same.
pub(super) fn collect<'a>(
    staging: &'a Staging<'a>,
    tasks: &'a [Task],
    kitchen: &'a Kitchen,
) -> impl Stream<Item = Result<Vec<Outcome>, IngestError>> + Send + 'a {
    let last = move |task: &'a Task| async move {
        if !wait(staging, &task.key).await? {
            tracing::warn!("a task that was claimed is not done: its files are read here");
            kitchen.stage(staging, task).await?;
        }
        Ok::<_, IngestError>((task, staging.parts(&task.key).await?))
    };
    stream::iter(tasks)
        .map(last)
        .buffered(PARTS_AHEAD)
        .map_ok(move |(task, (before, last))| {
            let earlier = stream::iter(0..before).then(move |number| staging.part_before(&task.key, number));
            earlier.chain(stream::once(async { Ok(last) }))
        })
        .try_flatten()
        .map_ok(|units| stream::iter(units.into_iter().map(Ok::<_, IngestError>)))
        .try_flatten()
}

/// Waits until a task is done; says whether it is by the time that patience is over.
async fn wait(staging: &Staging<'_>, task: &Digest) -> Result<bool, IngestError> {
    let ([mut pause, longest], began) = (LOOK, Instant::now());
    while !staging.is_done(task).await? {
        if began.elapsed() > PATIENCE {
            return Ok(false);
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
    Ok(true)
}
