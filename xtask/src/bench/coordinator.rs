//! `cargo xtask bench coordinator`: what a coordinator holds and how quickly it answers, as one process with its state on this disk and
//! real connections.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::figures::{Bar, Figure, all_met};
use super::{Output, built, once};
use crate::cargo;
use crate::setup::{self, Ready};

/// How long a coordinator may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Finished jobs in the store of the last restart: as many as a coordinator remembers.
const FINISHED: &str = "100000";

/// Pipelines that are carried out to see that memory stays as it is once the oldest are forgotten: a half more than are remembered.
const TURNOVER: u32 = 150_000;

/// What the measurement may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Agents that are connected at once
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Pipelines that are queued
    #[arg(long, default_value_t = 50_000)]
    pipelines: usize,
    /// As a table or as JSON
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// A coordinator of the release build, ended with this value.
struct Coordinator {
    child: Child,
    url: String,
}

/// The built programs, and where the state goes.
struct Ground {
    vismae: PathBuf,
    load: PathBuf,
    folder: PathBuf,
}

/// Builds in release, loads coordinators one after the other and prints the table.
pub(super) fn run(options: &Options) -> Result<()> {
    let ready = setup::run()?;
    let ground = Ground::prepare(&ready)?;
    let (agents, pipelines) = (options.agents.to_string(), options.pipelines.to_string());

    eprintln!("{agents} agents");
    let coordinator = ground.start("idle")?;
    let living = ground.load(&coordinator, &["heartbeats", &agents, "20"])?;
    drop(coordinator);

    eprintln!("{agents} agents over TLS");
    let certificates = ground.certificates()?;
    let coordinator = ground.guarded(&certificates)?;
    let folder = certificates.to_string_lossy();
    let guarded = ground.load(&coordinator, &["heartbeats", &agents, "20", "--certificates", &folder])?;
    drop(coordinator);

    eprintln!("submissions");
    let coordinator = ground.start("queue")?;
    let starts = ground.load(&coordinator, &["start", "200"])?;
    let paced = ground.load(&coordinator, &["paced", "100", "20"])?;
    let admitted = ground.load(&coordinator, &["admit", &pipelines])?;
    let decided = ground.load(&coordinator, &["decide", "1000", "1000"])?;
    let churn = ground.load(&coordinator, &["churn", "3600", "60"])?;
    let finished = ground.load(&coordinator, &["churn", "2000", "50", "--restart"])?;
    drop(coordinator);

    eprintln!("{TURNOVER} pipelines that come and go");
    let coordinator = ground.start("turnover")?;
    let turnover = ground.load(&coordinator, &["turnover", &TURNOVER.to_string(), FINISHED])?;
    drop(coordinator);

    eprintln!("a restart");
    let began = Instant::now();
    let coordinator = ground.start("queue")?;
    let restart = json!({ "seconds": began.elapsed().as_secs_f64() });
    drop(coordinator);

    eprintln!("a restart with {FINISHED} finished jobs in the store");
    let stored = ground.stored()?;
    ground.clear()?;

    let figures = json!({
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "heartbeats": living, "guarded": guarded, "turnover": turnover, "start": starts, "paced": paced, "admit": admitted, "decide": decided, "churn": churn,
        "finished": finished, "restart": restart, "stored": stored,
    });
    let rows = rows(options, &figures)?;
    let bars = Figure::list(&rows);
    match options.output {
        Output::Json => println!("{:#}", json!({ "rows": bars, "figures": figures })),
        Output::Table => println!("{}", Figure::table(&rows)),
    }
    all_met(&bars)
}

