//! The command line: one file for each command, and what several of them share.

mod address;
mod audit;
mod cancel;
mod certs;
mod checkpoints;
mod completions;
mod corpora;
mod drain;
mod explain;
mod ingest;
mod jobs;
mod logs;
mod namespaces;
mod phantom;
mod report;
mod resume;
mod run;
mod submit;
mod suspend;
mod tokens;
mod up;
mod watch;
mod workers;

use std::path::{Path, PathBuf};
use std::thread;

use clap::{Args, Parser, Subcommand};
use url::Url;
use vismae_core::ids::JobId;
use vismae_shards::store::Store;

use crate::cluster::{WORKER_HINT, WorkerPlan, worker_binary};
use crate::failure::{EXIT_CODES, Exit, Failure, OrFail as _};
use crate::jobfile::{Overrides, locate_store};
use crate::output::Format;
use address::CoordinatorAddress;

/// Trains medical-imaging foundation models: files to shards, pre-training on many workers, fine-tuning, a report.
#[derive(Debug, Parser)]
#[command(name = "vismae", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Form of the results on standard output, and of an error on standard error
    #[arg(short = 'o', long = "output", global = true, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole pipeline on this machine: coordinator, workers, report
    Run(run::Options),
    /// Write a small five-modality corpus of phantoms in real file formats
    Phantom(phantom::Options),
    /// Turn folders and CSV manifests of images into a corpus
    Ingest(ingest::Options),
    /// List the corpora of a store, or show one
    Corpora(corpora::Options),
    /// Write the report of a pipeline again
    Report(report::Options),
    /// Show whether a pre-training took exactly the samples of its plan, each once an epoch; exit code 1 when not
    Audit(audit::Options),
    /// List, verify or remove the checkpoints of a pre-training
    Checkpoints(checkpoints::Options),
    /// Run a coordinator, with workers if asked, until it is stopped
    Up(up::Options),
    /// Queue the pipeline of a job file
    Submit(submit::Options),
    /// List pipelines and their jobs
    Jobs(jobs::Options),
    /// Say why a job is where it is, and what would have to happen
    Explain(explain::Options),
    /// Follow a pipeline until it is over
    Watch(watch::Options),
    /// Show the log of a job
    Logs(logs::Options),
    /// Stop a pipeline at the next step boundary
    Cancel(cancel::Options),
    /// Stop what a pipeline runs at the next step boundary, until it is resumed
    Suspend(suspend::Options),
    /// Let a suspended pipeline go on
    Resume(resume::Options),
    /// List namespaces, and what each may use and uses; make, change or delete one
    Namespaces(namespaces::Options),
    /// List workers and what their slots run
    Workers(workers::Options),
    /// Let a worker leave, or work again: its tasks stop at their next step boundary, others take over, and it gets none until then
    Drain(drain::Options),
    /// Make certificates for a coordinator and its workers, signed by an authority of your own
    Certs(certs::Options),
    /// Make a token, and the entry that lets a coordinator know it
    Tokens(tokens::Options),
    /// Print what makes a shell complete these commands
    Completions(completions::Options),
}

