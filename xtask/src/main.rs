//! The developer's one entry: `cargo xtask setup | demo | test | bench | chaos | protocol | doctor`.
//!
//! It depends on no crate of this workspace, so that it builds in seconds and before libtorch is there.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool talks to its terminal")]

mod bench;
mod cargo;
mod chaos;
mod clients;
mod demo;
mod doctor;
mod libtorch;
mod pip;
mod places;
mod protocol;
mod settings;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks for people who build vismae from its sources.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Fetches libtorch into a cache that every checkout shares, and tells cargo where it lies
    Setup,
    /// Builds in release and runs the whole pipeline on this machine, up to a report to look at
    Demo(demo::Options),
    /// Checks formatting and lints, and runs every test
    Test,
    /// Measures this checkout beside other programs, in one run
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Trains under faults and without, and says what that costs
    Chaos(chaos::Options),
    /// Takes the protocol as it is now for released: tests refuse what would break it
    Protocol,
    /// Says what is installed, what is missing and how to get it
    Doctor,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup => setup::run().map(|_| ExitCode::SUCCESS),
        Task::Demo(options) => demo::run(&options).map(|()| ExitCode::SUCCESS),
        Task::Test => test::run(),
        Task::Bench(bench) => bench::run(&bench).map(|()| ExitCode::SUCCESS),
        Task::Chaos(options) => chaos::run(&options).map(|()| ExitCode::SUCCESS),
        Task::Protocol => protocol::release().map(|()| ExitCode::SUCCESS),
        Task::Doctor => doctor::run(),
    };
    outcome.unwrap_or_else(|error| {
        // `{:#}` is the whole chain, once.
        println!("error: {error:#}");
        ExitCode::FAILURE
    })
}