/// The figures that people look at, and the bars of some.
fn rows(options: &Options, figures: &Value) -> Result<Vec<Figure>> {
    let (agents, pipelines) = (options.agents, options.pipelines);
    let (mib, mb) = (1.0 / 1_048_576.0, 1e-6);
    let (below, at_least) = (|bar| Some(Bar::Below(bar)), |bar| Some(Bar::AtLeast(bar)));
    let rows = [
        (format!("{agents} agents that say each second that they live: cores"), "/heartbeats/cores", 1.0, below(0.5)),
        ("their memory, MB".to_owned(), "/heartbeats/bytes", mb, below(500.0)),
        ("agents lost meanwhile".to_owned(), "/heartbeats/lost", 1.0, below(1.0)),
        ("the same over TLS, with a certificate each: cores".to_owned(), "/guarded/cores", 1.0, None),
        ("their memory, MB".to_owned(), "/guarded/bytes", mb, None),
        ("agents lost meanwhile".to_owned(), "/guarded/lost", 1.0, below(1.0)),
        ("from submission to start at a free slot, median, ms".to_owned(), "/start/latency/p50_ms", 1.0, below(100.0)),
        (
            "100 submissions a second, kept and acknowledged: 99 of 100 within, ms".to_owned(),
            "/paced/latency/p99_ms",
            1.0,
            below(250.0),
        ),
        (
            format!("{pipelines} pipelines queued, as fast as they are taken: a second"),
            "/admit/per_second",
            1.0,
            at_least(500.0),
        ),
        ("memory with all of them, MiB".to_owned(), "/admit/bytes", mib, None),
        (
            "a decision with 1000 busy workers and 1000 jobs that wait, the longest of 200, ms".to_owned(),
            "/decide/latency/max_ms",
            1.0,
            below(20.0),
        ),
        (
            "the core alone, an hour of 60 pipelines a second: memory after a half of it, MiB".to_owned(),
            "/churn/half",
            mib,
            None,
        ),
        ("its memory after the hour, MiB".to_owned(), "/churn/whole", mib, below(400.0)),
        (
            format!("{} pipelines carried out over gRPC: memory with as many as are kept, MiB", TURNOVER),
            "/turnover/full",
            mib,
            None,
        ),
        ("its growth from there to the end, in 100 parts".to_owned(), "/turnover/growth", 100.0, below(10.0)),
        ("the core alone, taking up 100,000 finished jobs, s".to_owned(), "/finished/restore/seconds", 1.0, below(3.0)),
        ("restart with all of them, until it answers, s".to_owned(), "/restart/seconds", 1.0, below(3.0)),
        (
            format!("restart on a store with {FINISHED} finished jobs, until it answers for one, s"),
            "/stored/seconds",
            1.0,
            below(3.0),
        ),
        ("the reading of that store alone, s".to_owned(), "/stored/parts/read", 1.0, None),
        ("the core alone, taking up what was read, s".to_owned(), "/stored/parts/restore", 1.0, None),
    ];
    let row = |(figure, path, unit, bar): (String, &str, f64, Option<Bar>)| {
        let value =
            figures.pointer(path).and_then(Value::as_f64).with_context(|| format!("no figure is at `{path}`"))?;
        Ok(Figure::new(figure, value * unit, bar))
    };
    rows.into_iter().map(row).collect()
}

impl Ground {
    fn prepare(ready: &Ready) -> Result<Self> {
        let folder = cargo::target_folder(ready)?.join("bench-coordinator");
        let what = ["--package", "vismae-cli", "--package", "vismae-coordinator", "--bin", "vismae", "--bench", "load"];
        let [vismae, load] = built(ready, &what, ["vismae", "load"])?;
        let ground = Self { vismae, load, folder };
        ground.clear()?;
        Ok(ground)
    }

    /// How soon a coordinator answers on a store with the records of finished jobs, which another one has left that was killed.
    fn stored(&self) -> Result<Value> {
        let state = self.folder.join("finished");
        let alone = |words: &[&str]| {
            let mut command = Command::new(&self.load);
            command.arg(words[0]).arg(&state).args(&words[1..]);
            once(command)
        };
        let written = alone(&["fill", FINISHED])?;
        let last = written["last"].as_str().context("the last pipeline has no name")?;
        let began = Instant::now();
        let coordinator = self.spawn("finished", &[])?;
        self.load(&coordinator, &["ask", last])?;
        let seconds = began.elapsed().as_secs_f64();
        drop(coordinator);
        Ok(json!({ "seconds": seconds, "written": written, "parts": alone(&["take-up"])? }))
    }

