//! `vismae corpora shuffle`: how well the order of a pre-training mixes a corpus.

use clap::Args;
use serde::Serialize;
use vismae_core::ids::{CorpusName, Epoch};
use vismae_core::spec::Selection;
use vismae_shards::loader::{Dataset, Needs};
use vismae_shards::manifest::Manifest;
use vismae_shards::order::quality::{self, Comparison, ShuffleQuality};
use vismae_shards::order::{PRETRAIN_WINDOW, Plan, PlanSpec};
use vismae_shards::split::Split;
use vismae_shards::store::Store;

use super::{corpus_name, split};
use crate::failure::{Exit, Failure, OrFail as _};
use crate::jobfile::DEFAULT_LANES;
use crate::output::{Format, figure, table};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Corpus
    #[arg(value_parser = corpus_name)]
    name: CorpusName,
    /// Version [default: the latest]
    #[arg(long = "corpus-version", value_name = "NUMBER")]
    version: Option<u64>,
    /// Split whose frames are ordered: train, val or test
    #[arg(long, default_value = Split::Train.word(), value_parser = split)]
    split: Split,
    /// Streams that a batch is drawn from, as `pretrain.lanes`
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_LANES)]
    lanes: u32,
    /// Frames of a batch, as `pretrain.global_batch`
    #[arg(long, value_name = "FRAMES", default_value_t = 64)]
    batch: u32,
    /// Row groups that rows of a lane are shuffled within [default: that of a pre-training]
    #[arg(long, value_name = "ROW-GROUPS", default_value_t = PRETRAIN_WINDOW, hide_default_value = true)]
    window: u32,
    /// Seed of the order, as `pretrain.seed`
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Epoch that is looked at
    #[arg(long, default_value_t = 0)]
    epoch: u32,
}

#[derive(Debug, Serialize)]
struct ShuffleView {
    corpus: String,
    version: u64,
    split: Split,
    frames: u64,
    row_groups: usize,
    sources: Vec<String>,
    modalities: Vec<String>,
    lanes: u32,
    batch: u32,
    window: u32,
    seed: u64,
    epoch: u32,
    /// The order of a pre-training with these settings.
    planned: ShuffleQuality,
    /// A full shuffle in batches of the same size.
    shuffled: ShuffleQuality,
    /// The order of storage in batches of the same size.
    unshuffled: ShuffleQuality,
}

pub(super) async fn run(store: &Store, options: Options, format: Format) -> Result<(), Failure> {
    let Options { name, version, split, lanes, batch, window, seed, epoch } = options;
    let manifest = Manifest::load(store, &name, version).await.or_fail(Exit::Usage)?;
    let opened = Dataset::open(store, &manifest, split, &Selection::default(), Needs::Any).await;
    let dataset = opened.or_fail(Exit::WorkFailed)?;
    let row_counts = dataset.row_counts();
    let plan = Plan::new(&row_counts, PlanSpec { seed, lanes, global_batch: batch, window }).or_fail(Exit::Usage)?;
    let origins = dataset.origins().await.or_fail(Exit::WorkFailed)?;
    let compared = quality::compare(&plan, Epoch(epoch), &origins.kinds).or_fail(Exit::WorkFailed)?;
    let Comparison { planned, shuffled, unshuffled } = compared;
    let view = ShuffleView {
        corpus: manifest.corpus,
        version: manifest.version,
        split,
        frames: plan.samples(),
        row_groups: row_counts.len(),
        sources: origins.sources,
        modalities: origins.modalities.iter().map(ToString::to_string).collect(),
        lanes,
        batch,
        window,
        seed,
        epoch,
        planned,
        shuffled,
        unshuffled,
    };
    format.result(&view, describe)
}

fn describe(view: &ShuffleView) -> String {
    let row = |order: &str, quality: &ShuffleQuality| {
        [
            order.to_owned(),
            figure(quality.mean_travel),
            figure(quality.median_travel),
            figure(quality.rank_correlation),
            figure(quality.source_distance),
            figure(quality.modality_distance),
            figure(quality.groups_per_batch),
        ]
    };
    let rows =
        [row("this plan", &view.planned), row("full shuffle", &view.shuffled), row("as stored", &view.unshuffled)];
    let headers = ["ORDER", "MEAN TRAVEL", "MEDIAN", "CORRELATION", "SOURCES OFF", "MODALITIES OFF", "ROW GROUPS"];
    format!(
        "corpus {} version {}, {}: {} frames in {} row groups, of {} sources and {} modalities; epoch {} of seed {}, batches \
         of {} from {} lanes, windows of {} row groups\n{}\n\
         travel: how far a row is from its place in storage, over all rows; correlation: of the two places\n\
         off: share of a batch that would have to be of other sources or modalities to be like the corpus\n\
         row groups: that a batch draws from",
        view.corpus,
        view.version,
        view.split,
        view.frames,
        view.row_groups,
        view.sources.len(),
        view.modalities.len(),
        view.epoch,
        view.seed,
        view.batch,
        view.lanes,
        view.window,
        table(headers, rows)
    )
}
