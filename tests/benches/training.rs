//! `cargo xtask bench checkpoint` and `protocol`: what a training of real processes pays for keeping what it comes to, and for the promise that
//! its samples are those of the plan.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::expect_used, reason = "whatever goes wrong here ends the measurement")]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use vismae_shards::runs::{StepRow, read_steps};
use vismae_tests::cluster::{Process, binary, command, descendants, free_port, scrape, succeed, vismae, wait_for};

/// Steps after a checkpoint in which it may still be written.
const WAKE: usize = 3;
/// Steps that are not measured: memory is taken, caches fill.
const WARM: u64 = 20;
/// How often figures are read.
const LOOK: Duration = Duration::from_millis(200);
/// How long a training may take to come to its next step or checkpoint.
const PATIENCE: Duration = Duration::from_secs(400);

#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
    /// An empty folder
    #[arg(long, global = true, default_value = ".")]
    folder: PathBuf,
    /// As `cargo bench` calls it
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How long the loop stands still for a checkpoint
    Checkpoint {
        /// Images of a step
        #[arg(long)]
        batch: u32,
        /// Steps from one checkpoint to the next
        #[arg(long)]
        every: u32,
        /// Checkpoints
        #[arg(long)]
        rounds: usize,
    },
    /// What of a step is neither data nor training
    Protocol {
        /// Images of a step
        #[arg(long)]
        batch: u32,
        /// Steps of each training
        #[arg(long)]
        steps: u64,
        /// Trainings with each number of ranks
        #[arg(long)]
        rounds: usize,
    },
}

fn main() {
    let Options { what, folder, .. } = Options::parse();
    succeed(&["phantom", &folder.join("phantom").to_string_lossy(), "--size", "10"]);
    let report = match what {
        What::Checkpoint { batch, every, rounds } => checkpoint(&folder, batch, every, rounds),
        What::Protocol { batch, steps, rounds } => {
            // Ranks in turns, so that a machine that gets slower is slower for all.
            let trainings = (0..rounds).flat_map(|round| [1, 2].map(|ranks| (round, ranks)));
            trainings.map(|(round, ranks)| protocol(&folder, batch, steps, (round, ranks))).collect()
        }
    };
    println!("{report}");
}

/// Cores of this machine.
fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// A pre-training that goes on until it is no longer wanted, on a coordinator and a worker of its own.
struct Training {
    name: String,
    url: String,
    admin: u16,
    store: PathBuf,
    log: PathBuf,
    agent: Process,
    _up: Process,
}

impl Training {
    fn start(folder: &Path, name: &str, ranks: u32, (model, pixels, pretrain): (&str, u32, &str)) -> Self {
        let text = format!(
            "name = \"{name}\"\nstore = \"{name}\"\n[corpus]\nname = \"phantom\"\ninputs = [\"phantom\"]\nimage_size = {pixels}\n\
             [model]\nsize = \"{model}\"\nimage_size = {pixels}\n[pretrain]\nepochs = 100000\nslots = {ranks}\n{pretrain}\n"
        );
        let file = folder.join(format!("{name}.toml"));
        fs::write(&file, text).expect("a job file is written");
        let (url, admin) = (format!("http://127.0.0.1:{}", free_port()), free_port());
        let up = command(&["up", "--listen", url.trim_start_matches("http://"), "--admin", "127.0.0.1:0"]);
        let up = Process::start_logged(up, &folder.join(format!("{name}-up.log")));
        wait_for("the coordinator", || vismae(&["jobs", "--coordinator", &url]).status.success());
        let mut agent = Command::new(binary("vismae-worker"));
        agent.args(["agent", "--name", "node", "--device", "cpu", "--coordinator", &url]);
        agent.args(["--slots", &ranks.to_string(), "--threads", &(cores() / ranks).max(1).to_string()]);
        agent.args(["--admin", &format!("127.0.0.1:{admin}")]).env("RUST_LOG", "info,vismae_worker=debug");
        let log = folder.join(format!("{name}.log"));
        let agent = Process::start_logged(agent, &log);
        wait_for("the worker", || TcpStream::connect(("127.0.0.1", admin)).is_ok());
        succeed(&["submit", &file.to_string_lossy(), "--coordinator", &url]);
        Self { name: name.to_owned(), url, admin, store: folder.join(name), log, agent, _up: up }
    }

    /// Steps that are done.
    fn done(&self) -> u64 {
        let jobs = vismae(&["jobs", "-o", "json", "--coordinator", &self.url]);
        let jobs: Value = serde_json::from_slice(&jobs.stdout).unwrap_or_default();
        jobs[0]["jobs"][1]["progress"]["done"].as_u64().unwrap_or(0)
    }

