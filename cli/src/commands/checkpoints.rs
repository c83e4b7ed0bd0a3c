//! `vismae checkpoints`: what a run has kept in its store, whether it is whole, and what can go.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde::Serialize;
use vismae_core::ids::{Generation, JobId};
use vismae_shards::runs::{
    Damage, Kept, Ledger, Retention, RunNumber, RunPaths, committed, orphans, remove, surplus, verify,
};
use vismae_shards::store::Store;

use super::StoreAddress;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::output::{Format, figure, table};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    at: StoreAddress,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the checkpoints of a pre-training, the latest last
    List {
        /// Pre-training, as PIPELINE.JOB
        #[arg(value_parser = super::job_id)]
        run: JobId,
    },
    /// Read every file of its checkpoints and compare it with the commit; exit code 1 when any differs
    Verify {
        /// Pre-training, as PIPELINE.JOB
        #[arg(value_parser = super::job_id)]
        run: JobId,
    },
    /// Remove checkpoints that are not to be kept, and what uploads have left that were never finished
    Gc {
        /// Pre-training, as PIPELINE.JOB
        #[arg(value_parser = super::job_id)]
        run: JobId,
        /// So many of the latest stay
        #[arg(long, default_value_t = 3)]
        latest: u32,
        /// So many of those with the lowest loss stay
        #[arg(long, default_value_t = 0)]
        best: u32,
        /// Those stay that are not older, as `12h`
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        younger_than: Option<Duration>,
        /// Instead of all that, those go that are damaged, all of them: a run with none left begins anew
        #[arg(long, conflicts_with_all = ["latest", "best", "younger_than"])]
        damaged: bool,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Serialize)]
struct CheckpointView {
    step: u64,
    generation: u64,
    at: String,
    loss: Option<f64>,
    parts: usize,
    bytes: u64,
    folder: String,
    /// After `verify`: nothing where it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    damages: Option<Vec<Damage>>,
}

#[derive(Debug, Serialize)]
struct GcView {
    dry_run: bool,
    retired: Vec<String>,
    orphans: Vec<String>,
}

/// A run and what its ledger says.
struct Run {
    store: Store,
    paths: RunPaths,
    number: RunNumber,
    ledger: Ledger,
}

impl Run {
    async fn open(store: Store, job: &JobId) -> Result<Self, Failure> {
        let paths = RunPaths::new(&job.to_string());
        let Some(number) = Ledger::runs(&store, &paths).await.or_fail(Exit::WorkFailed)?.pop() else {
            let message = format!(
                "`{}` in `{}` has no ledger: no pre-training of that name has begun",
                paths.folder(),
                store.url()
            );
            return Err(Failure::new(Exit::Usage, message));
        };
        let ledger = Ledger::open(&store, &paths, number).await.or_fail(Exit::WorkFailed)?;
        Ok(Self { store, paths, number, ledger })
    }
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let store = options.at.open()?;
    match options.what {
        What::List { run } => {
            let run = Run::open(store, &run).await?;
            let views: Vec<_> = committed(&run.ledger).iter().map(|kept| view(kept, None)).collect();
            format.result(&views, |views| show(views))
        }
        What::Verify { run } => {
            let run = Run::open(store, &run).await?;
            let mut views = Vec::new();
            for kept in committed(&run.ledger) {
                let damages = verify(&run.store, &kept.checkpoint).await.or_fail(Exit::WorkFailed)?;
                views.push(view(&kept, Some(damages)));
            }
            format.result(&views, |views| show(views))?;
            let is_whole = views.iter().all(|view| view.damages.as_ref().is_some_and(Vec::is_empty));
            if is_whole { Ok(()) } else { Err(Failure::silent(Exit::WorkFailed)) }
        }
        What::Gc { run, latest, best, younger_than, damaged, dry_run } => {
            let run = Run::open(store, &run).await?;
            let retention = Retention { latest: latest as usize, best: best as usize, younger_than };
            let going = if damaged { damaged_of(&run).await? } else { surplus_of(&run, retention).await? };
            let view = collect(run, going, dry_run).await?;
            format.result(&view, show_gc)
        }
    }
}

