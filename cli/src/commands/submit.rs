//! `vismae submit`.

use clap::Args;

use super::{CoordinatorAddress, JobFile};
use crate::client::Coordinator;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::jobfile;
use crate::output::Format;
use crate::views::PipelineView;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    job: JobFile,
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    // The workers read the inputs, and may see other disks than this machine does.
    let spec = jobfile::load(&options.job.file, &options.job.overrides(false)).or_fail(Exit::Usage)?;
    let pipeline = Coordinator::connect(&options.at.coordinator).await?.submit(&spec).await?;
    format.result(&PipelineView::from(&pipeline), |view| {
        format!("queued pipeline `{0}` with {1} jobs; follow it with `vismae watch {0}`", view.name, view.jobs.len())
    })
}
