//! The pre-training task: one rank of a data-parallel run of the masked autoencoder.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use vismae_core::ids::{Rank, WorldSize};
use vismae_core::spec::PretrainSpec;
use vismae_shards::loader::{Dataset, Needs};
use vismae_shards::manifest::Manifest;
use vismae_shards::order::{PRETRAIN_WINDOW, Plan, PlanSpec};
use vismae_shards::runs::{PretrainResults, Results, StepRow, epoch_loss};
use vismae_shards::split::Split;

use super::error::TaskError;
use super::group::{self, Gang};
use super::progress::{ProgressMeter, Tick};
use super::rank::{RankTrainer, StepTotals};
use super::reconstruct;
use super::{Outcome, TaskContext, artefacts, data, network};

pub(super) fn run(context: &TaskContext, spec: &PretrainSpec) -> Result<Outcome, TaskError> {
    // First of all: the time a gang may take to gather is for processes to come up, not for reading a corpus.
    let Some(gang) = group::join(context)? else { return Ok(Outcome::Stopped) };
    let manifest = data::manifest(context, &spec.corpus)?;
    let dataset = data::open(context, &manifest, Split::Train, &spec.selection, Needs::Any)?;
    let plan = Plan::new(
        &dataset.row_counts(),
        PlanSpec { seed: spec.seed, lanes: spec.lanes, global_batch: spec.global_batch, window: PRETRAIN_WINDOW },
    )
    .map_err(|error| TaskError::input_from(&error))?;
    let mut trainer = RankTrainer::new(context, spec, &gang, plan.steps_per_epoch())?;
    let Some(history) = train(context, spec, &dataset, &plan, &mut trainer)? else { return Ok(Outcome::Stopped) };
    let figures = history.figures();
    if trainer.rank() == 0 {
        publish(context, spec, &manifest, &gang, &trainer, history)?;
    }
    Ok(Outcome::Succeeded(figures))
}

/// Every step of this rank's run.
struct History {
    rows: Vec<StepRow>,
    seconds: f64,
}

/// Runs every epoch; `None` when the gang agreed to stop.
fn train(
    context: &TaskContext,
    spec: &PretrainSpec,
    dataset: &Arc<Dataset>,
    plan: &Plan,
    trainer: &mut RankTrainer<'_>,
) -> Result<Option<History>, TaskError> {
    let world = WorldSize(trainer.world_size());
    let lanes = plan.lanes_of(Rank(trainer.rank()), world);
    let steps = plan.steps_per_epoch() * u64::from(spec.epochs);
    let mut loader = data::planned(context, dataset, plan, lanes, spec.epochs)?;
    let mut meter = ProgressMeter::new(&context.reporter, "training", steps);
    let mut rows = Vec::new();
    let began = Instant::now();
    loop {
        let step_began = Instant::now();
        let Some(batch) = loader.next().map_err(|error| TaskError::environment_from(&error))? else { break };
        let data_seconds = step_began.elapsed().as_secs_f64();
        let (epoch, samples) = (batch.epoch, batch.global_samples);
        let StepTotals { loss, gradient_norm, learning_rate, stop } =
            trainer.step(&batch, context.control.is_stopped())?;
        if stop {
            return Ok(None);
        }
        let step = rows.len() as u64;
        rows.push(StepRow {
            step,
            epoch: epoch.0,
            loss,
            learning_rate,
            gradient_norm,
            samples,
            data_seconds,
            step_seconds: step_began.elapsed().as_secs_f64(),
        });
        if trainer.rank() == 0 {
            meter.tick(&Tick {
                done: step + 1,
                total: steps,
                epoch: epoch.0,
                loss: Some(loss),
                images: u64::from(samples),
            });
        }
    }
    Ok(Some(History { rows, seconds: began.elapsed().as_secs_f64() }))
}

impl History {
    fn samples(&self) -> u64 {
        self.rows.iter().map(|row| u64::from(row.samples)).sum()
    }

    fn images_per_second(&self) -> f64 {
        self.samples() as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    fn first_epoch_loss(&self) -> Option<f64> {
        epoch_loss(&self.rows, 0)
    }

    fn last_epoch_loss(&self) -> Option<f64> {
        self.rows.last().and_then(|row| epoch_loss(&self.rows, row.epoch))
    }

    fn figures(&self) -> BTreeMap<String, f64> {
        let mut figures = BTreeMap::from([("images_per_second".to_owned(), self.images_per_second())]);
        if let Some(first) = self.rows.first() {
            figures.insert("first_loss".to_owned(), first.loss);
        }
        if let Some(loss) = self.last_epoch_loss() {
            figures.insert("final_loss".to_owned(), loss);
        }
        figures
    }
}

fn settings(spec: &PretrainSpec) -> Vec<(String, String)> {
    let mut settings = network::settings(("global_batch", spec.global_batch), spec.seed, &spec.optimiser);
    settings.push(("lanes".to_owned(), spec.lanes.to_string()));
    settings.push(("mask_ratio".to_owned(), spec.model.mask_ratio.to_string()));
    settings
}

/// Writes everything the run leaves, the results last: where they are, the rest is whole.
fn publish(
    context: &TaskContext,
    spec: &PretrainSpec,
    manifest: &Manifest,
    gang: &Gang,
    trainer: &RankTrainer<'_>,
    history: History,
) -> Result<(), TaskError> {
    let _meter = ProgressMeter::new(&context.reporter, "publishing", 1);
    artefacts::put_model(context, trainer.variables(), &spec.model, artefacts::Architecture::MaskedAutoencoder)?;
    artefacts::put_steps(context, &history.rows)?;
    let reconstructions = reconstruct::examples(context, spec, manifest, trainer.model())?;
    artefacts::put_results(
        context,
        &Results::Pretrain(PretrainResults {
            job: context.id.job.to_string(),
            settings: settings(spec),
            corpus: spec.corpus.to_string(),
            corpus_version: manifest.version,
            model: network::describe(&spec.model),
            parameters: network::parameter_count(trainer.variables()),
            world_size: trainer.world_size(),
            device: context.device.to_string(),
            epochs: spec.epochs,
            steps: history.rows.len() as u64,
            samples_seen: history.samples(),
            seconds: history.seconds,
            images_per_second: history.images_per_second(),
            first_epoch_loss: history.first_epoch_loss(),
            last_epoch_loss: history.last_epoch_loss(),
            reconstructions,
        }),
    )?;
    tracing::info!(generation = %gang.generation, steps = history.rows.len(), "results written");
    Ok(())
}
