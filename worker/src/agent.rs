//! The agent: one process on a node that offers slots to the coordinator and owns the task processes in them.
//!
//! It computes nothing itself, so it always has time to answer, to report a death, and to end what hangs.

mod devices;
mod link;
mod metrics;
mod options;
mod process;
mod slots;
mod stalls;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use vismae_proto::client::Trust;
use vismae_proto::v1::Hello;

pub(crate) use devices::SlotDevice;
pub(crate) use options::AgentOptions;

use link::{Link, LinkEnd};
use slots::Slots;

/// Pause before the coordinator is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Runs until it is told to end, is refused, or loses the coordinator for longer than its patience.
///
/// # Errors
/// When the devices asked for are not there, an address can't be bound, or the coordinator refuses or can't be reached.
pub(crate) async fn run(options: AgentOptions) -> anyhow::Result<()> {
    let devices = devices::lay_out(options.device, options.slots, gpus())?;
    let shutdown = CancellationToken::new();
    end_on_signals(&shutdown)?;
    if options.exit_with_parent {
        end_with_parent(shutdown.clone());
    }
    let connected = Arc::new(AtomicBool::new(false));
    let admin = serve_admin(&options, devices.len(), &connected, &shutdown).await?;

    let threads = threads(&options, devices.len());
    let mut slots = Slots::new(devices.len(), threads, options.host, options.cache.clone());
    let hello = Hello {
        worker: options.name.to_string(),
        devices: devices.iter().map(ToString::to_string).collect(),
        host: options.host.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: options.labels.iter().cloned().collect(),
        tasks: Vec::new(),
    };
    let served = keep_linked(&options, &hello, &mut slots, &connected, &shutdown).await;
    slots.kill_all().await;
    shutdown.cancel();
    if let Some(admin) = admin {
        admin.await.context("the admin server ended badly")?;
    }
    served
}

/// Links to the coordinator again and again until there is a reason to end.
async fn keep_linked(
    options: &AgentOptions,
    hello: &Hello,
    slots: &mut Slots,
    connected: &AtomicBool,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let trust = options.trust();
    let mut reachable = Instant::now();
    for coordinator in options.coordinator.iter().cycle() {
        let hello = Hello { tasks: slots.held(), ..hello.clone() };
        let attached = tokio::select! {
            attached = attach(coordinator, &trust, &hello) => attached,
            () = shutdown.cancelled() => return Ok(()),
            never = slots.tend() => match never {},
        };
        let end = match attached {
            Err(end) => end,
            Ok(link) => {
                connected.store(true, Ordering::Relaxed);
                let end = link.serve(slots, shutdown).await;
                connected.store(false, Ordering::Relaxed);
                // Only a welcome counts: what merely accepts connections is not a coordinator, and is not waited for.
                reachable = Instant::now();
                end
            }
        };
        let failure = match end {
            LinkEnd::Drained => return Ok(()),
            LinkEnd::Refused(reason) => anyhow::bail!("the coordinator refuses worker `{}`: {reason}", hello.worker),
            LinkEnd::Lost(reason) => reason,
        };
        // The tasks go on: a coordinator that restarts takes them up again, and one that has given them up says so.
        if shutdown.is_cancelled() {
            return Ok(());
        }
        if reachable.elapsed() >= options.patience() {
            anyhow::bail!("{failure} (gave up after {:?}; see `--patience`)", options.patience());
        }
        tracing::warn!(coordinator, reason = failure, "not linked, trying again");
        tokio::select! {
            () = tokio::time::sleep(RETRY_PAUSE) => {}
            () = shutdown.cancelled() => return Ok(()),
            never = slots.tend() => match never {},
        }
    }
    anyhow::bail!("no coordinator is named, expected its address with `--coordinator`")
}

/// Connects to the coordinator and is welcomed by it.
async fn attach(coordinator: &str, trust: &Trust, hello: &Hello) -> Result<Link, LinkEnd> {
    let worker = &hello.worker;
    let channel = vismae_proto::client::connect_with(coordinator, trust, RETRY_PAUSE * 5)
        .await
        .map_err(|error| LinkEnd::Lost(error.to_string()))?;
    let link = Link::attach(channel, hello.clone()).await?;
    tracing::info!(coordinator, worker, slots = hello.devices.len(), "linked");
    Ok(link)
}

async fn serve_admin(
    options: &AgentOptions,
    slots: usize,
    connected: &Arc<AtomicBool>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<tokio::task::JoinHandle<()>>> {
    let Some(address) = options.admin else { return Ok(None) };
    anyhow::ensure!(
        address.ip().is_loopback() || options.insecure_admin,
        "admin address `{address}` is open to other machines, in plain text: serve it on `127.0.0.1`, or allow it with `--insecure-admin`"
    );
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new()
        .set_buckets(metrics::SECONDS)
        .context("metrics can't be recorded")?
        .install_recorder()
        .context("metrics can't be recorded")?;
    metrics::describe(slots);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("can't serve metrics on `{address}`; choose a free address with `--admin`"))?;
    let (ready, shutdown) = (Arc::clone(connected), shutdown.clone());
    Ok(Some(tokio::spawn(async move {
        let render = move || recorder.render();
        let is_ready = move || ready.load(Ordering::Relaxed);
        if let Err(error) = vismae_proto::admin::serve(listener, render, is_ready, shutdown).await {
            tracing::error!(%error, "the admin server ended");
        }
    })))
}

/// GPUs that libtorch can use.
fn gpus() -> usize {
    if tch::Cuda::is_available() { usize::try_from(tch::Cuda::device_count()).unwrap_or(0) } else { 0 }
}

fn threads(options: &AgentOptions, slots: usize) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    options.threads.unwrap_or_else(|| (cores / slots.max(1)).max(1) as u32)
}

fn end_on_signals(shutdown: &CancellationToken) -> anyhow::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind).context("signals can't be listened for")?;
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            signals.recv().await;
            shutdown.cancel();
        });
    }
    Ok(())
}

/// Reads standard input to its end on a thread of its own: a blocking read can't be cancelled, and must not hold up the runtime's end.
fn end_with_parent(shutdown: CancellationToken) {
    std::thread::spawn(move || {
        let mut sink = [0; 64];
        while matches!(std::io::stdin().read(&mut sink), Ok(read) if read > 0) {}
        shutdown.cancel();
    });
}
