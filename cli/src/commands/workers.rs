//! `vismae workers`.

use clap::Args;

use super::CoordinatorAddress;
use crate::failure::Failure;
use crate::output::Format;
use crate::tables;
use crate::views::WorkerView;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Only workers for which this holds, as `device : "cuda*"`: of name, host, version, state, device and join_time
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    filter: String,
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let workers = options.at.connect().await?.workers(&options.filter).await?;
    let views: Vec<WorkerView> = workers.iter().map(WorkerView::from).collect();
    format.result(&views, |views| tables::workers(views))
}
