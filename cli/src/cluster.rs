//! A cluster in one tree of processes: the coordinator in this one, and worker processes that end with it.

mod binary;
mod workers;

use std::net::SocketAddr;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vismae_coordinator::journal::{DurableJournal, JournalError};
use vismae_coordinator::server::{Admin, Config, RunError, Running, ServeError, serve, serve_with};
use vismae_coordinator::{leader, metrics};
use vismae_shards::store::Store;

use crate::failure::{Exit, Failure, OrFail as _};
use crate::interrupts::Interrupts;
pub(crate) use binary::{HINT as WORKER_HINT, worker_binary};
pub(crate) use workers::WorkerPlan;
use workers::Workers;

/// Where a coordinator's state lies in its store: beside `corpora` and `runs`, where they share one.
const STATE_FOLDER: &str = "coordinator";

/// A coordinator in this process, and the workers started for it.
#[derive(Debug)]
pub(crate) struct Cluster {
    coordinator: Running,
    shutdown: CancellationToken,
    /// Renews the sign of life, where others may stand by, until its token is cancelled.
    leading: Option<(JoinHandle<()>, CancellationToken)>,
    workers: Option<Workers>,
}

impl Cluster {
    /// Starts a coordinator, with an admin port if one is named. It goes on where the last one on the same state was; without a
    /// state it forgets everything with its end.
    pub(crate) async fn start(
        config: Config,
        admin: Option<SocketAddr>,
        state: Option<&Store>,
    ) -> Result<Self, Failure> {
        let admin = match admin {
            Some(listen) => Some(Admin { listen, recorder: metrics::recorder().or_fail(Exit::WorkFailed)? }),
            None => None,
        };
        let shutdown = CancellationToken::new();
        let served = match state {
            None => serve(config, admin, shutdown.clone()).await,
            Some(state) => {
                let (journal, records) =
                    DurableJournal::open(state.object_store(), STATE_FOLDER).await.map_err(|error| {
                        Failure::new(Exit::WorkFailed, error).hint(format!("it lies in {}", state.url()))
                    })?;
                serve_with(journal, records, config, admin, shutdown.clone()).await
            }
        };
        let coordinator = served.map_err(not_served)?;
        let leading = state.map(|state| {
            let ended = CancellationToken::new();
            (tokio::spawn(leader::lead(state.object_store(), ended.clone())), ended)
        });
        Ok(Self { coordinator, shutdown, leading, workers: None })
    }

    /// The URL of the coordinator.
    pub(crate) fn url(&self) -> String {
        self.coordinator.url()
    }

    /// The address of the admin port, if it has one.
    pub(crate) fn admin(&self) -> Option<SocketAddr> {
        self.coordinator.admin()
    }

    /// Starts worker processes that attach to the coordinator.
    pub(crate) fn add_workers(&mut self, plan: &WorkerPlan) -> Result<(), Failure> {
        self.workers = Some(Workers::start(plan, &self.url()).or_fail(Exit::WorkFailed)?);
        Ok(())
    }

    /// Waits until a part of the cluster fails for good; for ever while all is well.
    ///
    /// # Cancel safety
    /// No failure is lost.
    pub(crate) async fn failed(&mut self) -> Failure {
        let worker_failed = async {
            match &mut self.workers {
                Some(workers) => workers.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = worker_failed => Failure::new(Exit::WorkFailed, error),
            ended = self.coordinator.ended() => match ended {
                Ok(()) => Failure::new(Exit::WorkFailed, "the coordinator ended by itself"),
                Err(error) => ended_badly(error),
            },
        }
    }

    /// Ends the workers at once.
    pub(crate) fn kill_workers(&self) {
        if let Some(workers) = &self.workers {
            workers.killer().cancel();
        }
    }

    /// Ends the workers, then the coordinator. A signal meanwhile ends the workers at once.
    pub(crate) async fn stop(mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        if let Some(workers) = self.workers.take() {
            let kill = workers.killer();
            let drained = workers.drain();
            tokio::pin!(drained);
            loop {
                tokio::select! {
                    () = &mut drained => break,
                    () = interrupts.next() => kill.cancel(),
                }
            }
        }
        self.shutdown.cancel();
        let ended = self.coordinator.ended().await.map_err(ended_badly);
        // Not before the last record is kept: whoever stands by would end this one in the middle of it.
        if let Some((leading, led)) = self.leading.take() {
            led.cancel();
            leading.await.or_fail(Exit::WorkFailed)?;
        }
        ended
    }
}

/// A coordinator that could not start.
pub(crate) fn not_served(error: ServeError) -> Failure {
    let exit = match error {
        ServeError::InUse { .. } | ServeError::Unusable { .. } => Exit::Unreachable,
        ServeError::Exposed { .. }
        | ServeError::ExposedAdmin { .. }
        | ServeError::File(_)
        | ServeError::Audit { .. } => Exit::Usage,
        ServeError::Reflection { .. } => Exit::WorkFailed,
    };
    Failure::new(exit, error)
}

fn ended_badly(error: RunError) -> Failure {
    let exit = match error {
        RunError::Journal(JournalError::Fenced) => Exit::Fenced,
        _ => Exit::WorkFailed,
    };
    Failure::new(exit, error)
}
