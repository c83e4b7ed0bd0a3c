//! What the two kinds of fine-tuning share: the splits, the loop over epochs, and keeping the best weights.

use std::sync::Arc;
use std::time::Instant;

use tch::Tensor;
use tch::nn::VarStore;
use vismae_c10d::{clip_grad_norm, zero_grad};
use vismae_core::ids::{Epoch, JobId};
use vismae_core::spec::{FinetuneSpec, Initialisation};
use vismae_core::stall::Phase;
use vismae_shards::loader::{Batch, Dataset, Needs, Start};
use vismae_shards::manifest::Manifest;
use vismae_shards::order::{Plan, PlanSpec};
use vismae_shards::runs::{EpochLoss, RunPaths, StepRow, epoch_loss};
use vismae_shards::split::Split;

use super::error::TaskError;
use super::progress::{ProgressMeter, Tick};
use super::{TaskContext, data, network};

/// A fine-tuning always begins at its beginning.
const START: Start = Start { epoch: Epoch(0), step: 0 };

/// Row groups that frames are shuffled within: labelled sets are small, and this many fit in the loader's cache.
const WINDOW: u32 = 64;
/// Frames evaluated at a time: no gradients are kept, so it only has to fit in memory.
pub(super) const EVALUATION_BATCH: u32 = 64;

/// The frames of a supervised job.
pub(super) struct Splits {
    pub(super) train: Arc<Dataset>,
    pub(super) val: Arc<Dataset>,
    pub(super) test: Arc<Dataset>,
}

impl Splits {
    pub(super) fn open(
        context: &TaskContext,
        spec: &FinetuneSpec,
        manifest: &Manifest,
        needs: Needs,
    ) -> Result<Self, TaskError> {
        let open = |split| data::open(context, manifest, split, &spec.selection, needs);
        let share = (Split::Train, spec.label_fraction);
        let train = data::open_share(context, manifest, share, &spec.selection, needs)?;
        Ok(Self { train, val: open(Split::Val)?, test: open(Split::Test)? })
    }
}

/// A network in training and how it is judged.
pub(super) trait Learner {
    /// Mean loss over a batch, with gradients.
    fn loss(&self, batch: &Batch) -> Result<Tensor, TaskError>;
    /// How good the network is on frames it does not learn from.
    fn validate(&self, context: &TaskContext, frames: &Arc<Dataset>) -> Result<Validation, TaskError>;
}

/// One look at the validation frames.
pub(super) struct Validation {
    pub(super) loss: f64,
    /// What the best epoch is chosen by: higher is better.
    pub(super) merit: f64,
}

/// How the training went.
pub(super) struct Fitted {
    pub(super) rows: Vec<StepRow>,
    pub(super) losses: Vec<EpochLoss>,
    pub(super) best_epoch: u32,
    /// While training, without validation.
    pub(super) images_per_second: f64,
}

