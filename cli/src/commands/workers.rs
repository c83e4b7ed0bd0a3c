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
    /// Sort by fields, as `join_time desc`: of name and join_time [default: by name]
    #[arg(long, value_name = "FIELDS", default_value = "", hide_default_value = true)]
    order_by: String,
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let workers = options.at.connect().await?.workers(&options.filter, &options.order_by).await?;
    let views: Vec<WorkerView> = workers.iter().map(WorkerView::from).collect();
    format.result(&views, |views| tables::workers(views))
}
