//! Files to a committed corpus, with every core.

use std::path::{Path, PathBuf};
use std::thread;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use vismae_core::ids::CorpusName;
use vismae_core::spec::{Fit, IngestSpec, Window, XrayRange};
use vismae_shards::ingest::{self, Crew, IngestOptions, MEMORY_DEFAULT, PseudonymKey};
use vismae_shards::store::Store;

use crate::Outcome;
use crate::contender::{Watch, serve};
use crate::frames::SIDE;
use crate::write::clear;

/// The corpus that contenders write and read.
pub(crate) fn corpus() -> Outcome<CorpusName> {
    Ok(CorpusName::new("bench")?)
}

/// The recipe, which the peer follows too.
pub(crate) fn specification(inputs: &[PathBuf]) -> Outcome<IngestSpec> {
    Ok(IngestSpec {
        corpus: corpus()?,
        inputs: inputs.iter().map(|input| input.to_string_lossy().into_owned()).collect(),
        image_size: SIDE as u32,
        fit: Fit::Stretch,
        ct_windows: vec![Window { low: -160.0, high: 240.0 }],
        percentiles: Window { low: 0.5, high: 99.5 },
        // As the peer does.
        xray_range: XrayRange::Percentiles,
        minimum_content: 0.02,
        workers: 1,
    })
}

/// One thread for each core.
pub(crate) fn options() -> IngestOptions {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let pseudonym_key = PseudonymKey::from_secret("a secret of the benchmark");
    IngestOptions { threads, memory: MEMORY_DEFAULT, pseudonym_key, crew: Crew::alone() }
}

/// Ingests everything anew in each pass; the corpus of the last one stays.
pub(crate) fn run(folder: &Path, inputs: &[PathBuf]) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (spec, options, never) = (specification(inputs)?, options(), CancellationToken::new());
    serve(|| {
        clear(folder)?;
        let store = Store::open(&folder.to_string_lossy())?;
        let watch = Watch::start();
        let summary = runtime.block_on(ingest::ingest(&store, &spec, &options, |_| {}, &never))?;
        let mut pass = watch.stop(summary.total_frames(), 0);
        pass["files"] = json!(summary.files);
        pass["quarantined"] = json!(summary.total_quarantined());
        pass["not_images"] = json!(summary.not_images);
        pass["duplicates"] = json!(summary.duplicates);
        pass["nearly_empty"] = json!(summary.nearly_empty);
        pass["masks"] = json!(summary.masks);
        Ok(pass)
    })
}
