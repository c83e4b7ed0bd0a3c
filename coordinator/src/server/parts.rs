//! Everything that runs in a coordinator: started together, ended together.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::Record;
use vismae_proto::v1::Welcome;

use super::{Config, RunError, ServeError, grpc};
use crate::clock::Clock;
use crate::driver::{Driver, Handle};
use crate::journal::Journal;
use crate::links::Links;
use crate::logs::Logs;
use crate::{metrics, rpc};

/// How long the parts may take to end after they were told to.
const GRACE: Duration = Duration::from_secs(5);

/// The running parts. When one ends, all do.
pub(super) struct Parts {
    tasks: JoinSet<Result<(), RunError>>,
    /// Streams to agents and clients that are open.
    streams: TaskTracker,
    /// Ends the streams, each with a word on why.
    drain: CancellationToken,
    /// Ends everything else: a connection that is closed too early would swallow those words.
    stop: CancellationToken,
}

impl Parts {
    pub(super) fn start<J: Journal>(
        journal: J,
        records: Vec<Record>,
        config: &Config,
        listener: TcpListener,
        admin: Option<(TcpListener, PrometheusHandle)>,
    ) -> Result<Self, ServeError> {
        metrics::describe();
        let (streams, drain, stop) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let logs = Logs::default();
        let welcome = Welcome { heartbeat_millis: millis(config.heartbeat), lease_millis: millis(config.lease) };
        let clock = Clock::start();
        let core = Coordinator::restore(config.lease, clock.now(), records);
        let (driver, handle) = Driver::new(core, clock, journal, Links::new(welcome), logs.clone());
        let context = rpc::Context {
            handle: handle.clone(),
            logs,
            lease: config.lease,
            shutdown: drain.clone(),
            streams: streams.clone(),
        };

        let mut tasks = JoinSet::new();
        let serving = grpc::serve(listener, context, stop.clone())?;
        tasks.spawn(async { serving.await.map_err(|error| RunError::part("gRPC server", error)) });
        let driving = driver.run(stop.clone());
        tasks.spawn(async { driving.await.map_err(RunError::Journal) });
        if let Some((listener, recorder)) = admin {
            let (shown, draining) = (recorder.clone(), drain.clone());
            let render = move || shown.render();
            let ready = move || !draining.is_cancelled();
            let serving = vismae_proto::admin::serve(listener, render, ready, stop.clone());
            tasks.spawn(async { serving.await.map_err(|error| RunError::part("admin server", error)) });
            tasks.spawn(tend(recorder, handle, stop.clone()));
        }
        Ok(Self { tasks, streams, drain, stop })
    }

    /// Waits for the order to end, or for a part that ends by itself; then ends all the others.
    pub(super) async fn supervise(mut self, shutdown: CancellationToken) -> Result<(), RunError> {
        let first = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = self.tasks.join_next() => match ended {
                Some(Ok(Ok(()))) | None => Err(RunError::part("coordinator", "ended by itself")),
                Some(Ok(Err(error))) => Err(error),
                Some(Err(panicked)) => Err(RunError::part("coordinator", panicked)),
            },
        };
        match tokio::time::timeout(GRACE, self.end()).await {
            Ok(rest) => first.and(rest),
            Err(_) => {
                tracing::warn!("connections were still open after {GRACE:?} and are dropped");
                first
            }
        }
    }

    /// Ends the streams, then all parts. Returns the first failure.
    async fn end(&mut self) -> Result<(), RunError> {
        self.drain.cancel();
        self.streams.close();
        self.streams.wait().await;
        self.stop.cancel();
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            outcome = outcome.and(ended.unwrap_or_else(|panicked| Err(RunError::part("coordinator", panicked))));
        }
        outcome
    }
}

/// Keeps the recorder tidy, and the series that always exist from going idle.
async fn tend(recorder: PrometheusHandle, handle: Handle, stop: CancellationToken) -> Result<(), RunError> {
    let mut due = tokio::time::interval(metrics::UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = due.tick() => {}
        }
        recorder.run_upkeep();
        if handle.read(metrics::observe).await.is_err() {
            return Ok(());
        }
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
