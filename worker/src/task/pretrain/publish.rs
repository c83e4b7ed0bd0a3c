//! What a pre-training leaves: its weights, its record, and what came of it.

use std::collections::BTreeMap;

use vismae_core::spec::PretrainSpec;
use vismae_shards::runs::{PretrainResults, Results, StepRow, epoch_loss};

use super::super::bookkeeper::Bookkeeper;
use super::super::group::Gang;
use super::super::progress::ProgressMeter;
use super::super::rank::{Rank, StepError};
use super::super::{artefacts, network, reconstruct};
use super::Work;

/// Every step of a run.
pub(super) struct History<'a>(pub(super) &'a [StepRow]);

impl History<'_> {
    fn samples(&self) -> u64 {
        self.0.iter().map(|row| u64::from(row.samples)).sum()
    }

    /// Of all steps: what was between them, as the meeting of a new group, is not among them.
    fn seconds(&self) -> f64 {
        self.0.iter().map(|row| row.step_seconds).sum()
    }

    fn images_per_second(&self) -> f64 {
        self.samples() as f64 / self.seconds().max(f64::MIN_POSITIVE)
    }

    fn first_epoch_loss(&self) -> Option<f64> {
        epoch_loss(self.0, 0)
    }

    fn last_epoch_loss(&self) -> Option<f64> {
        self.0.last().and_then(|row| epoch_loss(self.0, row.epoch))
    }

    pub(super) fn figures(&self) -> BTreeMap<String, f64> {
        let mut figures = BTreeMap::from([("images_per_second".to_owned(), self.images_per_second())]);
        if let Some(first) = self.0.first() {
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

impl Work<'_> {
    /// Writes everything the run leaves, and commits it; the results last: where they are, the rest is whole.
    pub(super) fn publish(&self, rank: &Rank<'_>, gang: &Gang, book: &mut Bookkeeper<'_>) -> Result<(), StepError> {
        let (context, spec, replica) = (self.context, self.spec, rank.replica());
        ProgressMeter::new(&context.reporter, "publishing").begin(0, 1);
        // Nothing is replaced by a group that has been replaced itself.
        book.confirm()?;
        let architecture = artefacts::Architecture::MaskedAutoencoder;
        let [weights, config] = artefacts::model(context, &replica.variables, &spec.model, architecture)?;
        let artefacts = [weights, config, artefacts::steps(context, replica.rows())?];
        let folder = artefacts::paths(context).commit(context.run, gang.generation);
        book.commit((&folder, replica.step()), &artefacts)?;
        let reconstructions = reconstruct::examples(context, spec, &self.manifest, &replica.model)?;
        let history = History(replica.rows());
        artefacts::put_results(
            context,
            &Results::Pretrain(PretrainResults {
                job: context.id.job.to_string(),
                settings: settings(spec),
                corpus: spec.corpus.to_string(),
                corpus_version: self.manifest.version,
                model: network::describe(&spec.model),
                parameters: network::parameter_count(&replica.variables),
                world_size: rank.world_size(),
                device: context.device.to_string(),
                epochs: spec.epochs,
                steps: replica.step(),
                samples_seen: history.samples(),
                seconds: history.seconds(),
                images_per_second: history.images_per_second(),
                first_epoch_loss: history.first_epoch_loss(),
                last_epoch_loss: history.last_epoch_loss(),
                reconstructions,
            }),
        )?;
        tracing::info!(generation = %gang.generation, steps = replica.step(), "results written");
        Ok(())
    }
}
