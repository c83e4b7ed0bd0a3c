//! Reading one epoch through the loader: planned order, rows shuffled within windows, batches of contiguous bytes.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::Handle;
use vismae_core::ids::Epoch;
use vismae_core::spec::Selection;
use vismae_shards::loader::{Dataset, Loader, LoaderOptions, Needs, Start};
use vismae_shards::manifest::Manifest;
use vismae_shards::order::{Plan, PlanSpec};
use vismae_shards::split::Split;
use vismae_shards::store::Store;

use crate::Outcome;
use crate::contender::{Watch, serve};
use crate::frames::PIXELS;
use crate::ingest::corpus;

/// What a pre-training uses unless it is told otherwise.
const SPEC: PlanSpec = PlanSpec { seed: 1, lanes: 8, global_batch: 256, window: 4 };
/// What a worker holds.
const HELD_BYTES: u64 = 3 << 29;

/// Reads the epochs of a corpus, one to a pass.
pub(crate) fn run(store: &Path) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let store = Store::open(&store.to_string_lossy())?;
    let manifest = runtime.block_on(Manifest::load(&store, &corpus()?, None))?;
    let (everything, mut epochs) = (Selection::default(), 0..);
    serve(|| {
        // Opened anew: nothing is left from the epoch before.
        let opening = Dataset::open(&store, &manifest, Split::Train, &everything, Needs::Any);
        let dataset = Arc::new(runtime.block_on(opening)?);
        epoch(&dataset, Epoch(epochs.next().unwrap_or_default()), runtime.handle())
    })
}

/// Reads one epoch, every lane of it.
fn epoch(dataset: &Arc<Dataset>, epoch: Epoch, runtime: &Handle) -> Outcome<Value> {
    let plan = Plan::new(&dataset.row_counts(), SPEC)?;
    let (lanes, span) = (plan.all_lanes(), (Start { epoch, step: 0 }, Epoch(epoch.0 + 1)));
    let watch = Watch::start();
    let threads = std::thread::available_parallelism()?.get();
    let options = LoaderOptions { bytes: HELD_BYTES, threads, cache: None };
    let mut loader = Loader::planned(Arc::clone(dataset), plan, lanes, span, options, runtime)?;
    let mut rows = 0;
    while let Some(batch) = loader.next()? {
        rows += black_box(&batch.images).len() / PIXELS;
    }
    if rows as u64 != dataset.len() {
        return Err(format!("the epoch gave {rows} rows, expected {}", dataset.len()).into());
    }
    Ok(watch.stop(rows as u64, (rows * PIXELS) as u64))
}
