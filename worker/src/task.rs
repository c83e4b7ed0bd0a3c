//! A task process: one member of one attempt at a job, told what to do over standard input.
//!
//! The main thread computes; a second one listens to the agent, so that a task that waits for a peer can still be told
//! to stop; a small async runtime reads and writes the object store.

mod activity;
mod artefacts;
mod batch;
mod bookkeeper;
mod checkpoint;
mod classify;
mod control;
mod data;
mod error;
mod finetune;
mod group;
mod ingest;
mod network;
mod pace;
mod pretrain;
mod progress;
mod rank;
mod reconstruct;
mod replica;
mod reporter;
mod segment;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use vismae_core::ids::TaskId;
use vismae_core::spec::{FinetuneTask, JobKind};
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{Failed, Stopped, Succeeded};
use vismae_shards::loader::NodeCache;
use vismae_shards::runs::RunNumber;
use vismae_shards::store::Store;

use crate::agent::SlotDevice;
use crate::cache::CacheOptions;
use activity::Activity;
use control::Control;
use error::TaskError;
use reporter::Reporter;

/// Command line of `vismae-worker task`.
#[derive(Debug, clap::Args)]
pub(crate) struct TaskOptions {
    /// CPU threads it computes with.
    #[arg(long, default_value_t = NonZeroUsize::MIN)]
    threads: NonZeroUsize,
    /// Address of this node on which it meets its gang.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    #[command(flatten)]
    cache: CacheOptions,
}

/// Everything a task knows about itself.
struct TaskContext {
    id: TaskId,
    /// Tells the run apart from earlier ones of its name.
    run: RunNumber,
    /// Members of the attempt.
    gang_size: u32,
    device: SlotDevice,
    threads: NonZeroUsize,
    host: IpAddr,
    store: Store,
    /// Of the node; none for a task that reads no corpus.
    cache: Option<NodeCache>,
    reporter: Reporter,
    activity: Activity,
    control: Control,
    runtime: tokio::runtime::Runtime,
}

/// How a task ends when nothing is wrong.
enum Outcome {
    /// With final figures by name.
    Succeeded(BTreeMap<String, f64>),
    /// Because it was told to stop.
    Stopped,
}

/// Runs the task that the agent names, and reports how it ended.
pub(crate) fn run(options: &TaskOptions) -> ExitCode {
    vismae_c10d::allocator::keep_memory();
    vismae_c10d::threads::set(options.threads);
    let reporter = Reporter::stdout();
    let activity = Activity::new();
    reporter.keep_a_pulse(&activity);
    let (event, code) = match prepare(options, &reporter, activity).and_then(|(context, kind)| execute(&context, &kind))
    {
        Ok(Outcome::Succeeded(figures)) => {
            (Event::Succeeded(Succeeded { figures: figures.into_iter().collect() }), ExitCode::SUCCESS)
        }
        Ok(Outcome::Stopped) => (Event::Stopped(Stopped {}), ExitCode::SUCCESS),
        Err(error) => {
            tracing::error!(cause = ?error.cause(), "{error}");
            let failed = Failed { cause: error.cause().into(), message: error.to_string() };
            (Event::Failed(failed), ExitCode::FAILURE)
        }
    };
    reporter.send(event);
    code
}

/// Reads the first command and opens what it names.
fn prepare(
    options: &TaskOptions,
    reporter: &Reporter,
    activity: Activity,
) -> Result<(TaskContext, JobKind), TaskError> {
    let (control, id, start) = Control::listen()?;
    let job = start.job.ok_or_else(|| TaskError::input("the start command names no job"))?;
    let job =
        vismae_proto::convert::job_from_wire(&job).map_err(|violations| TaskError::input(violations.to_string()))?;
    let device = start.device.parse().map_err(|error| TaskError::input(format!("{error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| TaskError::environment(format!("no async runtime: {error}")))?;
    let store = Store::open(&start.store_url).map_err(|error| TaskError::input(error.to_string()))?;
    let cache = if matches!(job.kind, JobKind::Ingest(_)) { None } else { options.cache.open() };
    let context = TaskContext {
        id,
        run: RunNumber(start.run_number),
        gang_size: start.gang_size,
        device,
        threads: options.threads,
        host: options.host,
        store,
        cache,
        reporter: reporter.clone(),
        activity,
        control,
        runtime,
    };
    Ok((context, job.kind))
}

fn execute(context: &TaskContext, kind: &JobKind) -> Result<Outcome, TaskError> {
    tracing::info!(task = %context.id, device = %context.device, threads = context.threads, "task begins");
    match kind {
        JobKind::Ingest(spec) => ingest::run(context, spec),
        JobKind::Pretrain(spec) => pretrain::run(context, spec),
        JobKind::Finetune(spec) => {
            artefacts::retract_results(context)?;
            match spec.task {
                FinetuneTask::Classify => classify::run(context, spec),
                FinetuneTask::Segment => segment::run(context, spec),
            }
        }
    }
}
