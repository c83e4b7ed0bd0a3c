//! `vismae audit`: whether the weights of a run have seen the samples of its plan, each once an epoch.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Args;
use vismae_core::ids::JobId;
use vismae_shards::runs::{Audit, AuditError, EpochAudit, RunPaths, audit};

use super::StoreAddress;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::output::{Format, table};
use crate::progress::{Display, work_in_progress};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Pre-training, as PIPELINE.JOB
    #[arg(value_parser = super::job_id)]
    run: JobId,
    #[command(flatten)]
    at: StoreAddress,
}

/// Epochs that are shown one by one; `-o json` holds all of them.
const SHOWN: usize = 20;

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let store = options.at.open()?;
    let paths = RunPaths::new(&options.run.to_string());
    let audited = {
        let display = Mutex::new(Display::new(format));
        let start = Instant::now();
        let show = |done, total| {
            let line = work_in_progress("audit", "epochs", (done, total), start);
            display.lock().unwrap_or_else(PoisonError::into_inner).update(&line);
        };
        audit(&store, &paths, show).await
    };
    let audited = match audited {
        Err(error @ AuditError::NoLedger { .. }) => return Err(Failure::new(Exit::Usage, error)),
        audited => audited.or_fail(Exit::WorkFailed)?,
    };
    format.result(&audited, |audit| show(&options.run, audit))?;
    if audited.exact { Ok(()) } else { Err(Failure::silent(Exit::WorkFailed)) }
}

fn show(run: &JobId, audit: &Audit) -> String {
    let Audit { corpus, corpus_version, groups, epochs, findings, .. } = audit;
    let mut text = match audit.steps {
        Some(steps) => {
            format!("{run} on corpus {corpus} version {corpus_version}: {steps} steps by {groups} groups of ranks\n")
        }
        None => format!(
            "{run} on corpus {corpus} version {corpus_version}: no weights committed, {groups} groups of ranks so far\n"
        ),
    };
    let row = |epoch: &EpochAudit| {
        let generations = match (epoch.generations.first(), epoch.generations.last()) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (Some(only), _) => only.to_string(),
            _ => String::new(),
        };
        let digest = if epoch.exact { epoch.taken_digest } else { epoch.planned_digest };
        [
            epoch.epoch.to_string(),
            epoch.steps.to_string(),
            epoch.taken.to_string(),
            epoch.planned.to_string(),
            generations,
            digest.to_string(),
            if epoch.exact { "exact".to_owned() } else { "NOT as planned".to_owned() },
        ]
    };
    // Those that are wrong first, if there are more than fit.
    let wrong = epochs.iter().filter(|epoch| !epoch.exact);
    let mut shown: Vec<&EpochAudit> = wrong.chain(epochs.iter().filter(|epoch| epoch.exact)).take(SHOWN).collect();
    shown.sort_by_key(|epoch| epoch.epoch);
    let left = epochs.len() - shown.len();
    let headers = ["EPOCH", "STEPS", "TAKEN", "PLANNED", "GENERATIONS", "DIGEST OF THE ROWS", "VERDICT"];
    text += &table(headers, shown.into_iter().map(row));
    if left > 0 {
        text += &format!("\nand {left} more; `-o json` has all of them");
    }
    for finding in findings {
        text += &format!("\n{}: {}", finding.kind, finding.message);
    }
    let verdict = match (audit.exact, audit.steps) {
        (true, _) => "exact: the weights have seen each sample of the plan once in each epoch, and nothing else",
        (false, None) => "not finished",
        (false, Some(_)) => "NOT exact",
    };
    text + "\n" + verdict
}
