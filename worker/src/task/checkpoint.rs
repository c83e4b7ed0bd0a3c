//! Everything that a run has come to, kept in the store while training goes on.
//!
//! At a step boundary every rank copies its share of the tensors, and takes the next step; the copy is hashed and written behind its
//! back. With each step the ranks tell each other, in the all-reduce that they make anyway, how many shares are written. When all are, they
//! exchange sizes and hashes, and the first rank commits the checkpoint: an entry in the ledger, which only the latest group can
//! write. Until then there is no checkpoint, whatever lies in the store.

mod alone;
mod restore;
mod share;

use std::time::Instant;

use tch::{Device, Kind, Tensor};
use tokio_util::task::AbortOnDropHandle;
use vismae_c10d::Collective;
use vismae_core::ids::Generation;
use vismae_core::spec::{CheckpointSpec, PretrainSpec};
use vismae_proto::v1::CheckpointFailed;
use vismae_proto::v1::task_event::Event;
use vismae_shards::manifest::ContentHash;
use vismae_shards::runs::{Checkpoint, CommittedFile, RunPaths, StepRow, mean_loss, write_steps};
use vismae_shards::store::Store;

use super::TaskContext;
use super::error::TaskError;
use super::rank::{Rank, StepError};
use super::replica::Replica;
pub(super) use alone::park_alone;
pub(super) use restore::restore;
use share::Share;

/// Numbers of a receipt: the size of a file and its hash.
const RECEIPT: usize = 1 + 8;

/// The checkpoints that one rank of a group makes.
pub(super) struct Checkpointer<'a> {
    context: &'a TaskContext,
    spec: &'a CheckpointSpec,
    generation: Generation,
    rank: u32,
    world: u32,
    configuration: ContentHash,
    under_way: Option<Upload>,
    /// Steps that the weights of the latest one had seen.
    last: u64,
    /// Steps of the whole run: behind the last one the weights themselves are kept.
    steps: u64,
}

/// A share on its way to the store.
struct Upload {
    step: u64,
    folder: String,
    began: Instant,
    /// How long the loop stood still for it.
    stall: f64,
    writing: AbortOnDropHandle<Result<Written, TaskError>>,
    /// What it writes.
    files: Vec<String>,
    outcome: Option<Result<Written, TaskError>>,
}

/// A checkpoint whose shares are all stored, for the first rank to commit.
pub(super) struct Finished {
    pub(super) checkpoint: Checkpoint,
    /// When its step was over.
    pub(super) began: Instant,
    /// How long the loop of this rank stood still for it, in seconds.
    pub(super) stall: f64,
}

/// What a rank has written.
struct Written {
    part: CommittedFile,
    /// The record of every step, by the first rank.
    steps: Option<CommittedFile>,
}

/// How far this rank is with its share of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShareState {
    /// None is under way, or it is being written.
    Busy,
    /// It is in the store.
    Stored,
    /// It could not be written.
    Lost,
}

/// What decides the network and its optimiser: a checkpoint of another can't be taken up.
pub(super) fn configuration(spec: &PretrainSpec) -> ContentHash {
    let settings = super::network::settings(("global_batch", spec.global_batch), spec.seed, &spec.optimiser);
    // The version of the program is among the settings for people, and decides nothing.
    let settings: Vec<_> = settings.into_iter().filter(|(key, _)| key != "vismae").collect();
    let text = serde_json::to_vec(&(super::network::config(&spec.model), settings, spec.epochs));
    ContentHash::of(&text.unwrap_or_default())
}

impl<'a> Checkpointer<'a> {
    pub(super) fn new(
        context: &'a TaskContext,
        spec: &'a PretrainSpec,
        (generation, steps): (Generation, u64),
        rank: &Rank<'_>,
    ) -> Self {
        Self {
            context,
            spec: &spec.checkpoints,
            generation,
            rank: rank.number(),
            world: rank.world_size(),
            configuration: configuration(spec),
            under_way: None,
            last: rank.replica().step(),
            steps,
        }
    }

