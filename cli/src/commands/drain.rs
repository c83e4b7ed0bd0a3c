//! `vismae drain`.

use clap::Args;

use super::CoordinatorAddress;
use crate::failure::Failure;
use crate::output::Format;
use crate::views::WorkerView;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Worker
    worker: String,
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let worker = options.at.connect().await?.drain(&options.worker).await?;
    let view = WorkerView::from(&worker);
    format.result(&view, |_| {
        format!("worker `{}` takes no new tasks, and leaves when those it has have stopped", worker.name)
    })
}
