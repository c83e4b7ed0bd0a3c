//! One rank's share of a training step: forward, averaged backward, clip, update, and agreement with its peers.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};
use vismae_c10d::{Collective, Reducer, clip_grad_norm};
use vismae_core::stall::Phase;
use vismae_model::loss::share_of_batch;
use vismae_model::{Mode, mask};
use vismae_shards::loader::Batch;
use vismae_shards::order::RowsDigest;

use super::activity::Activity;
use super::batch::TensorBatch;
use super::error::TaskError;
use super::group::Gang;
use super::replica::{LevelError, Replica};

/// Gradient that travels in one all-reduce: what torchrun's users have.
const BUCKET_BYTES: NonZeroUsize = match NonZeroUsize::new(25 << 20) {
    Some(bytes) => bytes,
    None => NonZeroUsize::MIN,
};

/// A replica as a rank of one group.
pub(super) struct Rank<'a> {
    // Hooks into the group, and fields are dropped in this order.
    reducer: Reducer,
    gang: &'a Gang,
    replica: &'a mut Replica,
    activity: &'a Activity,
    /// The time of its own that the others have been told of.
    told: Duration,
}

/// What one step came to, over all ranks.
pub(super) struct StepTotals {
    /// Mean over the samples of the global batch.
    pub(super) loss: f64,
    /// Before clipping.
    pub(super) gradient_norm: f64,
    pub(super) learning_rate: f64,
    /// What the ranks have told each other.
    pub(super) votes: Votes,
    /// Of the rows that all ranks together have taken.
    pub(super) digest: RowsDigest,
    /// Time of its own that each rank has taken for the step: since it had its gradients in the one before, and outside of collectives.
    pub(super) own_seconds: Vec<f64>,
    /// How long it took to make sure of all that, which is no training.
    pub(super) agreement: Duration,
}

/// What ranks tell each other with each step: how many of them it is so for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Votes {
    /// They leave the group, which all do at this boundary then.
    pub(super) leaving: u32,
    /// They are told to stop.
    pub(super) stopping: u32,
    /// Their shares of the checkpoint under way are stored.
    pub(super) stored: u32,
    /// Theirs could not be.
    pub(super) lost: u32,
}

impl Votes {
    const PARTS: usize = 4;

    fn parts(self) -> [f64; Self::PARTS] {
        [self.leaving, self.stopping, self.stored, self.lost].map(f64::from)
    }

    fn from_sums(sums: [f64; Self::PARTS]) -> Self {
        let [leaving, stopping, stored, lost] = sums.map(|sum| sum as u32);
        Self { leaving, stopping, stored, lost }
    }
}

/// Why a rank can't go on in its group.
#[derive(Debug)]
pub(super) enum StepError {
    /// The group is broken; what the replica has come to is not.
    Broken(String),
    /// Nothing of this task can go on.
    Task(TaskError),
}

impl From<TaskError> for StepError {
    fn from(error: TaskError) -> Self {
        Self::Task(error)
    }
}

/// The group is broken.
pub(super) fn broken(error: impl std::fmt::Display) -> StepError {
    StepError::Broken(error.to_string())
}

impl<'a> Rank<'a> {
    /// Makes the replica equal to those of all other ranks, and hooks its gradients to the group.
    pub(super) fn new(gang: &'a Gang, replica: &'a mut Replica, activity: &'a Activity) -> Result<Self, StepError> {
        activity.enter(Phase::Collective, replica.step());
        let copied = replica.level(&gang.group, gang.generation).map_err(|error| match error {
            LevelError::NobodyWhole | LevelError::OtherCorpus { .. } => {
                StepError::Task(TaskError::environment(error.to_string()))
            }
            LevelError::Collective(error) => broken(error),
        })?;
        let (generation, step) = (gang.generation, replica.step());
        match copied {
            Some(source) => tracing::info!(%generation, step, source, "level with the most advanced rank"),
            None => tracing::info!(%generation, step, "level with all ranks"),
        }
        let reducer = Reducer::new(&replica.parameters, &gang.group, BUCKET_BYTES).map_err(broken)?;
        Ok(Self { reducer, gang, replica, activity, told: activity.own() })
    }

    pub(super) fn number(&self) -> u32 {
        self.gang.group.rank()
    }

    pub(super) fn world_size(&self) -> u32 {
        self.gang.group.world_size()
    }

    pub(super) fn replica(&self) -> &Replica {
        self.replica
    }

