//! `vismae up`: a coordinator for others, until it is stopped.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use vismae_coordinator::server::Config;

use super::LocalWorkers;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
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
    /// Listen on other addresses than this machine's own, where anyone who reaches the port may submit and cancel
    #[arg(long)]
    insecure: bool,
}

#[derive(Debug, Serialize)]
struct UpView {
    coordinator: String,
    admin: Option<String>,
    workers: u32,
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
    let config = Config { insecure: options.insecure, ..Config::new(options.listen) };
    let mut cluster = Cluster::start(config, Some(options.admin)).await?;
    let view = UpView {
        coordinator: cluster.url(),
        admin: cluster.admin().map(|admin| format!("http://{admin}")),
        workers: options.workers,
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

fn describe(view: &UpView) -> String {
    let mut text = format!("coordinator at {}", view.coordinator);
    if let Some(admin) = &view.admin {
        text.push_str(&format!(", metrics at {admin}/metrics"));
    }
    if let Some(logs) = &view.logs {
        text.push_str(&format!(", {} workers with logs in {}", view.workers, logs.display()));
    }
    text.push_str("; Ctrl-C stops it");
    text
}
