//! One rank's share of a training step: forward, averaged backward, clip, update, and agreement with its peers.

use std::num::NonZeroUsize;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vismae_c10d::{Collective, FusedAdamW, Reducer, clip_grad_norm};
use vismae_core::spec::PretrainSpec;
use vismae_model::loss::share_of_batch;
use vismae_model::{Mode, SwinMae, WarmupCosine, mask};
use vismae_shards::loader::Batch;

use super::batch::TensorBatch;
use super::error::TaskError;
use super::group::Gang;
use super::{TaskContext, network};

/// Gradient that travels in one all-reduce: what torchrun's users have.
const BUCKET_BYTES: NonZeroUsize = match NonZeroUsize::new(25 << 20) {
    Some(bytes) => bytes,
    None => NonZeroUsize::MIN,
};

/// One rank of a run.
pub(super) struct RankTrainer<'a> {
    // Hooks into the group, and fields are dropped in this order.
    reducer: Reducer,
    gang: &'a Gang,
    variables: VarStore,
    model: SwinMae,
    parameters: Vec<Tensor>,
    optimiser: FusedAdamW,
    schedule: WarmupCosine,
    clip_norm: f64,
    seed: u64,
    step: u64,
    device: Device,
}

/// What one step came to, over all ranks.
pub(super) struct StepTotals {
    /// Mean over the samples of the global batch.
    pub(super) loss: f64,
    /// Before clipping.
    pub(super) gradient_norm: f64,
    pub(super) learning_rate: f64,
    /// Some rank was told to stop, and all leave at this boundary.
    pub(super) stop: bool,
}

impl<'a> RankTrainer<'a> {
    /// Builds the network, equal on every rank, and hooks its gradients to the group.
    pub(super) fn new(
        context: &TaskContext,
        spec: &PretrainSpec,
        gang: &'a Gang,
        steps_per_epoch: u64,
    ) -> Result<Self, TaskError> {
        let device = context.device.to_tch();
        network::seed(spec.seed);
        let variables = VarStore::new(device);
        let model = SwinMae::new(&variables.root(), &network::config(&spec.model))
            .map_err(|error| TaskError::input_from(&error))?;
        // Equal seeds give equal weights only on equal hardware: the first rank's are everyone's.
        for variable in &network::in_order(&variables) {
            tch::no_grad(|| gang.group.broadcast(variable, 0))
                .map_err(TaskError::while_doing("sharing the first weights"))?;
        }
        let parameters = network::trainable(&variables);
        let reducer = Reducer::new(&parameters, &gang.group, BUCKET_BYTES)
            .map_err(|error| TaskError::environment_from(&error))?;
        let optimiser = network::optimiser(&parameters, &spec.optimiser);
        let schedule = network::schedule(&spec.optimiser, steps_per_epoch, spec.epochs);
        let clip_norm = spec.optimiser.clip_norm.unwrap_or(f64::INFINITY);
        Ok(Self {
            reducer,
            gang,
            variables,
            model,
            parameters,
            optimiser,
            schedule,
            clip_norm,
            seed: spec.seed,
            step: 0,
            device,
        })
    }

    pub(super) fn rank(&self) -> u32 {
        self.gang.group.rank()
    }

    pub(super) fn world_size(&self) -> u32 {
        self.gang.group.world_size()
    }

    pub(super) fn variables(&self) -> &VarStore {
        &self.variables
    }

    pub(super) fn model(&self) -> &SwinMae {
        &self.model
    }

    /// Takes one step of the global batch of which this rank holds `batch`.
    ///
    /// The reducer averages over ranks, so each rank's mean loss is weighted by its share of the samples: the update
    /// is that of the global batch however it is split.
    pub(super) fn step(&mut self, batch: &Batch, wants_stop: bool) -> Result<StepTotals, TaskError> {
        let tensors = TensorBatch::new(batch, self.seed, batch.epoch, self.device);
        let hidden = mask::draw(&tensors.keys, self.model.config(), self.device);
        let loss = self.model.forward(&tensors.images, &hidden, Mode::Train { keys: &tensors.keys }).loss();
        let share = share_of_batch(batch.len(), batch.global_samples as usize, self.world_size());
        self.reducer.zero_grad().map_err(TaskError::while_doing("clearing gradients"))?;
        self.reducer.backward(&(&loss * share)).map_err(|error| TaskError::environment_from(&error))?;

        let totals = Tensor::zeros([2], (Kind::Double, self.device));
        let own = loss.detach().to_kind(Kind::Double) * batch.len() as f64;
        totals.get(0).copy_(&own);
        let _ = totals.get(1).fill_(if wants_stop { 1.0 } else { 0.0 });
        self.gang.group.all_reduce_sum(&totals).map_err(|error| TaskError::environment_from(&error))?;
        let loss = totals.double_value(&[0]) / f64::from(batch.global_samples.max(1));
        let stop = totals.double_value(&[1]) > 0.0;
        self.check_finite("loss", loss)?;

        let learning_rate = self.schedule.at(self.step);
        let gradient_norm =
            clip_grad_norm(&self.parameters, self.clip_norm).map_err(TaskError::while_doing("clipping gradients"))?;
        self.check_finite("gradient norm", gradient_norm)?;
        self.optimiser.step(learning_rate).map_err(TaskError::while_doing("updating weights"))?;
        self.step += 1;
        Ok(StepTotals { loss, gradient_norm, learning_rate, stop })
    }

    /// Every rank sees the same sum, so every rank stops here together.
    fn check_finite(&self, what: &str, value: f64) -> Result<(), TaskError> {
        if value.is_finite() {
            return Ok(());
        }
        Err(TaskError::input(format!(
            "{what} is `{value}` at step {}, expected a finite number: lower `learning_rate` or set `clip_norm`",
            self.step
        )))
    }
}
