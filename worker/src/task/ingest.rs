//! The ingest task: one member of the crew that turns files into a committed corpus version.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use vismae_core::spec::IngestSpec;
use vismae_shards::ingest::{
    self, Crew, IngestError, IngestOptions, IngestProgress, IngestSummary, MEMORY_DEFAULT, PseudonymKey,
};

use super::error::TaskError;
use super::progress::{ProgressMeter, Tick};
use super::{Outcome, TaskContext};

pub(super) fn run(context: &TaskContext, spec: &IngestSpec) -> Result<Outcome, TaskError> {
    let pseudonym_key = PseudonymKey::from_environment().map_err(|error| TaskError::input_from(&error))?;
    let crew = Crew::member(&context.id, context.gang_size);
    let options = IngestOptions { threads: context.threads.get(), memory: MEMORY_DEFAULT, pseudonym_key, crew };
    if context.id.member > 0 {
        let help = ingest::help(&context.store, spec, &options, context.control.stop_token());
        return ended(context.runtime.block_on(help), |()| BTreeMap::new());
    }
    let mut meter = ProgressMeter::new(&context.reporter, "reading");
    meter.begin(0, 0);
    let meter = Mutex::new(meter);
    let progress = |now: IngestProgress| {
        let tick = Tick { done: now.files_done, total: now.files_total, epoch: 0, loss: None, images: 1 };
        meter.lock().unwrap_or_else(PoisonError::into_inner).tick(&tick);
    };
    let ingest = ingest::ingest(&context.store, spec, &options, progress, context.control.stop_token());
    ended(context.runtime.block_on(ingest), |summary| figures(&summary))
}

fn ended<T>(
    done: Result<T, IngestError>,
    figures: impl FnOnce(T) -> BTreeMap<String, f64>,
) -> Result<Outcome, TaskError> {
    match done {
        Ok(done) => Ok(Outcome::Succeeded(figures(done))),
        Err(IngestError::Cancelled) => Ok(Outcome::Stopped),
        Err(error) if error.may_pass() => Err(TaskError::environment_from(&error)),
        Err(error) => Err(TaskError::input_from(&error)),
    }
}

fn figures(summary: &IngestSummary) -> BTreeMap<String, f64> {
    [
        ("frames", summary.total_frames()),
        ("quarantined", summary.total_quarantined()),
        ("duplicates", summary.duplicates),
        ("unchanged", summary.unchanged),
        ("version", summary.version),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value as f64))
    .collect()
}