/// Trains every epoch and leaves the weights of the best one in `variables`; `None` when told to stop.
pub(super) fn fit(
    context: &TaskContext,
    spec: &FinetuneSpec,
    splits: &Splits,
    variables: &VarStore,
    learner: &impl Learner,
) -> Result<Option<Fitted>, TaskError> {
    let order = PlanSpec { seed: spec.seed, lanes: 1, global_batch: spec.batch, window: WINDOW };
    let plan = Plan::new(&splits.train.row_counts(), order).map_err(|error| TaskError::input_from(&error))?;
    let mut loader = data::planned(context, &splits.train, &plan, plan.all_lanes(), (START, spec.epochs))?;
    let parameters = network::trainable(variables);
    let mut optimiser = network::optimiser(&parameters, &spec.optimiser);
    let schedule = network::schedule(&spec.optimiser, plan.steps_per_epoch(), spec.epochs);
    let clip_norm = spec.optimiser.clip_norm.unwrap_or(f64::INFINITY);
    let total = plan.steps_per_epoch() * u64::from(spec.epochs);
    let mut meter = ProgressMeter::new(&context.reporter, "training");
    meter.begin(0, total);
    let mut history = History::default();

    loop {
        let (began, step) = (Instant::now(), history.rows.len() as u64);
        context.activity.enter(Phase::Data, step);
        let Some(batch) = loader.next().map_err(|error| TaskError::environment_from(&error))? else { break };
        if context.control.is_stopped() {
            return Ok(None);
        }
        let data_seconds = began.elapsed().as_secs_f64();
        context.activity.enter(Phase::Compute, step);
        let loss = learner.loss(&batch)?;
        let value = loss.double_value(&[]);
        check_finite("loss", value, step)?;
        zero_grad(&parameters).map_err(TaskError::while_doing("clearing gradients"))?;
        loss.backward();
        let learning_rate = schedule.at(step);
        let gradient_norm =
            clip_grad_norm(&parameters, clip_norm).map_err(TaskError::while_doing("clipping gradients"))?;
        check_finite("gradient norm", gradient_norm, step)?;
        optimiser.step(learning_rate).map_err(TaskError::while_doing("updating weights"))?;
        history.rows.push(StepRow {
            step,
            epoch: batch.epoch.0,
            loss: value,
            learning_rate,
            gradient_norm,
            samples: batch.global_samples,
            data_seconds,
            step_seconds: began.elapsed().as_secs_f64(),
            time: super::progress::seconds_since_1970(),
            generation: None,
            digest: None,
        });
        context.activity.stepped(began.elapsed());
        let images = u64::from(batch.global_samples);
        meter.tick(&Tick { done: step + 1, total, epoch: batch.epoch.0, loss: Some(value), images });
        if (step + 1).is_multiple_of(plan.steps_per_epoch()) {
            // It takes as many batches as there are.
            context.activity.rest();
            let validation = learner.validate(context, &splits.val)?;
            check_finite("validation loss", validation.loss, step)?;
            history.close_epoch(batch.epoch.0, &validation, variables);
        }
    }
    context.activity.rest();
    history.finish(variables).map(Some)
}

fn check_finite(what: &str, value: f64, step: u64) -> Result<(), TaskError> {
    if value.is_finite() {
        return Ok(());
    }
    Err(TaskError::input(format!(
        "{what} is `{value}` at step {step}, expected a finite number: lower `learning_rate` or set `clip_norm`"
    )))
}

/// Steps and epochs so far, and the weights of the best of them.
#[derive(Default)]
struct History {
    rows: Vec<StepRow>,
    losses: Vec<EpochLoss>,
    best: Option<Best>,
}

struct Best {
    epoch: u32,
    merit: f64,
    weights: Vec<(String, Tensor)>,
}

impl History {
    fn close_epoch(&mut self, epoch: u32, validation: &Validation, variables: &VarStore) {
        let train = epoch_loss(&self.rows, epoch);
        self.losses.push(EpochLoss { epoch, train, val: Some(validation.loss) });
        tracing::info!(epoch, train, val = validation.loss, merit = validation.merit, "epoch done");
        if self.best.as_ref().is_none_or(|best| validation.merit > best.merit) {
            let weights =
                variables.variables().into_iter().map(|(name, tensor)| (name, tensor.detach().copy())).collect();
            self.best = Some(Best { epoch, merit: validation.merit, weights });
        }
    }

    fn finish(self, variables: &VarStore) -> Result<Fitted, TaskError> {
        let best = self.best.ok_or_else(|| TaskError::input("no epoch was finished, expected at least one"))?;
        let mut current = variables.variables();
        for (name, tensor) in &best.weights {
            if let Some(variable) = current.get_mut(name) {
                tch::no_grad(|| variable.copy_(tensor));
            }
        }
        let samples: u64 = self.rows.iter().map(|row| u64::from(row.samples)).sum();
        let seconds: f64 = self.rows.iter().map(|row| row.step_seconds).sum();
        let images_per_second = samples as f64 / seconds.max(f64::MIN_POSITIVE);
        Ok(Fitted { rows: self.rows, losses: self.losses, best_epoch: best.epoch, images_per_second })
    }
}

