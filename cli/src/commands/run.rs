//! `vismae run`: a whole pipeline in one tree of processes on this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use vismae_coordinator::server::Config;
use vismae_core::spec::PipelineSpec;
use vismae_proto::v1::Pipeline;
use vismae_shards::store::Store;

use super::{JobFile, LocalWorkers, local_folder};
use vismae_proto::client::{Bearer, Trust};

use crate::client::Coordinator;
use crate::cluster::Cluster;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::interrupts::Interrupts;
use crate::jobfile;
use crate::output::Format;
use crate::progress::Display;
use crate::report;
use crate::tables;
use crate::views::PipelineView;
use crate::watching::{Watch, verdict};

/// How long a cancelled pipeline may take to stop.
const CANCEL_GRACE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    job: JobFile,
    /// How many workers train
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// CPU threads of each worker [default: the cores divided by the workers]
    #[arg(long)]
    threads: Option<u32>,
}

#[derive(Debug, Serialize)]
struct RunView {
    pipeline: PipelineView,
    /// Absent when nothing came of the pipeline.
    report: Option<String>,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let spec = jobfile::load(&options.job.file, &options.job.overrides(true))?;
    check_slots(&spec, options.workers)?;
    let store = Store::open(&spec.store_url).or_fail(Exit::Usage)?;
    let workers = LocalWorkers { count: options.workers, threads: options.threads, logs: logs(&store) }.settings()?;

    let mut interrupts = Interrupts::listen()?;
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut cluster = Cluster::start(Config::new(any_port), None, None).await?;
    cluster.add_workers(&workers)?;
    let mut display = Display::new(format);
    let outcome = follow(&mut cluster, &spec, &mut display, &mut interrupts).await;
    drop(display);
    let stopped = cluster.stop(&mut interrupts).await;
    let pipeline = outcome?;
    stopped?;

    let report = write_report(&store, &pipeline, format).await?;
    let view = RunView { pipeline: PipelineView::from(&pipeline), report };
    format.result(&view, |view| {
        let report = view.report.as_ref().map(|report| format!("\n\nreport: {report}")).unwrap_or_default();
        format!("{}{report}", tables::results(&view.pipeline))
    })?;
    verdict(&pipeline)
}

/// A gang larger than the cluster would wait for ever.
fn check_slots(spec: &PipelineSpec, workers: u32) -> Result<(), Failure> {
    match spec.jobs.iter().find(|job| job.kind.demand().at_least() > workers) {
        None => Ok(()),
        Some(job) => {
            let (name, slots) = (&job.name, job.kind.demand().at_least());
            let message = format!("job `{name}` needs {slots} slots, but there are {workers} workers of one slot each");
            Err(Failure::new(Exit::Usage, message)
                .hint(format!("use `--workers {slots}`, or lower `slots` in the job file")))
        }
    }
}

/// Where the workers' logs go: beside the work when that is a folder.
fn logs(store: &Store) -> PathBuf {
    let base = local_folder(store.url())
        .unwrap_or_else(|| std::env::temp_dir().join(format!("vismae-{}", std::process::id())));
    base.join("logs")
}

/// Submits the pipeline and shows its progress until it is over, cancelled by a signal, or beyond help.
async fn follow(
    cluster: &mut Cluster,
    spec: &PipelineSpec,
    display: &mut Display,
    interrupts: &mut Interrupts,
) -> Result<Pipeline, Failure> {
    let mut coordinator = Coordinator::connect(&cluster.url(), &Trust::default(), Bearer::default()).await?;
    let name = coordinator.submit(spec, false).await?.name;
    let mut watch = Watch::start(&coordinator, &name).await?;
    let mut give_up: Option<Instant> = None;
    loop {
        let patience = async {
            match give_up {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = watch.finish(display) => return ended,
            failure = cluster.failed() => return Err(failure),
            () = patience => return Err(Failure::new(Exit::Interrupted, "the pipeline did not stop in time")),
            () = interrupts.next() => {
                if give_up.is_some() {
                    cluster.kill_workers();
                    return Err(Failure::silent(Exit::Interrupted));
                }
                display.say("stopping at the next step; once more stops at once");
                give_up = Some(Instant::now() + CANCEL_GRACE);
                // Refused when the pipeline has just ended: the watch then says how.
                let _ = coordinator.cancel(&name, "").await;
            }
        }
    }
}

/// Writes the report of what there is to report: a pipeline that failed late has results too.
async fn write_report(store: &Store, pipeline: &Pipeline, format: Format) -> Result<Option<String>, Failure> {
    let jobs: Vec<String> =
        pipeline.jobs.iter().filter(|job| job.kind != "ingest").map(|job| job.name.clone()).collect();
    match report::write(store, &pipeline.name, &jobs).await {
        Ok(location) => Ok(Some(location.to_string())),
        // The pipeline's own failure is what matters then, and it is told after this.
        Err(error) if verdict(pipeline).is_err() => {
            format.remark(&format!("no report: {error}"));
            Ok(None)
        }
        Err(error) => Err(Failure::new(Exit::WorkFailed, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_gang_larger_than_the_cluster_is_refused() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo.toml");
        let spec = jobfile::load(&demo, &jobfile::Overrides::default()).unwrap();
        assert!(check_slots(&spec, 2).is_ok());
        assert_eq!(check_slots(&spec, 1).unwrap_err().exit(), Exit::Usage);
    }
}
