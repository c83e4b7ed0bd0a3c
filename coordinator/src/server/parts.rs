//! Everything that runs in a coordinator: started together, ended together.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::Record;
use vismae_proto::v1::Welcome;

use super::gate::Gate;
use super::tls::{self, Tls};
use super::{Config, RunError, ServeError, grpc};
use crate::access::{Access, AccessFile};
use crate::audit::{Audit, AuditLog};
use crate::clock::Clock;
use crate::driver::{Driver, Handle};
use crate::journal::Journal;
use crate::links::Links;
use crate::logs::Logs;
use crate::reload::Followed;
use crate::{metrics, rpc};

/// How long the parts may take to end after they were told to.
const GRACE: Duration = Duration::from_secs(5);

/// How often the age of an identity provider's keys is looked at, and the age at which they are fetched again.
const KEYS_LOOKED_AT: Duration = Duration::from_secs(60);
const KEYS_AGE: Duration = Duration::from_secs(3600);

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
        let welcome = Welcome {
            heartbeat_millis: millis(config.heartbeat),
            lease_millis: millis(config.lease),
            stall_millis: millis(config.stall),
        };
        let clock = Clock::start();
        let logs = Logs::new(clock.now().elapsed().as_nanos() as u64);
        let core = Coordinator::restore(config.lease, clock.now(), records);
        let (driver, handle) = Driver::new(core, clock, journal, Links::new(welcome), logs.clone());
        let mut tasks = JoinSet::new();
        let tls = follow_tls(config, &mut tasks, &stop)?;
        let access = follow_access(config, &mut tasks, &stop)?;
        let audit = open_audit_log(config, &mut tasks)?;
        let authority = config.tls.as_ref().and_then(|tls| tls.client_ca.as_ref());
        let gate = Gate { access: access.clone(), certificates: authority.is_some(), audit: audit.clone() };
        let context = rpc::Context {
            handle: handle.clone(),
            access,
            audit,
            logs,
            lease: config.lease,
            shutdown: drain.clone(),
            streams: streams.clone(),
        };

        let serving = grpc::serve(config, (listener, tls.clone()), gate, context, stop.clone())?;
        tasks.spawn(async { serving.await.map_err(|error| RunError::part("gRPC server", error)) });
        let driving = driver.run(stop.clone());
        tasks.spawn(async { driving.await.map_err(RunError::Journal) });
        if let Some((listener, recorder)) = admin {
            let (shown, draining) = (recorder.clone(), drain.clone());
            let render = move || shown.render();
            let ready = move || !draining.is_cancelled();
            let serving = vismae_proto::admin::serve(listener, render, ready, stop.clone());
            tasks.spawn(async { serving.await.map_err(|error| RunError::part("admin server", error)) });
            tasks.spawn(tend(recorder, handle, tls, stop.clone()));
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

type Tasks = JoinSet<Result<(), RunError>>;

/// The settings of TLS, if there are any, as long as their files say the same or better.
fn follow_tls(
    config: &Config,
    tasks: &mut Tasks,
    stop: &CancellationToken,
) -> Result<Option<watch::Receiver<Arc<Tls>>>, ServeError> {
    let Some(files) = &config.tls else { return Ok(None) };
    let (followed, current) = Followed::open("certificate", files.paths(), |contents, _| tls::make(contents))?;
    let following = followed.run(stop.clone());
    tasks.spawn(async {
        following.await;
        Ok(())
    });
    Ok(Some(current))
}

/// Who may do what, where that is restricted, and the keys of the identity provider.
fn follow_access(
    config: &Config,
    tasks: &mut Tasks,
    stop: &CancellationToken,
) -> Result<Option<watch::Receiver<Arc<Access>>>, ServeError> {
    let Some(path) = &config.access else { return Ok(None) };
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let make = move |contents: &[Vec<u8>], last: Option<&Access>| {
        let text = contents.first().and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or("it is no text")?;
        let file = AccessFile::from_str(text).map_err(|error| error.to_string())?;
        let access = Access::new(&file, &folder).map_err(|error| error.to_string())?;
        Ok(match last {
            Some(last) => access.after(last),
            None => access,
        })
    };
    let (followed, current) = Followed::open("access file", vec![path.clone()], make)?;
    let (following, keys, stop) = (followed.run(stop.clone()), current.clone(), stop.clone());
    tasks.spawn(async move {
        tokio::join!(following, refresh_keys(keys, stop));
        Ok(())
    });
    Ok(Some(current))
}

async fn refresh_keys(access: watch::Receiver<Arc<Access>>, stop: CancellationToken) {
    let mut due = tokio::time::interval(KEYS_LOOKED_AT);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = due.tick() => {}
        }
        let current = Arc::clone(&access.borrow());
        current.refresh(KEYS_AGE).await;
    }
}

fn open_audit_log(config: &Config, tasks: &mut Tasks) -> Result<Audit, ServeError> {
    let Some(path) = &config.audit_log else { return Ok(Audit::default()) };
    let (log, audit) = AuditLog::open(path).map_err(|problem| ServeError::Audit { path: path.clone(), problem })?;
    tasks.spawn_blocking(|| log.run().map_err(|error| RunError::part("audit log", error)));
    Ok(audit)
}

/// Keeps the recorder tidy, and the series that always exist from going idle.
async fn tend(
    recorder: PrometheusHandle,
    handle: Handle,
    tls: Option<watch::Receiver<Arc<Tls>>>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let mut due = tokio::time::interval(metrics::UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = due.tick() => {}
        }
        recorder.run_upkeep();
        if let Some(tls) = &tls {
            metrics::certificate_expires(tls.borrow().expires);
        }
        if handle.read(metrics::observe).await.is_err() {
            return Ok(());
        }
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