/// The folders of the checkpoints that are not what was committed.
async fn damaged_of(run: &Run) -> Result<Vec<String>, Failure> {
    let mut damaged = Vec::new();
    for Kept { checkpoint, .. } in committed(&run.ledger) {
        if !verify(&run.store, &checkpoint).await.or_fail(Exit::WorkFailed)?.is_empty() {
            damaged.push(checkpoint.folder);
        }
    }
    Ok(damaged)
}

/// The folders of those that no rule keeps, once the latest has been read back and is whole.
async fn surplus_of(run: &Run, retention: Retention) -> Result<Vec<String>, Failure> {
    let kept = committed(&run.ledger);
    let retired: Vec<String> =
        surplus(&kept, retention, SystemTime::now()).iter().map(|kept| kept.checkpoint.folder.clone()).collect();
    if let Some(latest) = kept.last().filter(|_| !retired.is_empty()) {
        let damages = verify(&run.store, &latest.checkpoint).await.or_fail(Exit::WorkFailed)?;
        if let Some(damage) = damages.first() {
            let step = latest.checkpoint.step;
            let message = format!("the latest checkpoint, of step {step}, is damaged ({damage}): nothing was removed");
            return Err(Failure::new(Exit::WorkFailed, message));
        }
    }
    Ok(retired)
}

/// Removes these, and what uploads have left.
async fn collect(mut run: Run, retired: Vec<String>, dry_run: bool) -> Result<GcView, Failure> {
    let newest = run.ledger.records().iter().map(|record| record.generation).max().unwrap_or(0);
    if !dry_run {
        let writer = (Generation(newest), "vismae checkpoints gc");
        remove(&run.store, &mut run.ledger, writer, retired.clone()).await.or_fail(Exit::WorkFailed)?;
    }
    let orphans = orphans(&run.store, &run.paths, run.number, &run.ledger).await.or_fail(Exit::WorkFailed)?;
    if !dry_run {
        for folder in &orphans {
            run.store.remove_folder(folder).await.or_fail(Exit::WorkFailed)?;
        }
    }
    Ok(GcView { dry_run, retired, orphans })
}

fn view(kept: &Kept, damages: Option<Vec<Damage>>) -> CheckpointView {
    let checkpoint = &kept.checkpoint;
    CheckpointView {
        step: checkpoint.step,
        generation: kept.generation.0,
        at: kept.at.clone(),
        loss: checkpoint.loss,
        parts: checkpoint.parts.len(),
        bytes: checkpoint.bytes(),
        folder: checkpoint.folder.clone(),
        damages,
    }
}

fn show(views: &[CheckpointView]) -> String {
    if views.is_empty() {
        return "no checkpoint has been committed, or none is kept any more".to_owned();
    }
    let row = |view: &CheckpointView| {
        let state = match view.damages.as_deref() {
            None => String::new(),
            Some([]) => "whole".to_owned(),
            Some([first, rest @ ..]) => {
                let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
                let name = PathBuf::from(&first.path);
                let name = name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                format!("DAMAGED: {name} {}{more}", first.message)
            }
        };
        [
            view.step.to_string(),
            view.generation.to_string(),
            view.at.clone(),
            view.loss.map(figure).unwrap_or_default(),
            view.parts.to_string(),
            format!("{:.1} MB", view.bytes as f64 / 1e6),
            state,
        ]
    };
    table(["STEP", "GENERATION", "AT", "LOSS", "PARTS", "SIZE", ""], views.iter().map(row))
}

fn show_gc(view: &GcView) -> String {
    let verb = if view.dry_run { "would remove" } else { "removed" };
    let mut text = format!(
        "{verb} {} checkpoints, and {} uploads that were never committed",
        view.retired.len(),
        view.orphans.len()
    );
    for folder in view.retired.iter().chain(&view.orphans) {
        text += &format!("\n  {folder}");
    }
    text
}
