//! What is read ahead of the training loop, when, and what it becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

use super::group::DecodedGroup;
use super::schedule::{Schedule, StepRows};
use super::source::Means;
use super::{Batch, Dataset, LoadError, LoaderOptions};

/// Row groups on their way at the same time: hides the latency of an object store without crowding a disk.
const CONCURRENT_FETCHES: usize = 16;
/// The part of the bytes that waiting batches may take; row groups have the rest.
const BATCHES_SHARE: u64 = 4;
/// Bytes of one permit: a semaphore takes no more than 2^32 permits at once.
const PERMIT_BYTES: u64 = 1024;

/// A batch on its way to the training loop, and the room it takes until it is there.
pub(super) struct Waiting {
    pub(super) batch: Result<Batch, LoadError>,
    /// Bytes of row groups that nothing but the putting together of this batch has held.
    lent: u64,
    _room: Option<OwnedSemaphorePermit>,
}

/// The one owner of what is read ahead.
pub(super) struct Producer {
    dataset: Arc<Dataset>,
    schedule: Schedule<Result<Arc<DecodedGroup>, LoadError>>,
    fetching: JoinSet<(u32, Result<DecodedGroup, LoadError>)>,
    /// Batches being put together, in their order.
    assembling: FuturesOrdered<JoinHandle<Waiting>>,
    means: Means,
    threads: u32,
    batches: Sender<Waiting>,
    room: Arc<Semaphore>,
    permits: u32,
}

impl Producer {
    pub(super) fn new(dataset: Arc<Dataset>, options: LoaderOptions, batches: Sender<Waiting>) -> Self {
        let LoaderOptions { bytes, threads, cache } = options;
        let sizes = dataset.group_sizes();
        let for_batches = bytes / BATCHES_SHARE;
        let permits = u32::try_from(for_batches / PERMIT_BYTES).unwrap_or(u32::MAX).max(1);
        let threads = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
        Self {
            dataset,
            schedule: Schedule::new(sizes, bytes - for_batches),
            fetching: JoinSet::new(),
            assembling: FuturesOrdered::new(),
            means: Means { decoders: Arc::new(Semaphore::new(threads as usize)), cache },
            threads,
            batches,
            room: Arc::new(Semaphore::new(permits as usize)),
            permits,
        }
    }

    /// Ends with the steps, at the first error, or when nobody listens any more; nothing goes on behind it.
    pub(super) async fn produce(mut self, steps: impl Iterator<Item = StepRows>) {
        let failed = self.hand_out_all(steps).await;
        self.fetching.shutdown().await;
        // What a thread has begun can't be called off: it is waited for. Batches before the one that failed are good.
        while let Some(assembled) = self.assembling.next().await {
            if let Ok(assembled) = assembled {
                let _unheard = self.batches.send(assembled).await;
            }
        }
        let _idle = self.means.decoders.acquire_many(self.threads).await;
        if let Err(error) = failed {
            // Nobody listens any more: there is nobody to tell.
            let _unheard = self.batches.send(Waiting { batch: Err(error), lent: 0, _room: None }).await;
        }
    }

    async fn hand_out_all(&mut self, mut steps: impl Iterator<Item = StepRows>) -> Result<(), LoadError> {
        loop {
            while self.schedule.has_room_ahead()
                && let Some(step) = steps.next()
            {
                self.schedule.push(step);
            }
            if self.schedule.is_empty() && self.assembling.is_empty() {
                return Ok(());
            }
            while self.fetching.len() < CONCURRENT_FETCHES
                && let Some(group) = self.schedule.next_fetch()
            {
                self.fetch(group)?;
            }
            let threads_left = self.assembling.len() < 2 * self.threads as usize;
            let permits = self.schedule.ready().filter(|_| threads_left).map(|step| self.permits_of(step));
            tokio::select! {
                biased;
                () = self.batches.closed() => return Ok(()),
                Some(fetched) = self.fetching.join_next() => {
                    let (group, fetched) = fetched.map_err(|_| LoadError::Panicked)?;
                    let bytes = fetched.as_ref().map_or(0, DecodedGroup::bytes);
                    self.schedule.settle(group, bytes, fetched.map(Arc::new));
                }
                room = Arc::clone(&self.room).acquire_many_owned(permits.unwrap_or(0)), if permits.is_some() => {
                    self.assemble_next(room.ok())?;
                }
                Some(assembled) = self.assembling.next() => {
                    let assembled = assembled.map_err(|_| LoadError::Panicked)?;
                    self.schedule.take_back(assembled.lent);
                    if self.batches.send(assembled).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn fetch(&mut self, group: u32) -> Result<(), LoadError> {
        let index = self.dataset.group(group)?;
        let source = Arc::clone(self.dataset.source());
        let load = source.load(index.located.clone(), index.rows.clone(), self.means.clone());
        self.fetching.spawn(async move { (group, load.await) });
        Ok(())
    }

    /// Permits that the batch of a step takes: all of them where it is larger than what they stand for.
    fn permits_of(&self, step: &StepRows) -> u32 {
        let permits = self.dataset.batch_bytes(step.rows.len()).div_ceil(PERMIT_BYTES);
        u32::try_from(permits).unwrap_or(u32::MAX).min(self.permits)
    }

    /// Begins the batch of the next step, whose row groups are all here; fails where one of them could not be read.
    fn assemble_next(&mut self, room: Option<OwnedSemaphorePermit>) -> Result<(), LoadError> {
        let groups: BTreeSet<u32> =
            self.schedule.ready().iter().flat_map(|step| &step.rows).map(|row| row.group).collect();
        let mut held = BTreeMap::new();
        for group in groups {
            match self.schedule.group(group) {
                Some(Ok(decoded)) => drop(held.insert(group, Arc::clone(decoded))),
                Some(Err(_)) | None => {
                    return Err(self.schedule.take(group).and_then(Result::err).unwrap_or(LoadError::Panicked));
                }
            }
        }
        let Some(StepRows { epoch, step, rows, global_samples }) = self.schedule.finish_step() else { return Ok(()) };
        // The budget has room for them again only when they are gone.
        let let_go = held.iter().filter(|(group, _)| self.schedule.group(**group).is_none());
        let lent = let_go.map(|(_, decoded)| decoded.bytes()).sum();
        self.schedule.lend(lent);
        let dataset = Arc::clone(&self.dataset);
        self.assembling.push_back(spawn_blocking(move || {
            let batch = dataset.assemble(&rows, |group| held.get(&group).map(Arc::as_ref));
            drop(held);
            Waiting { batch: batch.map(|batch| Batch { epoch, step, global_samples, ..batch }), lent, _room: room }
        }));
        Ok(())
    }
}
