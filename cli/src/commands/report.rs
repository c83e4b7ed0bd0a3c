//! `vismae report`: the report of a pipeline, from what its runs left in the store.

use clap::Args;
use serde::Serialize;
use vismae_core::ids::PipelineId;
use vismae_shards::store::Store;

use super::StoreAddress;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::output::Format;
use crate::report;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Pipeline
    #[arg(value_parser = pipeline_id)]
    pipeline: PipelineId,
    #[command(flatten)]
    at: StoreAddress,
}

fn pipeline_id(name: &str) -> Result<PipelineId, String> {
    PipelineId::new(name).map_err(|invalid| invalid.to_string())
}

#[derive(Debug, Serialize)]
struct ReportView {
    pipeline: String,
    report: String,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let store = options.at.open()?;
    let jobs = jobs(&store, &options.pipeline).await?;
    let location = report::write(&store, options.pipeline.as_str(), &jobs).await.or_fail(Exit::WorkFailed)?;
    let view = ReportView { pipeline: options.pipeline.to_string(), report: location.to_string() };
    format.result(&view, |view| format!("report: {}", view.report))
}

/// The ids of the jobs of a pipeline that left something, the pre-training first.
async fn jobs(store: &Store, pipeline: &PipelineId) -> Result<Vec<String>, Failure> {
    let prefix = format!("{pipeline}.");
    let mut jobs = store.folders("runs").await.or_fail(Exit::WorkFailed)?;
    jobs.retain(|job| job.starts_with(&prefix));
    if jobs.is_empty() {
        let message = format!("pipeline `{pipeline}` has left no run in `{}`", store.url());
        return Err(
            Failure::new(Exit::Usage, message).hint("the folders under `runs/` begin with the names of pipelines")
        );
    }
    jobs.sort_by_key(|job| (!job.ends_with(".pretrain"), job.clone()));
    Ok(jobs)
}
