//! `cargo xtask bench`: figures of this checkout beside those of others, measured in one run.

mod contender;
mod corpus;
mod figures;
mod peers;
mod table;

use anyhow::Result;
use clap::Subcommand;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Reading, writing and ingesting images, and the order of an epoch
    Corpus(corpus::Options),
}

/// Measures, and prints what came of it.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Corpus(options) => corpus::run(options),
    }
}
