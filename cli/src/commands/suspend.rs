//! `vismae suspend`.

use clap::Args;

use super::CoordinatorAddress;
use crate::failure::Failure;
use crate::output::Format;
use crate::views::PipelineView;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Pipeline
    pipeline: String,
    /// Only if the pipeline still looks as it did when it had this `etag`, which `vismae jobs -o json` shows
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let pipeline = options.at.connect().await?.suspend(&options.pipeline, &options.etag).await?;
    format.result(&PipelineView::from(&pipeline), |view| format!("pipeline `{}` is {}", view.name, view.state))
}