    /// How far this rank is with its share, which the others are told with the next step.
    pub(super) fn share(&mut self) -> ShareState {
        let Some(upload) = &mut self.under_way else { return ShareState::Busy };
        if upload.outcome.is_none() && upload.writing.is_finished() {
            upload.settle(self.context);
        }
        match &upload.outcome {
            None => ShareState::Busy,
            Some(Ok(_)) => ShareState::Stored,
            Some(Err(_)) => ShareState::Lost,
        }
    }

    /// After a step: finishes what all ranks have written, and begins another one where it is time. Gives the first rank what it is to
    /// commit. Every rank comes to the same decision, for they all have the same sums.
    pub(super) fn after_step(
        &mut self,
        rank: &Rank<'_>,
        (stored, lost): (u32, u32),
    ) -> Result<Option<Finished>, StepError> {
        let mut finished = None;
        if lost > 0 {
            self.give_up(lost);
        } else if stored == self.world && self.under_way.is_some() {
            let began = Instant::now();
            finished = self.finish(rank)?;
            if let Some(finished) = &mut finished {
                finished.stall += began.elapsed().as_secs_f64();
            }
        }
        let step = rank.replica().step();
        if self.under_way.is_none() && step >= self.last + u64::from(self.spec.every) && step < self.steps {
            self.begin(rank.replica());
        }
        Ok(finished)
    }

    /// Makes a checkpoint of what the ranks have come to, and waits for it: they are all about to stop.
    pub(super) fn park(&mut self, rank: &Rank<'_>) -> Result<Option<Finished>, StepError> {
        self.context.control.park();
        if self.under_way.as_ref().is_none_or(|upload| upload.step != rank.replica().step()) {
            self.begin(rank.replica());
        }
        if let Some(upload) = &mut self.under_way {
            upload.settle(self.context);
        }
        let is_lost = self.share() == ShareState::Lost;
        let lost = Tensor::from_slice(&[f64::from(u8::from(is_lost))]).to_device(rank.replica().device);
        rank.collective().all_reduce_sum(&lost).map_err(super::rank::broken)?;
        let lost = lost.double_value(&[0]);
        if lost > 0.0 {
            self.give_up(lost as u32);
            return Ok(None);
        }
        self.finish(rank)
    }

    /// Copies this rank's share, and leaves the rest to another thread.
    fn begin(&mut self, replica: &Replica) {
        let began = Instant::now();
        let step = replica.step();
        let paths = RunPaths::new(&self.context.id.job.to_string());
        let folder = paths.checkpoint(self.context.run, step, self.generation);
        let share = Share::copy(&replica.state(), self.rank, self.world);
        let rows = (self.rank == 0).then(|| replica.rows().to_vec());
        let (store, file) = (self.context.store.clone(), format!("{folder}/{}", share::file(self.rank, self.world)));
        let record = format!("{folder}/steps.csv");
        let files = vec![file.clone()].into_iter().chain(rows.is_some().then(|| record.clone())).collect();
        let writing = AbortOnDropHandle::new(self.context.runtime.spawn(async move {
            let part = put(&store, file, share?.into_bytes().await?).await?;
            let steps = match rows {
                Some(rows) => Some(put(&store, record, table(&rows)?).await?),
                None => None,
            };
            Ok(Written { part, steps })
        }));
        let stall = began.elapsed().as_secs_f64();
        tracing::debug!(step, stall, "checkpoint begun");
        self.under_way = Some(Upload { step, folder, began, stall, writing, files, outcome: None });
        self.last = step;
    }

    /// Ends a checkpoint of which so many ranks could not write their shares.
    fn give_up(&mut self, lost: u32) {
        let Some(mut upload) = self.under_way.take() else { return };
        let step = upload.step;
        let reason = match upload.outcome.take() {
            Some(Err(error)) => error.to_string(),
            _ => format!("{lost} of {} ranks could not write their shares, and say why", self.world),
        };
        tracing::warn!(step, lost, reason, "no checkpoint; training goes on");
        if self.rank == 0 {
            self.context.reporter.send(Event::CheckpointFailed(CheckpointFailed { step, reason }));
        }
        upload.take_back(self.context);
    }

