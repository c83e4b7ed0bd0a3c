//! `vismae workers`.

use clap::Args;

use super::CoordinatorAddress;
use crate::client::Coordinator;
use crate::failure::Failure;
use crate::output::Format;
use crate::tables;
use crate::views::WorkerView;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let workers = Coordinator::connect(&options.at.coordinator).await?.workers().await?;
    let views: Vec<WorkerView> = workers.iter().map(WorkerView::from).collect();
    format.result(&views, |views| tables::workers(views))
}
