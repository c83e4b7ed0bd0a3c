//! `cargo xtask bench`: figures of this checkout beside those of others, measured in one run.

mod contender;
mod coordinator;
mod corpus;
mod figures;
mod peers;
mod table;
mod training;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::{Subcommand, ValueEnum};
use serde_json::Value;

pub(crate) use figures::{Bar, Figure, Spread, all_met, number, short};
pub(crate) use peers::torch;
pub(crate) use table::Table;

use crate::cargo;
use crate::setup::Ready;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Reading, writing and ingesting images, and the order of an epoch
    Corpus(corpus::Options),
    /// What a coordinator holds, and how quickly it answers
    Coordinator(coordinator::Options),
    /// How long a training stands still for a checkpoint
    Checkpoint(training::CheckpointOptions),
    /// What of a step is neither data nor training
    Protocol(training::ProtocolOptions),
}

/// How figures are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

/// Measures, and prints what came of it.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Corpus(options) => corpus::run(options),
        Bench::Coordinator(options) => coordinator::run(options),
        Bench::Checkpoint(options) => training::checkpoint(options),
        Bench::Protocol(options) => training::protocol(options),
    }
}

/// Builds programs in release, by one call of cargo: for each by itself the dependencies that they share would be built anew, with other
/// features. Gives their paths, in the order of the names.
pub(crate) fn built<const N: usize>(ready: &Ready, what: &[&str], names: [&str; N]) -> Result<[PathBuf; N]> {
    let arguments = [&["build", "--release", "--locked"], what].concat();
    let mut command = cargo::command(ready, &arguments);
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    eprintln!("building {} in release", names.join(", "));
    let output = command.output().context("`cargo build` cannot be started")?;
    if !output.status.success() {
        bail!("`cargo {}` failed ({})", arguments.join(" "), output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let program = |name: &str| {
        let ours = messages.iter().filter(|message| message["target"]["name"] == name);
        ours.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back()
    };
    let found: Vec<PathBuf> = names.iter().filter_map(|name| program(name)).collect();
    found.try_into().map_err(|_| anyhow::anyhow!("`cargo build` did not make all of {}", names.join(", ")))
}

/// Runs a command to its end; gives its one line of answer.
pub(crate) fn once(mut command: Command) -> Result<Value> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("`{program}` cannot be started"))?;
    if !output.status.success() {
        bail!("`{program}` failed ({}); its own words are above", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim()).with_context(|| format!("`{program}` answered `{}`, expected JSON", text.trim()))
}