    /// Exchanges receipts; the first rank gets the checkpoint that it is to commit.
    fn finish(&mut self, rank: &Rank<'_>) -> Result<Option<Finished>, StepError> {
        let Some(mut upload) = self.under_way.take() else { return Ok(None) };
        let Some(Ok(written)) = upload.outcome.take() else { return Ok(None) };
        let device = rank.replica().device;
        let table = Tensor::zeros([i64::from(self.world), RECEIPT as i64], (Kind::Double, device));
        table.get(self.rank.into()).copy_(&Tensor::from_slice(&receipt(&written.part)));
        rank.collective().all_reduce_sum(&table).map_err(super::rank::broken)?;
        let Some(steps) = written.steps else { return Ok(None) };
        let numbers = Vec::<f64>::try_from(table.to_device(Device::Cpu).view([-1]))
            .map_err(TaskError::while_doing("reading the receipts of a checkpoint"))?;
        let parts = (0..self.world).zip(numbers.chunks_exact(RECEIPT)).map(|(rank, numbers)| CommittedFile {
            path: format!("{}/{}", upload.folder, share::file(rank, self.world)),
            bytes: numbers[0] as u64,
            blake3: hash(&numbers[1..]),
        });
        let parts = parts.collect();
        let checkpoint = Checkpoint {
            step: upload.step,
            configuration: self.configuration,
            loss: loss_before(rank.replica().rows(), upload.step, self.spec.every),
            folder: std::mem::take(&mut upload.folder),
            parts,
            steps,
        };
        Ok(Some(Finished { checkpoint, began: upload.began, stall: upload.stall }))
    }
}

impl Upload {
    /// Removes what it has written, once nothing of it can come any more: a disk that is full has no room for what nobody will read.
    fn take_back(mut self, context: &TaskContext) {
        let (store, files) = (context.store.clone(), std::mem::take(&mut self.files));
        context.runtime.spawn(async move {
            // What is being written to a disk is written to its end, whoever has stopped waiting for it.
            if self.outcome.is_none() {
                drop(self.writing.await);
            }
            for path in files {
                if let Err(error) = store.delete(&path).await {
                    tracing::warn!(path, %error, "part of a checkpoint that was given up stays until the next one is committed");
                }
            }
        });
    }

    /// Waits for the end of the writing.
    fn settle(&mut self, context: &TaskContext) {
        if self.outcome.is_none() {
            let joined = context.runtime.block_on(&mut self.writing);
            self.outcome = Some(joined.unwrap_or_else(|error| Err(TaskError::environment(error.to_string()))));
        }
    }
}

fn table(rows: &[StepRow]) -> Result<Vec<u8>, TaskError> {
    write_steps(rows).map_err(TaskError::while_doing("writing the steps"))
}

async fn put(store: &Store, path: String, bytes: Vec<u8>) -> Result<CommittedFile, TaskError> {
    CommittedFile::put(store, &path, bytes).await.map_err(|error| TaskError::environment_from(&error))
}

/// Mean loss of the steps that led to a checkpoint.
fn loss_before(rows: &[StepRow], step: u64, every: u32) -> Option<f64> {
    let since = step.saturating_sub(every.into());
    mean_loss(rows.iter().filter(|row| (since..step).contains(&row.step)))
}

/// Size and hash as numbers that an all-reduce carries exactly.
fn receipt(file: &CommittedFile) -> [f64; RECEIPT] {
    let words = file.blake3.as_bytes().as_chunks::<4>().0;
    std::array::from_fn(|column| match column.checked_sub(1) {
        None => file.bytes as f64,
        Some(word) => f64::from(u32::from_le_bytes(words[word])),
    })
}

fn hash(words: &[f64]) -> ContentHash {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = (*word as u32).to_le_bytes();
    }
    ContentHash::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_reads_back_as_it_was() {
        let file = CommittedFile::new("a/b", b"some bytes");
        let numbers = receipt(&file);
        assert_eq!((numbers[0] as u64, hash(&numbers[1..])), (file.bytes, file.blake3));
    }
}
