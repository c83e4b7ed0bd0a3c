//! `vismae up`: a coordinator for others, until it is stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vismae_coordinator::server::{CONNECTIONS_PER_ADDRESS, Config, TlsFiles};
use vismae_coordinator::{leader, metrics};
use vismae_shards::store::Store;

use super::LocalWorkers;
use crate::cluster::{Cluster, not_served};
use crate::failure::{Exit, Failure, OrFail as _};
use crate::interrupts::Interrupts;
use crate::jobfile::locate_store;
use crate::output::Format;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Address that agents and commands connect to
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7340")]
    listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7341")]
    admin: SocketAddr,
    /// Workers to run on this machine beside the coordinator
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=64))]
    workers: u32,
    /// CPU threads of each of these workers [default: the cores divided by the workers]
    #[arg(long)]
    threads: Option<u32>,
    /// Folder or URL of a store where the coordinator keeps its jobs: started again there, it goes on where it was, and whichever is
    /// started last takes over. Without it, jobs are forgotten when it ends
    #[arg(long, value_name = "URL", env = "VISMAE_STATE")]
    state: Option<String>,
    /// Wait while another coordinator leads on the same state, and take over when it is gone; until then only /healthz answers
    #[arg(long, requires = "state")]
    standby: bool,
    #[command(flatten)]
    security: Security,
    /// Most connections at once from one address; behind a proxy, those of everyone
    #[arg(long, value_name = "COUNT", default_value_t = CONNECTIONS_PER_ADDRESS)]
    connections_per_address: usize,
    /// Longest time a rank of a pre-training stays in one place of a step before it is looked into; where ten steps take longer, that
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    stall: Duration,
    /// Listen on other addresses than this machine's own although something is missing that keeps others out
    #[arg(long)]
    insecure: bool,
    /// Serve the admin port on other addresses than this machine's own, although it speaks in plain text
    #[arg(long)]
    insecure_admin: bool,
}

/// What other machines must show, and are shown.
#[derive(Debug, Args)]
struct Security {
    /// PEM of the coordinator's certificate, followed by those that signed it; read again when it changes, as are the other files
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "workers")]
    tls_cert: Option<PathBuf>,
    /// PEM of its private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// PEM of the authority that signs the certificates of workers, which must show one then
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// File that says whose tokens are believed and what they allow (docs/security.md); without one, everyone may do everything
    #[arg(long, value_name = "FILE")]
    access: Option<PathBuf>,
    /// File to append to who did what, one JSON object a line
    #[arg(long, value_name = "FILE")]
    audit_log: Option<PathBuf>,
}

impl Security {
    fn apply(self, config: Config) -> Config {
        let files = self.tls_cert.zip(self.tls_key);
        let tls = files.map(|(certificate, key)| TlsFiles { certificate, key, client_ca: self.client_ca });
        Config { tls, access: self.access, audit_log: self.audit_log, ..config }
    }
}

#[derive(Debug, Serialize)]
struct UpView {
    coordinator: String,
    admin: Option<String>,
    workers: u32,
    /// Where jobs are kept; absent when they are forgotten.
    state: Option<String>,
    /// Where the workers' logs are; absent without workers.
    logs: Option<PathBuf>,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let logs = std::env::temp_dir().join(format!("vismae-{}", std::process::id())).join("logs");
    let workers = match options.workers {
        0 => None,
        count => Some(LocalWorkers { count, threads: options.threads, logs }.settings()?),
    };
    let mut interrupts = Interrupts::listen()?;
    let config = Config {
        insecure: options.insecure,
        insecure_admin: options.insecure_admin,
        stall: options.stall,
        connections_per_address: options.connections_per_address,
        ..options.security.apply(Config::new(options.listen))
    };
    // Before one that stands by finds out when it is needed.
    config.check_exposure(Some(options.admin)).map_err(not_served)?;
    let state = options.state.as_deref().map(open_state).transpose()?;
    if let (true, Some(state)) = (options.standby, &state) {
        format.remark("standing by");
        let admin = wait_in_line(options.admin, state);
        tokio::select! {
            waited = admin => waited?,
            () = interrupts.next() => return Ok(()),
        }
    }
    let mut cluster = Cluster::start(config, Some(options.admin), state.as_ref()).await?;
    let view = UpView {
        coordinator: cluster.url(),
        admin: cluster.admin().map(|admin| format!("http://{admin}")),
        workers: options.workers,
        state: state.map(|state| state.url().to_owned()),
        logs: workers.as_ref().map(|plan| plan.logs.clone()),
    };
    format.item(&view, describe)?;
    if let Some(workers) = &workers {
        cluster.add_workers(workers)?;
    }
    let outcome = tokio::select! {
        failure = cluster.failed() => Err(failure),
        () = interrupts.next() => Ok(()),
    };
    format.remark("stopping");
    let stopped = cluster.stop(&mut interrupts).await;
    outcome.and(stopped)
}

/// Waits until nobody leads. A pod that does so lives, and is not ready.
async fn wait_in_line(admin: SocketAddr, state: &Store) -> Result<(), Failure> {
    let listener = TcpListener::bind(admin)
        .await
        .map_err(|error| Failure::new(Exit::Unreachable, format!("`--admin {admin}` can't be listened on: {error}")))?;
    let recorder = metrics::recorder().or_fail(Exit::WorkFailed)?;
    let shutdown = CancellationToken::new();
    let serving = vismae_proto::admin::serve(listener, move || recorder.render(), || false, shutdown.clone());
    let serving = tokio::spawn(serving);
    leader::stand_by(&*state.object_store()).await;
    shutdown.cancel();
    serving.await.or_fail(Exit::WorkFailed)?.or_fail(Exit::WorkFailed)
}

fn open_state(state: &str) -> Result<Store, Failure> {
    let url = locate_store(state, Path::new(""))
        .map_err(|message| Failure::new(Exit::Usage, format!("`--state` {message}")))?;
    Ok(Store::open(&url).or_fail(Exit::Usage)?.synced())
}

fn describe(view: &UpView) -> String {
    let mut text = format!("coordinator at {}", view.coordinator);
    if let Some(admin) = &view.admin {
        text.push_str(&format!(", metrics at {admin}/metrics"));
    }
    if let Some(logs) = &view.logs {
        text.push_str(&format!(", {} workers with logs in {}", view.workers, logs.display()));
    }
    match &view.state {
        Some(state) => text.push_str(&format!(", jobs kept in {state}")),
        None => text.push_str(", jobs forgotten with its end (see `--state`)"),
    }
    text.push_str("; Ctrl-C stops it");
    text
}