    /// A figure of the worker.
    fn figure(&self, name: &str) -> f64 {
        let metrics = scrape(self.admin, "/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }

    /// Stops it at the end of a step.
    fn stop(&self) {
        succeed(&["suspend", &self.name, "--coordinator", &self.url]);
        wait_for("its end", || {
            let jobs = vismae(&["jobs", "-o", "json", "--coordinator", &self.url]);
            let jobs: Value = serde_json::from_slice(&jobs.stdout).unwrap_or_default();
            jobs[0]["state"] == "suspended"
        });
    }

    /// Processor time so far: of the worker, and of the threads of its tasks that say that they live.
    fn protocol_threads(&self) -> Duration {
        let agent = threads(self.agent.id()).into_iter().map(|(_, time)| time).sum::<Duration>();
        let tasks = descendants(self.agent.id()).into_iter().flat_map(threads);
        agent + tasks.filter(|(name, _)| name == "pulse").map(|(_, time)| time).sum::<Duration>()
    }
}

/// The threads of a process by name, with the processor time they have had; none of one that is gone.
fn threads(process: u32) -> Vec<(String, Duration)> {
    let folder = format!("/proc/{process}/task");
    let threads = fs::read_dir(folder).into_iter().flatten().filter_map(|thread| {
        let thread = thread.ok()?.path();
        let name = fs::read_to_string(thread.join("comm")).ok()?.trim().to_owned();
        let nanoseconds = fs::read_to_string(thread.join("schedstat")).ok()?;
        Some((name, Duration::from_nanos(nanoseconds.split_whitespace().next()?.parse().ok()?)))
    });
    threads.collect()
}

/// Looks again and again until there is an answer.
fn watch<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "no sign of {what} in {PATIENCE:?}");
        std::thread::sleep(LOOK);
    }
}

fn checkpoint(folder: &Path, batch: u32, every: u32, rounds: usize) -> Value {
    let pretrain = format!("global_batch = {batch}\nlanes = 4\ncheckpoints = {{ every = {every}, latest = 2 }}");
    let training = Training::start(folder, "checkpoints", 1, ("base", 224, &pretrain));
    let figures = ["stall_seconds_sum", "duration_seconds_sum"].map(|name| format!("vismae_agent_checkpoint_{name}"));
    let (mut before, mut stalls, mut durations) = ([0.0; 2], Vec::new(), Vec::new());
    // The last one only lets the steps after the one before it be recorded.
    while stalls.len() <= rounds {
        let count = stalls.len() as f64;
        watch("a checkpoint", || (training.figure("vismae_agent_checkpoints_total") > count).then_some(()));
        let now = figures.each_ref().map(|name| training.figure(name));
        stalls.push(now[0] - before[0]);
        durations.push(now[1] - before[1]);
        before = now;
    }
    stalls.truncate(rounds);
    durations.truncate(rounds);
    let bytes = training.figure("vismae_agent_checkpoint_bytes");
    let list = succeed(&[
        "checkpoints",
        "list",
        "checkpoints.pretrain",
        "--store",
        &training.store.to_string_lossy(),
        "-o",
        "json",
    ]);
    let list: Value = serde_json::from_str(&list).expect("a list");
    let latest =
        list.as_array().and_then(|all| all.last()).and_then(|kept| kept["folder"].as_str()).expect("a checkpoint");
    let latest = training.store.join(latest);
    let rows = read_steps(&fs::read(latest.join("steps.csv")).expect("a record")).expect("steps");
    // Its tensors are those that others are to keep.
    let tensors = folder.join("tensors.safetensors");
    fs::copy(latest.join("part-00000-of-00001.safetensors"), &tensors).expect("a copy");
    drop(training);
    let every = every as usize;
    let is_in_wake = |row: &&StepRow| (row.step as usize).checked_sub(every).is_some_and(|since| since % every < WAKE);
    let seconds = |row: &StepRow| row.step_seconds;
    let quiet: Vec<f64> = rows.iter().skip(2).filter(|row| !is_in_wake(row)).map(seconds).collect();
    let wakes = (1..=rounds).map(|round| rows[round * every..][..WAKE].iter().map(seconds).sum::<f64>());
    json!({
        "bytes": bytes, "stalls": stalls, "durations": durations, "steps": quiet, "wakes": wakes.collect::<Vec<_>>(),
        "wake": WAKE, "tensors": tensors, "cores": cores(),
    })
}

fn protocol(folder: &Path, batch: u32, steps: u64, (round, ranks): (usize, u32)) -> Value {
    let pretrain = format!("global_batch = {batch}\nlanes = 4\ncheckpoints = {{ every = 1000000 }}");
    let training = Training::start(folder, &format!("protocol{round}r{ranks}"), ranks, ("tiny", 64, &pretrain));
    watch("the first steps", || (training.done() >= WARM).then_some(()));
    let (began, before) = (Instant::now(), training.protocol_threads());
    watch("the last steps", || (training.done() >= steps).then_some(()));
    let (wall, beside) = (began.elapsed(), training.protocol_threads() - before);
    training.stop();
    let log = fs::read_to_string(&training.log).expect("a log");
    let accounts: Vec<BTreeMap<&str, f64>> =
        log.lines().filter(|line| line.contains("seconds of the steps of this group")).map(account).collect();
    assert_eq!(accounts.len(), ranks as usize, "the log has not one account for each rank: {log}");
    // The rank that has most to do beside its training.
    let shares = accounts.iter().map(|account| account["rest"] / account["whole"]);
    let within = shares.fold(0.0, f64::max);
    let steps = accounts[0]["steps"];
    json!({
        "ranks": ranks, "steps": steps, "step_seconds": accounts[0]["whole"] / steps, "within": within,
        "beside": beside.as_secs_f64() / wall.as_secs_f64(), "waiting": accounts[0]["waiting"] / accounts[0]["whole"],
    })
}

/// The figures of a line of a log.
fn account(line: &str) -> BTreeMap<&str, f64> {
    line.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter_map(|(key, value)| Some((key, value.parse().ok()?)))
        .collect()
}
