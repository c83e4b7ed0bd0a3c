//! `vismae logs`.

use clap::Args;
use vismae_core::ids::{InvalidName, JobId};
use vismae_proto::v1::ReadLogsRequest;

use super::CoordinatorAddress;
use crate::failure::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::output::Format;
use crate::views::LogView;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Job, as `pipeline.job`
    #[arg(value_parser = job_id)]
    job: JobId,
    /// Go on until the job is over
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    at: CoordinatorAddress,
}

fn job_id(text: &str) -> Result<JobId, String> {
    match text.contains('.') {
        true => text.parse().map_err(|invalid: InvalidName| invalid.to_string()),
        false => Err("expected the names of a pipeline and of a job of it, as `demo.pretrain`".to_owned()),
    }
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let mut coordinator = options.at.connect().await?;
    let request = ReadLogsRequest { job: options.job.to_string(), follow: options.follow };
    let mut lines = coordinator.logs(request).await?;
    let mut interrupts = Interrupts::listen()?;
    loop {
        let line = tokio::select! {
            line = lines.message() => line.map_err(|status| coordinator.explain(status))?,
            () = interrupts.next() => return Err(Failure::silent(Exit::Interrupted)),
        };
        let Some(line) = line else { return Ok(()) };
        format.item(&LogView::from(line), |line| {
            format!("{} {} {}", line.time.as_deref().unwrap_or("-"), line.task, line.text)
        })?;
    }
}