impl Cli {
    /// What is logged when `RUST_LOG` does not say: a service tells what it does, a command only what is wrong.
    pub fn log_filter(&self) -> &'static str {
        if matches!(self.command, Command::Up(_)) { "info" } else { "warn" }
    }

    /// The form of what it says.
    pub fn format(&self) -> Format {
        self.output
    }

    /// Does what the command line says.
    ///
    /// # Errors
    /// [`Failure`], with the exit code of its kind.
    pub async fn run(self) -> Result<(), Failure> {
        let format = self.format();
        match self.command {
            Command::Run(options) => run::run(options, format).await,
            Command::Phantom(options) => phantom::run(options, format),
            Command::Ingest(options) => ingest::run(options, format).await,
            Command::Corpora(options) => corpora::run(options, format).await,
            Command::Report(options) => report::run(options, format).await,
            Command::Audit(options) => audit::run(options, format).await,
            Command::Checkpoints(options) => checkpoints::run(options, format).await,
            Command::Up(options) => up::run(options, format).await,
            Command::Submit(options) => submit::run(options, format).await,
            Command::Jobs(options) => jobs::run(options, format).await,
            Command::Explain(options) => explain::run(options, format).await,
            Command::Watch(options) => watch::run(options, format).await,
            Command::Logs(options) => logs::run(options, format).await,
            Command::Cancel(options) => cancel::run(options, format).await,
            Command::Suspend(options) => suspend::run(options, format).await,
            Command::Resume(options) => resume::run(options, format).await,
            Command::Namespaces(options) => namespaces::run(options, format).await,
            Command::Workers(options) => workers::run(options, format).await,
            Command::Drain(options) => drain::run(options, format).await,
            Command::Certs(options) => certs::run(&options, format),
            Command::Tokens(options) => tokens::run(&options, format),
            Command::Completions(options) => completions::run(&options, format),
        }
    }
}

fn job_id(name: &str) -> Result<JobId, String> {
    name.parse().map_err(|_| format!("`{name}` is no job, expected PIPELINE.JOB, as `demo.pretrain`"))
}

/// Which store a command reads, without a coordinator.
#[derive(Debug, Args)]
struct StoreAddress {
    /// Folder or URL of the store
    #[arg(long, value_name = "URL", env = "VISMAE_STORE", global = true)]
    store: Option<String>,
}

impl StoreAddress {
    /// Opens a store that is there: opening another would make an empty folder and find nothing in it.
    fn open(&self) -> Result<Store, Failure> {
        let Some(store) = &self.store else {
            return Err(Failure::new(Exit::Usage, "no store is named, expected `--store URL` or VISMAE_STORE"));
        };
        let url = locate_store(store, Path::new(""))
            .map_err(|message| Failure::new(Exit::Usage, format!("`--store` {message}")))?;
        match local_folder(&url) {
            Some(folder) if !folder.is_dir() => {
                Err(Failure::new(Exit::Usage, format!("store `{}` does not exist", folder.display())))
            }
            _ => Store::open(&url).or_fail(Exit::Usage),
        }
    }
}

/// The folder of a store that is one.
fn local_folder(store_url: &str) -> Option<PathBuf> {
    Url::parse(store_url).ok().filter(|url| url.scheme() == "file")?.to_file_path().ok()
}

/// Workers that belong to this command.
#[derive(Debug)]
struct LocalWorkers {
    count: u32,
    /// CPU threads of each; the cores are shared out when absent.
    threads: Option<u32>,
    logs: PathBuf,
}

impl LocalWorkers {
    /// What to start, once the worker's program is known to be there.
    fn settings(self) -> Result<WorkerPlan, Failure> {
        let binary = worker_binary().map_err(|error| Failure::new(Exit::Usage, error).hint(WORKER_HINT))?;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let share = u32::try_from(cores).unwrap_or(u32::MAX) / self.count.max(1);
        Ok(WorkerPlan { binary, count: self.count, threads: self.threads.unwrap_or(share).max(1), logs: self.logs })
    }
}

/// Which job file is read, and what replaces parts of it.
#[derive(Debug, Args)]
struct JobFile {
    /// Job file; `examples/demo.toml` explains every key
    file: PathBuf,
    /// Folder or object-store URL in place of the file's `store`
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Folder that relative `corpus.inputs` start at, in place of the file's own
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder or CSV manifest in place of all `corpus.inputs`; may be given again
    #[arg(long = "input", value_name = "PATH", conflicts_with = "data")]
    inputs: Vec<PathBuf>,
}

impl JobFile {
    fn overrides(&self, inputs_are_local: bool) -> Overrides {
        Overrides {
            store: self.store.clone(),
            data: self.data.clone(),
            inputs: self.inputs.clone(),
            priority: None,
            namespace: None,
            suspended: false,
            deadline: None,
            inputs_are_local,
        }
    }
}
