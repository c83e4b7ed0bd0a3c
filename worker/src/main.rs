//! `vismae-worker`: the agent of a node, and the task processes it starts.
#![forbid(unsafe_code)]

mod agent;
mod cache;
mod task;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use vismae_shards::decode::UNLOGGED;

/// Offers this node's devices to a vismae coordinator.
#[derive(Debug, Parser)]
#[command(name = "vismae-worker", version)]
enum Command {
    /// Offers slots to a coordinator and runs what it places in them.
    Agent(agent::AgentOptions),
    /// Runs one task, told by its agent over standard input; not for people.
    #[command(hide = true)]
    Task(task::TaskOptions),
}

fn main() -> ExitCode {
    let command = Command::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let unlogged = UNLOGGED.iter().filter_map(|target| format!("{target}=off").parse().ok());
    let filter = unlogged.fold(filter, EnvFilter::add_directive);
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .init();
    match command {
        Command::Task(options) => task::run(&options),
        Command::Agent(options) => match serve(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

#[tokio::main]
async fn serve(options: agent::AgentOptions) -> anyhow::Result<()> {
    agent::run(options).await
}
