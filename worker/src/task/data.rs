//! Opening the frames a job asks for, and reading them ahead of the training loop.

use std::ops::Range;
use std::sync::Arc;

use vismae_core::ids::{CorpusName, Epoch};
use vismae_core::spec::Selection;
use vismae_shards::loader::{Dataset, Loader, LoaderOptions, Needs, Start};
use vismae_shards::manifest::Manifest;
use vismae_shards::order::Plan;
use vismae_shards::split::Split;

use super::TaskContext;
use super::error::TaskError;

/// Bytes of row groups and batches that a rank reads ahead and keeps: two windows of row groups at 224 pixels for each of eight
/// lanes, and a quarter of it for batches, of which one of 640 frames takes 32 MB.
const READ_AHEAD_BYTES: u64 = 3 << 29;

/// Reads the latest version of a corpus.
pub(super) fn manifest(context: &TaskContext, corpus: &CorpusName) -> Result<Manifest, TaskError> {
    manifest_of(context, corpus, None)
}

/// Reads a version of a corpus, or the latest one.
pub(super) fn manifest_of(
    context: &TaskContext,
    corpus: &CorpusName,
    version: Option<u64>,
) -> Result<Manifest, TaskError> {
    context
        .runtime
        .block_on(Manifest::load(&context.store, corpus, version))
        .map_err(|error| TaskError::input_from(&error))
}

/// Indexes the frames of a split that match a selection.
pub(super) fn open(
    context: &TaskContext,
    manifest: &Manifest,
    split: Split,
    selection: &Selection,
    needs: Needs,
) -> Result<Arc<Dataset>, TaskError> {
    open_share(context, manifest, (split, 1.0), selection, needs)
}

/// The same, of a share of the groups of the split.
pub(super) fn open_share(
    context: &TaskContext,
    manifest: &Manifest,
    (split, fraction): (Split, f64),
    selection: &Selection,
    needs: Needs,
) -> Result<Arc<Dataset>, TaskError> {
    let open = Dataset::open(&context.store, manifest, split, selection, needs);
    let dataset = context.runtime.block_on(open).map_err(|error| TaskError::input_from(&error))?;
    let share = context.runtime.block_on(dataset.with_label_fraction(fraction));
    share.map(Arc::new).map_err(|error| TaskError::environment_from(&error))
}

/// Reads these lanes in the order of the plan, from a step on to the end of the last of so many epochs.
pub(super) fn planned(
    context: &TaskContext,
    dataset: &Arc<Dataset>,
    plan: &Plan,
    lanes: Range<u32>,
    (start, epochs): (Start, u32),
) -> Result<Loader, TaskError> {
    let span = (start, Epoch(epochs));
    Loader::planned(Arc::clone(dataset), plan.clone(), lanes, span, options(context), context.runtime.handle())
        .map_err(|error| TaskError::environment_from(&error))
}

/// Reads every frame once, front to back.
pub(super) fn sequential(context: &TaskContext, dataset: &Arc<Dataset>, batch: u32) -> Result<Loader, TaskError> {
    Loader::sequential(Arc::clone(dataset), batch, None, options(context), context.runtime.handle())
        .map_err(|error| TaskError::environment_from(&error))
}

fn options(context: &TaskContext) -> LoaderOptions {
    LoaderOptions { bytes: READ_AHEAD_BYTES, threads: context.threads.get(), cache: context.cache.clone() }
}
