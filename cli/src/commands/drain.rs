//! `vismae drain`.

use clap::Args;
use vismae_proto::v1;

use super::CoordinatorAddress;
use crate::failure::Failure;
use crate::output::Format;
use crate::views::WorkerView;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Worker; it stays drained if it comes back, and if the coordinator is restarted
    worker: String,
    /// Let it have tasks again
    #[arg(long)]
    undo: bool,
    /// Only if the worker still looks as it did when it had this `etag`, which `vismae workers -o json` shows
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    /// Have it checked by the coordinator, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let Options { worker: name, undo, etag, dry_run: validate_only, at } = options;
    let mut coordinator = at.connect().await?;
    let worker = match undo {
        true => coordinator.undrain(v1::UndrainWorkerRequest { name, etag, validate_only }).await?,
        false => coordinator.drain(v1::DrainWorkerRequest { name, etag, validate_only }).await?,
    };
    format.result(&WorkerView::from(&worker), |view| {
        let name = &view.name;
        match (validate_only, undo, view.state) {
            (true, true, _) => format!("worker `{name}` would get tasks again"),
            (true, false, _) => format!("worker `{name}` would get no new tasks, and would leave"),
            (false, true, "active") => format!("worker `{name}` gets tasks"),
            (false, true, _) => format!("worker `{name}` gets tasks again when it comes back"),
            (false, false, "away") => format!("worker `{name}` is not here, and gets no tasks when it comes back"),
            (false, false, _) => format!(
                "worker `{name}` takes no new tasks, and leaves when those it has have stopped; `vismae drain {name} --undo` lets it work again"
            ),
        }
    })
}
