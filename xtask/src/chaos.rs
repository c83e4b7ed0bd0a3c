//! `cargo xtask chaos`: pre-trainings of real processes under faults, beside ones that nothing happens to; or, with `--soak`, under slowness
//! that nobody is to take for a fault.

mod bars;
mod peer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::bench::{Figure, Output, Spread, Table, all_met, built, number, short};
use crate::setup::Ready;
use crate::{clients, setup};
use bars::{of_chaos, of_soak, seconds, share};

/// How often the peer loses a worker.
const KILLS: u32 = 5;

/// What the run may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What the faults are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the runs under faults are to take together, about [default: 10, of a soak 5]
    #[arg(long)]
    minutes: Option<u64>,
    /// Trainers, each on a node of its own
    #[arg(long, default_value_t = 4)]
    trainers: u8,
    /// Seconds from one fault to the next, on average
    #[arg(long, default_value_t = 10.0)]
    gap: f64,
    /// Slow and healthy workers in place of faults: nobody is to be given up
    #[arg(long)]
    soak: bool,
    /// As a table or as JSON
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Builds in release, runs, and prints what came of it. A bar that is missed is an error.
pub(crate) fn run(options: &Options) -> Result<()> {
    let ready = setup::run()?;
    let what = ["--workspace", "--bin", "vismae", "--bin", "vismae-worker", "--bench", "chaos_report"];
    let [chaos, ..] = built(&ready, &what, ["chaos_report", "vismae", "vismae-worker"])?;
    let folder = chaos.with_file_name(format!("chaos-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let mut report = report(&ready, options, (&chaos, &folder))?;
    let figures = match options.soak {
        true => of_soak(&report["soak"])?,
        false => {
            report["peer"] = peer::measure(&ready, options.trainers, KILLS)?;
            of_chaos(&report["runs"])?
        }
    };
    report["bars"] = Figure::list(&figures);
    match options.output {
        Output::Json => println!("{report:#}"),
        Output::Table => {
            let text = if options.soak { soaked(&report)? } else { shown(&report)? };
            println!("{text}{}\n\n{}", left_out(&report)?, Figure::table(&figures));
        }
    }
    all_met(&report["bars"]).with_context(|| format!("logs are in `{}`", folder.display()))?;
    fs::remove_dir_all(&folder).context("what the runs left can't be removed")
}

/// Runs the trainings, in namespaces of their own where that is possible.
fn report(ready: &Ready, options: &Options, (chaos, folder): (&Path, &PathBuf)) -> Result<Value> {
    let apart = apart();
    let mut command = match apart {
        Some(unshare) => {
            let mut command = Command::new(unshare[0]);
            command.args(&unshare[1..]).arg(chaos).arg("--apart");
            command
        }
        None => Command::new(chaos),
    };
    match clients::install(&ready.places) {
        Ok(clients) => drop(command.env("VISMAE_TEST_CLIENTS", clients)),
        Err(error) => eprintln!("there is no S3 server to run with: {error:#}"),
    }
    command.args(["--seed", &options.seed.to_string(), "--trainers", &options.trainers.to_string(), "--folder"]);
    command.arg(folder);
    let minutes = options.minutes.unwrap_or(if options.soak { 5 } else { 10 });
    command.args(["--seconds", &(minutes * 60).to_string()]);
    match options.soak {
        true => command.arg("--soak"),
        false => command.args(["--gap", &options.gap.to_string()]),
    };
    eprintln!("{minutes} minutes, and what they are compared with; logs are in {}", folder.display());
    let output = command.stderr(Stdio::inherit()).output().context("the run cannot be started")?;
    if !output.status.success() {
        bail!("the run failed ({}); its own words are above, logs in `{}`", output.status, folder.display());
    }
    serde_json::from_slice(&output.stdout).context("the run's answer is no JSON")
}

/// What starts a program with a network and mounts of its own, in which it may do as it likes: as root, or where users may have
/// namespaces. None where neither is allowed.
fn apart() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] =
        [&["unshare", "--net", "--mount"], &["unshare", "--user", "--map-root-user", "--net", "--mount"]];
    let works = |way: &&&[&str]| {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).arg("true").stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    WAYS.iter().find(works).copied()
}

