//! `cargo xtask chaos`: a pre-training under faults for as long as is asked for, and what it cost.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use vismae_tests::chaos::{Chaos, Fault, Report};

#[derive(Debug, Parser)]
struct Options {
    /// What the faults are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Passes over the corpus, of 6 steps each
    #[arg(long)]
    epochs: u32,
    /// Trainers
    #[arg(long)]
    trainers: u32,
    /// Seconds from one fault to the next, on average
    #[arg(long)]
    gap: f64,
    /// An empty folder
    #[arg(long)]
    folder: PathBuf,
    /// As `cargo bench` calls it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let Options { seed, epochs, trainers, gap, .. } = options;
    let chaos = Chaos { seed, epochs, trainers, gap: Duration::from_secs_f64(gap), kinds: Fault::ALL };
    let report = chaos.run(&options.folder);
    println!("{}", summary(&report));
}

/// One JSON document, with what is derived from the figures.
fn summary(report: &Report) -> serde_json::Value {
    let of = |cost: &vismae_tests::chaos::Cost| {
        serde_json::json!({
            "fault": cost.fault, "times": cost.seconds.len(), "median": cost.median(), "p95": cost.share(0.95),
            "max": cost.share(1.0), "is_seen_at_once": cost.fault.is_seen_at_once(),
        })
    };
    let mut value = serde_json::to_value(report).unwrap_or_default();
    value["faults"] = report.faults.iter().map(of).collect();
    value["throughput_kept"] = report.throughput_kept().into();
    value
}
