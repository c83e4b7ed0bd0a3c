//! `vismae submit`.

use std::time::Duration;

use clap::Args;
use vismae_core::ids::NamespaceName;

use super::{CoordinatorAddress, JobFile};
use crate::failure::Failure;
use crate::jobfile::{self, Overrides};
use crate::output::Format;
use crate::views::PipelineView;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    job: JobFile,
    /// Priority in place of the file's own, -1000 to 1000: higher goes first, and has tasks of lower pipelines stopped where it finds
    /// too few slots
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Namespace in place of the file's own
    #[arg(short, long, value_name = "NAME", value_parser = |name: &str| NamespaceName::new(name))]
    namespace: Option<NamespaceName>,
    /// Queue it suspended: it begins when it is resumed
    #[arg(long)]
    suspended: bool,
    /// How long after its submission it must be over, as `12h`, in place of the file's own
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    deadline: Option<Duration>,
    /// Have it checked by the coordinator, and queue nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    // The workers read the inputs, and may see other disks than this machine does.
    let overrides = Overrides {
        priority: options.priority,
        namespace: options.namespace,
        suspended: options.suspended,
        deadline: options.deadline,
        ..options.job.overrides(false)
    };
    let spec = jobfile::load(&options.job.file, &overrides)?;
    let pipeline = options.at.connect().await?.submit(&spec, options.dry_run).await?;
    format.result(&PipelineView::from(&pipeline), |view| {
        if options.dry_run {
            return format!("pipeline `{}` would be queued, with {} jobs", view.name, spec.jobs.len());
        }
        format!("queued pipeline `{0}` with {1} jobs; follow it with `vismae watch {0}`", view.name, view.jobs.len())
    })
}