/// Gives the network its first weights beyond the random ones it was built with, and says in a word where they are from.
pub(super) fn initialise(
    context: &TaskContext,
    spec: &FinetuneSpec,
    variables: &mut VarStore,
) -> Result<String, TaskError> {
    let Initialisation::Pretrained(source) = &spec.initialisation else { return Ok("random".to_owned()) };
    let job = JobId { pipeline: context.id.job.pipeline.clone(), name: source.clone() };
    let path = RunPaths::new(&job.to_string()).model();
    let weights =
        context.runtime.block_on(context.store.get(&path)).map_err(|error| TaskError::environment_from(&error))?;
    let reading = "reading the pre-trained model";
    let folder = tempfile::tempdir().map_err(TaskError::while_doing(reading))?;
    let file = folder.path().join("model.safetensors");
    std::fs::write(&file, &weights).map_err(TaskError::while_doing(reading))?;
    let report = vismae_model::load_matching(variables, &file).map_err(|error| TaskError::input_from(&error))?;
    tracing::info!(
        from = %job,
        loaded = report.loaded.len(),
        left_random = report.missing.len(),
        unused = report.unexpected.len(),
        "pre-trained weights loaded"
    );
    if report.loaded.is_empty() {
        return Err(TaskError::input(format!(
            "no tensor of `{path}` has a name and shape of this network, expected the same `[model]`"
        )));
    }
    Ok(source.to_string())
}

/// What a fine-tune was told, for its results.
pub(super) fn settings(spec: &FinetuneSpec) -> Vec<(String, String)> {
    let mut settings = network::settings(("batch", spec.batch), spec.seed, &spec.optimiser);
    settings.push(("label_fraction".to_owned(), spec.label_fraction.to_string()));
    settings
}

/// The words of a selection, for results.
pub(super) fn selection_words(spec: &FinetuneSpec) -> (Vec<String>, Vec<String>) {
    let modalities = spec.selection.modalities.iter().map(|modality| modality.word().to_owned()).collect();
    (spec.selection.sources.clone(), modalities)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn row(step: u64, epoch: u32, loss: f64, samples: u32) -> StepRow {
        let (learning_rate, gradient_norm, data_seconds, step_seconds) = (1e-3, 1.0, 0.0, 0.5);
        let (time, generation, digest) = (0.0, None, None);
        StepRow {
            step,
            epoch,
            loss,
            learning_rate,
            gradient_norm,
            samples,
            data_seconds,
            step_seconds,
            time,
            generation,
            digest,
        }
    }

    /// Two epochs, of which the first is the better one, over a network of one weight.
    fn two_epochs(variables: &VarStore, weight: &mut Tensor) -> History {
        let mut history = History::default();
        for (epoch, merit) in [(0, 0.9), (1, 0.4)] {
            history.rows.push(row(u64::from(epoch) * 2, epoch, 1.0, 30));
            history.rows.push(row(u64::from(epoch) * 2 + 1, epoch, 4.0, 10));
            let _ = tch::no_grad(|| weight.fill_(f64::from(epoch) + 5.0));
            history.close_epoch(epoch, &Validation { loss: 1.0 - merit, merit }, variables);
        }
        history
    }

    #[test]
    fn the_weights_of_the_best_epoch_are_kept() {
        let variables = VarStore::new(Device::Cpu);
        let mut weight = variables.root().zeros("weight", &[1]);
        let fitted = two_epochs(&variables, &mut weight).finish(&variables).unwrap();
        assert_eq!(fitted.best_epoch, 0);
        assert_eq!(variables.variables()["weight"].sum(Kind::Float).double_value(&[]), 5.0);
    }

    #[test]
    fn losses_and_speed_are_of_the_whole_training() {
        let variables = VarStore::new(Device::Cpu);
        let mut weight = variables.root().zeros("weight", &[1]);
        let fitted = two_epochs(&variables, &mut weight).finish(&variables).unwrap();
        let train: Vec<_> = fitted.losses.iter().map(|epoch| epoch.train).collect();
        assert_eq!(train, [Some(1.75); 2]);
        assert_eq!(fitted.images_per_second, 40.0);
    }

    #[test]
    fn a_training_without_an_epoch_has_nothing_to_keep() {
        let variables = VarStore::new(Device::Cpu);
        assert!(History::default().finish(&variables).is_err());
    }
}