    /// Starts a coordinator on a state and waits until it answers.
    fn start(&self, state: &str) -> Result<Coordinator> {
        self.answering(self.spawn(state, &[])?, &[])
    }

    /// Starts one that asks everybody who they are, with what `vismae certs` has made in a folder.
    fn guarded(&self, certificates: &Path) -> Result<Coordinator> {
        let path = |name: &str| certificates.join(name).to_string_lossy().into_owned();
        let [certificate, key, ca, access] = ["coordinator.pem", "coordinator.key", "ca.pem", "access.toml"].map(path);
        let guards = ["--tls-cert", &certificate, "--tls-key", &key, "--client-ca", &ca, "--access", &access];
        let mut coordinator = self.spawn("guarded", &guards)?;
        coordinator.url = coordinator.url.replace("http://127.0.0.1", "https://localhost");
        self.answering(coordinator, &["--ca", &ca, "--token-file", &path("token")])
    }

    fn certificates(&self) -> Result<PathBuf> {
        let folder = self.folder.join("certificates");
        let run = |command: &mut Command| -> Result<Vec<u8>> {
            let output = command.stderr(Stdio::inherit()).output().context("`vismae` cannot be started")?;
            if !output.status.success() {
                bail!("`vismae` failed ({}); its words are above", output.status);
            }
            Ok(output.stdout)
        };
        run(Command::new(&self.vismae).arg("certs").arg("--dir").arg(&folder))?;
        let mut token = Command::new(&self.vismae);
        token.args(["tokens", "new", "bench", "--grant", "*:admin", "--token-file"]).arg(folder.join("token"));
        fs::write(folder.join("access.toml"), run(&mut token)?)?;
        Ok(folder)
    }

    fn answering(&self, mut coordinator: Coordinator, access: &[&str]) -> Result<Coordinator> {
        let began = Instant::now();
        let asks = |url: &str| {
            let mut jobs = Command::new(&self.vismae);
            jobs.args(["workers", "--coordinator", url]).args(access).stdout(Stdio::null()).stderr(Stdio::null());
            jobs.status().is_ok_and(|status| status.success())
        };
        while !asks(&coordinator.url) {
            if let Some(status) = coordinator.child.try_wait()? {
                bail!("the coordinator ended ({status}); its words are above");
            }
            if began.elapsed() > PATIENCE {
                bail!("the coordinator does not answer within {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(coordinator)
    }

    /// Starts a coordinator on a state.
    fn spawn(&self, state: &str, guards: &[&str]) -> Result<Coordinator> {
        let (port, admin) = (free_port()?, free_port()?);
        let url = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(&self.vismae);
        command.args(["up", "--listen", &format!("127.0.0.1:{port}"), "--admin", &format!("127.0.0.1:{admin}")]);
        // All of the load comes from this machine.
        command.args(["--connections-per-address", "20000"]).args(guards);
        command.arg("--state").arg(self.folder.join(state)).env("RUST_LOG", "warn");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("`vismae` cannot be started")?;
        Ok(Coordinator { child, url })
    }

    fn load(&self, coordinator: &Coordinator, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.load);
        command.args(["--url", &coordinator.url, "--process", &coordinator.child.id().to_string()]).args(arguments);
        once(command)
    }

    fn clear(&self) -> Result<()> {
        remove(&self.folder)
    }
}

/// Ended without a word: what it has acknowledged is kept all the same.
impl Drop for Coordinator {
    fn drop(&mut self) {
        // It may have ended by itself, which the next answer would have told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("this machine has no free port")?;
    Ok(listener.local_addr()?.port())
}

fn remove(folder: &Path) -> Result<()> {
    match folder.exists() {
        true => fs::remove_dir_all(folder).with_context(|| format!("`{}` cannot be removed", folder.display())),
        false => Ok(()),
    }
}
