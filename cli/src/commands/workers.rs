//! `vismae workers`.

use clap::Args;

use super::CoordinatorAddress;
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
    let workers = options.at.connect().await?.workers().await?;
    let views: Vec<WorkerView> = workers.iter().map(WorkerView::from).collect();
    format.result(&views, |views| tables::workers(views))
}