fn list<'v>(value: &'v Value, name: &str) -> Result<&'v Vec<Value>> {
    value[name].as_array().with_context(|| format!("the answer names no {name}"))
}

/// The tables of runs under faults.
fn shown(report: &Value) -> Result<String> {
    let runs = list(report, "runs")?;
    let mut kinds: Vec<(&str, Vec<f64>, f64)> = Vec::new();
    for run in runs {
        for cost in list(run, "faults")? {
            let (name, spared) = (cost["fault"].as_str().unwrap_or_default(), number(cost, "spared")?);
            match kinds.iter_mut().find(|(kind, ..)| *kind == name) {
                Some((_, all, more)) => {
                    all.extend(seconds(cost));
                    *more += spared;
                }
                None => kinds.push((name, seconds(cost).collect(), spared)),
            }
        }
    }
    let mut table = Table::new(&["fault", "times", "hit no rank", "median, s", "p95, s", "longest, s"]);
    for (name, mut all, spared) in kinds {
        all.sort_by(f64::total_cmp);
        let figures = [0.5, 0.95, 1.0].map(|part| short(share(&all, part)));
        let counts = [(all.len() as f64 + spared).to_string(), spared.to_string()];
        table.row([vec![name.replace('_', " ")], counts.to_vec(), figures.to_vec()].concat());
    }
    let mut text = table.to_string();
    for run in runs {
        let figure = |name: &str| number(run, name);
        text += &format!(
            "\n{}: {} steps by {} groups of ranks, {} begun twice, {} checkpoints read; {:.1} s without faults, {:.1} s under them: {:.1} % of \
             the speed kept; audit {}; losses differ by {:.1e} at most, weights by {:.1e}",
            run["store"].as_str().unwrap_or_default(),
            figure("steps")?,
            figure("groups")?,
            figure("steps_repeated")?,
            figure("restores")?,
            figure("calm_seconds")?,
            figure("wild_seconds")?,
            figure("calm_seconds")? / figure("wild_seconds")? * 100.0,
            if run["is_exact"] == true { "exact" } else { "NOT exact" },
            figure("loss_distance")?,
            figure("weights_distance")?,
        );
    }
    let peer: Vec<f64> = seconds(&report["peer"]).collect();
    let ours = bars::trainers_killed(&report["runs"])?;
    if !peer.is_empty() && !ours.is_empty() {
        let (peer, ours) = (Spread::of(peer)?, Spread::of(ours)?);
        text += &format!(
            "\nkill of a worker to the next step: vismae {ours} s, torchrun {peer} s, {} times as long",
            short(peer.median / ours.median)
        );
    }
    Ok(text)
}

/// The figures of a soak.
fn soaked(report: &Value) -> Result<String> {
    let soak = &report["soak"];
    let counts = |name: &str| {
        let counts = soak[name].as_object().into_iter().flatten().filter(|(_, count)| **count != 0);
        counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "{:.0} s in a {}, with {} processes beside that take every core: {} trainings of {} steps; stood still: {} times, {:.1} s at most; \
         {} requests to the store slow or failed; {} times no pulse of a task was heard for too long\ngroups of ranks: {}",
        number(soak, "seconds")?,
        soak["store"].as_str().unwrap_or_default(),
        number(soak, "loads")?,
        number(soak, "runs")?,
        number(soak, "steps")?,
        counts("pauses"),
        number(soak, "longest")?,
        number(soak, "slow_requests")?,
        number(soak, "silences")?,
        counts("groups"),
    );
    Ok(text)
}

fn left_out(report: &Value) -> Result<String> {
    let line = |left: &Value| {
        let word = |name: &str| left[name].as_str().unwrap_or_default().to_owned();
        format!("\nleft out: {} ({})", word("what"), word("why"))
    };
    Ok(list(report, "left_out")?.iter().map(line).collect())
}
