//! The `vismae` binary: reads the command line, and turns the end of a command into an exit code.

#![forbid(unsafe_code)]

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;
use vismae_cli::{Cli, Exit};
use vismae_shards::decode::UNLOGGED;

#[tokio::main]
async fn main() -> ExitCode {
    let command = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(command.log_filter()));
    let unlogged = UNLOGGED.iter().filter_map(|target| format!("{target}=off").parse().ok());
    let filter = unlogged.fold(filter, EnvFilter::add_directive);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let format = command.format();
    match command.run().await {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            failure.tell(format);
            failure.exit().into()
        }
    }
}
