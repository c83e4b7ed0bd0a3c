//! The ingest task: files to a committed corpus version.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use vismae_core::spec::IngestSpec;
use vismae_shards::ingest::{
    self, IngestError, IngestOptions, IngestProgress, IngestSummary, MEMORY_DEFAULT, PseudonymKey,
};

use super::error::TaskError;
use super::progress::{ProgressMeter, Tick};
use super::{Outcome, TaskContext};

pub(super) fn run(context: &TaskContext, spec: &IngestSpec) -> Result<Outcome, TaskError> {
    let pseudonym_key = PseudonymKey::from_environment().map_err(|error| TaskError::input_from(&error))?;
    let options = IngestOptions { threads: context.threads.get(), memory: MEMORY_DEFAULT, pseudonym_key };
    let meter = Mutex::new(ProgressMeter::new(&context.reporter, "reading", 0));
    let progress = |now: IngestProgress| {
        let tick = Tick { done: now.files_done, total: now.files_total, epoch: 0, loss: None, images: 1 };
        meter.lock().unwrap_or_else(PoisonError::into_inner).tick(&tick);
    };
    let ingest = ingest::ingest(&context.store, spec, &options, progress, context.control.stop_token());
    match context.runtime.block_on(ingest) {
        Ok(summary) => Ok(Outcome::Succeeded(figures(&summary))),
        Err(IngestError::Cancelled) => Ok(Outcome::Stopped),
        Err(error @ IngestError::Store { .. }) => Err(TaskError::environment_from(&error)),
        Err(error) => Err(TaskError::input_from(&error)),
    }
}

fn figures(summary: &IngestSummary) -> BTreeMap<String, f64> {
    [
        ("frames", summary.total_frames()),
        ("quarantined", summary.total_quarantined()),
        ("duplicates", summary.duplicates),
        ("version", summary.version),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value as f64))
    .collect()
}
