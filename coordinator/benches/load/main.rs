//! What `cargo xtask bench coordinator` loads a coordinator with: agents and users that speak the protocol over real connections. Each
//! command answers with one line of JSON.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "figures go to its output")]

mod agents;
mod churn;
mod decide;
mod finished;
mod identities;
mod jobs;
mod process;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use identities::Identities;

/// What may go wrong here ends the measurement with one message.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug, Parser)]
#[command(name = "load", about = "The load of `cargo xtask bench coordinator`")]
struct Arguments {
    /// URL of the coordinator
    #[arg(long, global = true, default_value = "http://127.0.0.1:7340")]
    url: String,
    /// Process of the coordinator, whose time and memory are told
    #[arg(long, global = true, default_value_t = 0)]
    process: u32,
    /// Given by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Agents that do nothing but say each second that they are alive
    Heartbeats {
        /// Agents, a connection each
        agents: usize,
        /// Seconds measured, once all are connected
        seconds: u64,
        /// Folder with an authority that `vismae certs` has made, which signs a certificate for each agent
        #[arg(long)]
        certificates: Option<PathBuf>,
    },
    /// Submissions one after the other on many connections, as fast as they are taken
    Admit {
        /// Pipelines of one job
        pipelines: usize,
    },
    /// Submissions at a steady rate
    Paced {
        /// Each second
        rate: u64,
        /// Seconds
        seconds: u64,
    },
    /// The core alone, in this process: the end of a task, and what is placed in its slot
    Decide {
        /// Busy workers of one slot
        workers: usize,
        /// Jobs that wait
        waiting: usize,
    },
    /// The core alone, in this process: pipelines that come and go over virtual time
    Churn {
        /// Seconds of virtual time
        seconds: u64,
        /// Pipelines each second
        rate: u64,
        /// Whether the next coordinator takes up what is left
        #[arg(long)]
        restart: bool,
    },
    /// Writes finished pipelines of one job into a state, as a coordinator leaves it that is killed
    Fill {
        /// The folder that `vismae up --state` gets
        state: PathBuf,
        /// How many
        pipelines: usize,
    },
    /// Asks for a finished pipeline until a coordinator answers
    Ask {
        /// Its name
        name: String,
    },
    /// Takes up a state in this process
    TakeUp {
        /// The folder that `vismae up --state` gets
        state: PathBuf,
    },
    /// Submissions that are carried out at once, beyond as many as are remembered
    Turnover {
        /// Pipelines of one job
        pipelines: usize,
        /// How many are remembered
        kept: usize,
    },
    /// From a submission to the start at an agent with a free slot
    Start {
        /// One after the other
        pipelines: usize,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { url, process, command, .. } = Arguments::parse();
    let outcome = match command {
        Command::Heartbeats { agents, seconds, certificates } => {
            let identities = certificates.map(Identities::open).transpose();
            let time = Duration::from_secs(seconds);
            match identities {
                Ok(identities) => agents::heartbeats((&url, identities.as_ref()), process, agents, time).await,
                Err(error) => Err(error),
            }
        }
        Command::Turnover { pipelines, kept } => jobs::turnover(&url, process, pipelines, kept).await,
        Command::Admit { pipelines } => jobs::admit(&url, process, pipelines).await,
        Command::Paced { rate, seconds } => jobs::paced(&url, rate, Duration::from_secs(seconds)).await,
        Command::Decide { workers, waiting } => decide::run(workers, waiting),
        Command::Churn { seconds, rate, restart } => churn::run(seconds, rate, restart),
        Command::Fill { state, pipelines } => finished::fill(&state, pipelines).await,
        Command::Ask { name } => finished::ask(&url, &name).await,
        Command::TakeUp { state } => finished::take_up(&state).await,
        Command::Start { pipelines } => jobs::start(&url, pipelines).await,
    };
    match outcome {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
