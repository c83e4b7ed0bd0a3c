//! `cargo xtask chaos`: a pre-training of real processes under faults, beside one that nothing happens to.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::bench::{Output, Table, built, number, short};
use crate::setup;

/// Steps a second of four trainers on two cores, about: how long a run takes is asked for in minutes.
const STEPS_PER_SECOND: u64 = 25;
const STEPS_PER_EPOCH: u64 = 6;

/// What the run may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What the faults are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the run under faults is to take, about
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Trainers, each on a node of its own
    #[arg(long, default_value_t = 4)]
    trainers: u32,
    /// Seconds from one fault to the next, on average
    #[arg(long, default_value_t = 10.0)]
    gap: f64,
    /// As a table or as JSON
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Builds in release, runs both, and prints what came of it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let ready = setup::run()?;
    let what = ["--workspace", "--bin", "vismae", "--bin", "vismae-worker", "--bench", "chaos_report"];
    let [chaos, ..] = built(&ready, &what, ["chaos_report", "vismae", "vismae-worker"])?;
    let folder = chaos.with_file_name(format!("chaos-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let epochs = options.minutes * 60 * STEPS_PER_SECOND / STEPS_PER_EPOCH;
    eprintln!("{epochs} epochs without faults, then under them; logs are in {}", folder.display());
    let mut command = Command::new(&chaos);
    command.args(["--seed", &options.seed.to_string(), "--epochs", &epochs.to_string(), "--folder"]).arg(&folder);
    command.args(["--trainers", &options.trainers.to_string(), "--gap", &options.gap.to_string()]);
    let output = command.stderr(Stdio::inherit()).output().context("the run cannot be started")?;
    if !output.status.success() {
        bail!("the run failed ({}); its own words are above, logs in `{}`", output.status, folder.display());
    }
    let report: Value = serde_json::from_slice(&output.stdout).context("the run's answer is no JSON")?;
    fs::remove_dir_all(&folder)?;
    match options.output {
        Output::Json => println!("{report:#}"),
        Output::Table => println!("{}", shown(&report)?),
    }
    Ok(())
}

fn shown(report: &Value) -> Result<String> {
    let mut table = Table::new(&["fault", "times", "median, s", "p95, s", "longest, s"]);
    for cost in report["faults"].as_array().context("the run names no faults")? {
        let name = cost["fault"].as_str().unwrap_or_default().replace('_', " ");
        let figures = ["median", "p95", "max"].map(|figure| number(cost, figure).map(short));
        let mut row = vec![name, cost["times"].to_string()];
        row.extend(figures.into_iter().collect::<Result<Vec<_>>>()?);
        table.row(row);
    }
    let figure = |name: &str| number(report, name);
    Ok(format!(
        "{table}\n{} steps by {} groups of ranks; {:.1} s without faults, {:.1} s under them: {:.1} % of the speed kept\n\
         audit: {}; losses differ by {:.1e} at most, weights by {:.1e}",
        figure("steps")?,
        figure("groups")?,
        figure("calm_seconds")?,
        figure("wild_seconds")?,
        figure("throughput_kept")? * 100.0,
        if report["is_exact"] == true { "exact" } else { "NOT exact" },
        figure("loss_distance")?,
        figure("weights_distance")?,
    ))
}