    pub(super) fn replica_mut(&mut self) -> &mut Replica {
        self.replica
    }

    /// The group, for what is not part of a step.
    pub(super) fn collective(&self) -> &impl Collective {
        &self.gang.group
    }

    /// Waits until every rank has come here.
    pub(super) fn meet(&self) -> Result<(), StepError> {
        self.activity.enter(Phase::Collective, self.replica.step());
        self.gang.group.barrier().map_err(broken)
    }

    /// Takes one step of the global batch of which this rank holds `batch`, and which is to be the rows of this digest.
    ///
    /// The reducer averages over ranks, so each rank's mean loss is weighted by its share of the samples: the update
    /// is that of the global batch however it is split. Weights change only when nothing is left to agree on: a rank whose group breaks
    /// has either taken the whole step or nothing of it.
    pub(super) fn step(&mut self, batch: &Batch, planned: RowsDigest, votes: Votes) -> Result<StepTotals, StepError> {
        let world_size = self.world_size();
        let replica = &mut *self.replica;
        self.activity.compute(replica.step(), self.reducer.watch());
        let tensors = TensorBatch::new(batch, replica.seed, batch.epoch, replica.device);
        let hidden = mask::draw(&tensors.keys, replica.model.config(), replica.device);
        let loss = replica.model.forward(&tensors.images, &hidden, Mode::Train { keys: &tensors.keys }).loss();
        let share = share_of_batch(batch.len(), batch.global_samples as usize, world_size);
        self.reducer.zero_grad().map_err(TaskError::while_doing("clearing gradients"))?;
        self.reducer.backward(&(&loss * share)).map_err(broken)?;
        self.activity.enter(Phase::Collective, replica.step());

        let agreeing = Instant::now();
        let taken = RowsDigest::of(batch.epoch, batch.step, &batch.rows);
        let mut times = vec![0.0; world_size as usize];
        let own_time = self.activity.own();
        times[self.gang.group.rank() as usize] = (own_time - self.told).as_secs_f64();
        self.told = own_time;
        let own = [&[0.0][..], &votes.parts(), &taken.parts(), &times].concat();
        let totals = Tensor::from_slice(&own).to_device(replica.device);
        totals.get(0).copy_(&(loss.detach().to_kind(Kind::Double) * batch.len() as f64));
        self.gang.group.all_reduce_sum(&totals).map_err(broken)?;
        let totals =
            Vec::<f64>::try_from(totals.to_device(Device::Cpu)).map_err(TaskError::while_doing("adding up"))?;
        let loss = totals[0] / f64::from(batch.global_samples.max(1));
        let votes = Votes::from_sums(std::array::from_fn(|part| totals[1 + part]));
        let digest = RowsDigest::from_sums(std::array::from_fn(|part| totals[1 + Votes::PARTS + part]));
        let own_seconds = totals[1 + Votes::PARTS + RowsDigest::PARTS..].to_vec();
        self.activity.enter(Phase::Compute, replica.step());
        check_rows(digest, planned, replica.step())?;
        check_finite("loss", loss, replica.step())?;
        let agreement = agreeing.elapsed();

        let learning_rate = replica.schedule.at(replica.step());
        let gradient_norm = clip_grad_norm(&replica.parameters, replica.clip_norm)
            .map_err(TaskError::while_doing("clipping gradients"))?;
        check_finite("gradient norm", gradient_norm, replica.step())?;
        replica.optimiser.step(learning_rate).map_err(TaskError::while_doing("updating weights"))?;
        Ok(StepTotals { loss, gradient_norm, learning_rate, votes, digest, own_seconds, agreement })
    }
}

/// Every rank sees the same sum, so every rank stops here together, before any weight has changed.
fn check_rows(taken: RowsDigest, planned: RowsDigest, step: u64) -> Result<(), TaskError> {
    if taken == planned {
        return Ok(());
    }
    Err(TaskError::input(format!(
        "the ranks hold other samples at step {step} than its plan: rows {taken}, expected {planned}; this is a fault of vismae, and the \
         step was not taken"
    )))
}

/// Every rank sees the same sum, so every rank stops here together.
fn check_finite(what: &str, value: f64, step: u64) -> Result<(), TaskError> {
    if value.is_finite() {
        return Ok(());
    }
    Err(TaskError::input(format!(
        "{what} is `{value}` at step {step}, expected a finite number: lower `learning_rate` or set `clip_norm`"
    )))
}
