//! `vismae jobs`.

use clap::Args;

use super::CoordinatorAddress;
use crate::failure::Failure;
use crate::output::Format;
use crate::tables;
use crate::views::PipelineView;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Pipeline; all when absent
    pipeline: Option<String>,
    /// Only pipelines of this namespace
    #[arg(short, long, value_name = "NAME", conflicts_with = "pipeline")]
    namespace: Option<String>,
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let mut coordinator = options.at.connect().await?;
    let pipelines = match &options.pipeline {
        Some(name) => vec![coordinator.pipeline(name).await?],
        None => coordinator.pipelines().await?,
    };
    let mut views: Vec<PipelineView> = pipelines.iter().map(PipelineView::from).collect();
    views.retain(|view| options.namespace.as_ref().is_none_or(|wanted| view.namespace == *wanted));
    format.result(&views, |views| tables::jobs(views))
}
