//! `cargo xtask bench checkpoint` and `bench protocol`: what a training pays for keeping what it comes to, and for the promise that its samples
//! are those of the plan.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::figures::{Bar, Spread, all_met, number};
use super::peers::Peers;
use super::table::Table;
use super::{Output, built, once};
use crate::setup::{self, Ready};

/// How long the loop may stand still for a checkpoint, in hundredths of a step.
const STALL: Bar = Bar::Below(5.0);
/// What of a step may be neither data nor training, in hundredths of it.
const OVERHEAD: Bar = Bar::Below(1.0);

/// What the measurement of checkpoints may be told.
#[derive(Debug, Args)]
pub(crate) struct CheckpointOptions {
    /// Images of a step: the fewer, the shorter a step, and the harder the bar
    #[arg(long, default_value_t = 16)]
    batch: u32,
    /// Steps from one checkpoint to the next
    #[arg(long, default_value_t = 20)]
    every: u32,
    /// Checkpoints of each contender
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// As a table or as JSON
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What the measurement of the protocol may be told.
#[derive(Debug, Args)]
pub(crate) struct ProtocolOptions {
    /// Images of a step
    #[arg(long, default_value_t = 64)]
    batch: u32,
    /// Steps of each training
    #[arg(long, default_value_t = 300)]
    steps: u64,
    /// Trainings with each number of ranks
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// As a table or as JSON
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// The built program, and where its trainings go.
struct Ground {
    bench: PathBuf,
    folder: PathBuf,
}

impl Ground {
    fn prepare(ready: &Ready, name: &str) -> Result<Self> {
        let what = ["--workspace", "--bin", "vismae", "--bin", "vismae-worker", "--bench", "training"];
        let [bench, ..] = built(ready, &what, ["training", "vismae", "vismae-worker"])?;
        let folder = bench.with_file_name(format!("bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
        Ok(Self { bench, folder })
    }

    fn measure(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.bench);
        command.args(arguments).arg("--folder").arg(&self.folder);
        once(command).with_context(|| format!("logs are in `{}`", self.folder.display()))
    }

    fn clear(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("`{}` cannot be removed", self.folder.display()))
    }
}

/// Trains the 224-pixel model with checkpoints, keeps the same tensors by PyTorch's own means, and compares how long each stands still.
pub(super) fn checkpoint(options: &CheckpointOptions) -> Result<()> {
    if options.rounds == 0 || options.every <= 3 {
        bail!("`--rounds` is at least 1 and `--every` at least 4, found {} and {}", options.rounds, options.every);
    }
    let ready = setup::run()?;
    let peers = Peers::install(&ready)?;
    let ground = Ground::prepare(&ready, "checkpoint")?;
    let (batch, every, rounds) = (options.batch.to_string(), options.every.to_string(), options.rounds.to_string());
    eprintln!("{} steps of {batch} images of 224 pixels", options.every as usize * (options.rounds + 1));
    let ours = ground.measure(&["checkpoint", "--batch", &batch, "--every", &every, "--rounds", &rounds])?;
    let step = Spread::of(list(&ours, "steps")?)?;
    let theirs = if peers.have_torch() {
        eprintln!("the same tensors, by torch.save and torch.distributed.checkpoint");
        let mut command = peers.command("checkpoint")?;
        let tensors = ours["tensors"].as_str().map(Path::new).context("the bench names no tensors")?;
        command.arg(tensors).arg(ground.folder.join("peer")).args([step.median.to_string(), rounds]);
        Some(once(command)?)
    } else {
        None
    };
    let stalls = Spread::of(list(&ours, "stalls")?.into_iter().map(|stall| stall / step.median * 100.0))?;
    let verdict = STALL.verdict(stalls.median);
    let figures = json!({
        "figure": "stop of a checkpoint, % of a step", "value": stalls.json(), "bar": STALL.to_string(), "verdict": verdict,
        "step": step.json(), "ours": ours, "peers": theirs,
    });
    if options.output == Output::Json {
        println!("{figures:#}");
    } else {
        let bytes = number(&ours, "bytes")? / 1e6;
        println!("a step of {batch} images takes {step} s; a checkpoint is {bytes:.0} MB\n");
        println!("{}", checkpoint_table(&ours, theirs.as_ref(), step)?);
        println!("the loop stands still for {stalls} % of a step, expected {STALL}: {verdict}");
    }
    ground.clear()?;
    all_met(&figures)
}

fn checkpoint_table(ours: &Value, theirs: Option<&Value>, step: Spread) -> Result<Table> {
    let mut table = Table::new(&["", "stands still, ms", "% of a step", "until it is kept, s"]);
    let mut row = |name: String, stalls: Vec<f64>, durations: Vec<f64>| -> Result<()> {
        let still = Spread::of(stalls.iter().map(|stall| stall * 1e3))?.to_string();
        let share = Spread::of(stalls.iter().map(|stall| stall / step.median * 100.0))?.to_string();
        table.row(vec![name, still, share, Spread::of(durations)?.to_string()]);
        Ok(())
    };
    row("vismae: hashed, synced, committed".to_owned(), list(ours, "stalls")?, list(ours, "durations")?)?;
    if let Some(theirs) = theirs {
        let torch = theirs["torch"].as_str().unwrap_or_default();
        row(
            format!("torch {torch}, distributed.checkpoint.async_save"),
            list(theirs, "async")?,
            list(theirs, "async_kept")?,
        )?;
        row(format!("torch {torch}, torch.save"), list(theirs, "save")?, list(theirs, "save")?)?;
    }
    let wake = number(ours, "wake")?;
    let slower = list(ours, "wakes")?.into_iter().map(|wake_seconds| wake_seconds - wake * step.median);
    let slower = Spread::of(slower.map(|seconds| seconds * 1e3))?.to_string();
    table.row(vec![format!("the {wake} steps after it take longer by, ms"), slower]);
    Ok(table)
}

/// Trains the tiny model, and says what of its steps is neither data nor training.
pub(super) fn protocol(options: &ProtocolOptions) -> Result<()> {
    let ready = setup::run()?;
    let ground = Ground::prepare(&ready, "protocol")?;
    let (batch, steps, rounds) = (options.batch.to_string(), options.steps.to_string(), options.rounds.to_string());
    eprintln!("{rounds} times {steps} steps of {batch} images with one rank, and with two");
    let passes = ground.measure(&["protocol", "--batch", &batch, "--steps", &steps, "--rounds", &rounds])?;
    let passes = passes.as_array().context("the bench gave no list")?;
    let mut table = Table::new(&["ranks", "a step, ms", "in the loop, %", "beside it, %", "both, %", "bar", ""]);
    let mut figures = Vec::new();
    for ranks in [1_u32, 2] {
        let of: Vec<Value> = passes.iter().filter(|pass| pass["ranks"] == ranks).cloned().collect();
        let spread =
            |figure: &dyn Fn(&Value) -> Result<f64>| Spread::of(of.iter().map(figure).collect::<Result<Vec<_>>>()?);
        let step = spread(&|pass| Ok(number(pass, "step_seconds")? * 1e3))?;
        let within = spread(&|pass| Ok(number(pass, "within")? * 100.0))?;
        let beside = spread(&|pass| Ok(number(pass, "beside")? * 100.0))?;
        let both = spread(&|pass| Ok((number(pass, "within")? + number(pass, "beside")?) * 100.0))?;
        let verdict = OVERHEAD.verdict(both.median);
        let cells = [step, within, beside, both].map(|spread| spread.to_string());
        let ends = [OVERHEAD.to_string(), verdict.to_owned()];
        table.row([vec![ranks.to_string()], cells.to_vec(), ends.to_vec()].concat());
        figures.push(json!({
            "figure": format!("protocol with {ranks} ranks, % of a step"), "value": both.json(), "bar": OVERHEAD.to_string(),
            "verdict": verdict, "step_ms": step.json(), "within": within.json(), "beside": beside.json(),
        }));
    }
    let figures = json!({ "figures": figures, "passes": passes });
    match options.output {
        Output::Json => println!("{figures:#}"),
        Output::Table => println!("{table}"),
    }
    ground.clear()?;
    all_met(&figures)
}

fn list(answer: &Value, name: &str) -> Result<Vec<f64>> {
    let list = answer[name].as_array().with_context(|| format!("an answer has no list `{name}`"))?;
    list.iter().map(|figure| figure.as_f64().with_context(|| format!("`{name}` has `{figure}`"))).collect()
}
