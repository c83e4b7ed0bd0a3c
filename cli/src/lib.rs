//! The `vismae` command: job files, the one-machine cluster, progress, results and reports.
//!
//! It talks to a coordinator over gRPC and to stores through `vismae-shards`, and never sees libtorch: training happens in
//! worker processes. The main types are [`Cli`], the command line, and [`jobfile`], which turns TOML into a pipeline.

#![forbid(unsafe_code)]

mod client;
mod cluster;
mod commands;
mod failure;
mod interrupts;
pub mod jobfile;
mod output;
mod progress;
mod reconnect;
pub mod report;
mod tables;
mod views;
mod watching;

pub use commands::Cli;
pub use failure::{Exit, Failure};
pub use output::Format;
