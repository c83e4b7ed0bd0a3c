//! `vismae logs`.

use clap::Args;
use vismae_core::ids::{InvalidName, JobId};
use vismae_proto::v1::ReadLogsRequest;

use super::CoordinatorAddress;
use crate::failure::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::output::Format;
use crate::reconnect::Tries;
use crate::views::{GapView, LogView};

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
    let mut request = ReadLogsRequest { job: options.job.to_string(), follow: options.follow, cursor: String::new() };
    let mut lines = Some(coordinator.logs(request.clone()).await?);
    let mut tries = Tries::default();
    let mut interrupts = Interrupts::listen()?;
    loop {
        let next = async {
            let lines = match &mut lines {
                Some(lines) => lines,
                None => lines.insert(coordinator.logs(request.clone()).await?),
            };
            lines.message().await.map_err(|status| coordinator.explain(status))
        };
        let next = tokio::select! {
            next = next => next,
            () = interrupts.next() => return Err(Failure::silent(Exit::Interrupted)),
        };
        match next {
            Ok(Some(line)) => {
                tries.heard();
                request.cursor.clone_from(&line.cursor);
                format.item(&LogView::from(line), describe)?;
            }
            Ok(None) => return Ok(()),
            Err(failure) => {
                lines = None;
                tokio::select! {
                    waited = tries.after(failure, |text| format.remark(text)) => waited?,
                    () = interrupts.next() => return Err(Failure::silent(Exit::Interrupted)),
                }
            }
        }
    }
}

fn describe(line: &LogView) -> String {
    match &line.gap {
        None => format!("{} {} {}", line.time.as_deref().unwrap_or("-"), line.task, line.text),
        Some(GapView { lines: Some(lines) }) => {
            format!("-- {lines} lines are missing here: only the last ones are kept")
        }
        Some(GapView { lines: None }) => {
            "-- lines may be missing here: another coordinator had them, and is gone".to_owned()
        }
    }
}
