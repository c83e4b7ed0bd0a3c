//! The coordinator as a whole: what listens, what runs, and how it ends.

mod connection;
mod error;
mod gate;
mod grpc;
mod incoming;
mod measure;
mod methods;
mod occupancy;
mod parts;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vismae_core::effect::Record;

pub(crate) use connection::Peer;
pub use error::{RunError, ServeError};
pub use tls::TlsFiles;

use crate::journal::{Journal, MemoryJournal};
use parts::Parts;

/// Connections at once from one address, where nothing else is said.
pub const CONNECTIONS_PER_ADDRESS: usize = 1000;

/// Settings of a coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where gRPC is served; port 0 is any free port.
    pub listen: SocketAddr,
    /// How often workers say that they are alive.
    pub heartbeat: Duration,
    /// How long a silent worker is believed.
    pub lease: Duration,
    /// A rank that is in one place of a step for longer does not get on; where steps are long, for ten of them.
    pub stall: Duration,
    /// How long a peer may take to shake hands and to begin to speak.
    pub patience: Duration,
    /// How long a request may take to arrive and be answered; a stream, from there on, as long as it likes. Also how long a peer may
    /// hold a connection before a request of it is let in.
    pub timeout: Duration,
    /// How often an idle connection is probed, and how long the answer to a probe may take.
    pub keepalive: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address, so that no single host can take them all.
    pub connections_per_address: usize,
    /// Certificate and key; plain text without.
    pub tls: Option<TlsFiles>,
    /// An access file ([`crate::access`]): without one, everyone may do everything.
    pub access: Option<PathBuf>,
    /// Where it is written down who did what.
    pub audit_log: Option<PathBuf>,
    /// Whether addresses that other machines reach are allowed although the connection is in plain text, or nobody has to say who
    /// they are.
    pub insecure: bool,
    /// Whether other machines may reach the admin port, which speaks in plain text and asks nobody who they are.
    pub insecure_admin: bool,
}

impl Config {
    /// The settings that suit one machine and most clusters: a heartbeat each second, a lease of five, half a minute for a place of a step.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            heartbeat: Duration::from_secs(1),
            lease: Duration::from_secs(5),
            stall: Duration::from_secs(30),
            patience: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            keepalive: Duration::from_secs(10),
            connections: 20_000,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            tls: None,
            access: None,
            audit_log: None,
            insecure: false,
            insecure_admin: false,
        }
    }

    /// Refuses to let other machines in where they could read along, or do what they like.
    ///
    /// # Errors
    /// [`ServeError::Exposed`] and [`ServeError::ExposedAdmin`].
    pub fn check_exposure(&self, admin: Option<SocketAddr>) -> Result<(), ServeError> {
        if let Some(address) = admin.filter(|admin| !admin.ip().is_loopback() && !self.insecure && !self.insecure_admin)
        {
            return Err(ServeError::ExposedAdmin { address });
        }
        if self.listen.ip().is_loopback() || self.insecure {
            return Ok(());
        }
        let authority = self.tls.as_ref().and_then(|tls| tls.client_ca.as_ref());
        let missing: Vec<_> = [
            (self.tls.is_none(), "a certificate (`--tls-cert`, `--tls-key`)"),
            (authority.is_none(), "an authority for agents (`--client-ca`)"),
            (self.access.is_none(), "an access file (`--access`)"),
        ]
        .into_iter()
        .filter_map(|(is_missing, what)| is_missing.then_some(what))
        .collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(ServeError::Exposed { address: self.listen, missing: missing.join(", ") }),
        }
    }
}

/// The admin port: `/metrics`, `/healthz` and `/readyz` over HTTP.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it is served; port 0 is any free port.
    pub listen: SocketAddr,
    /// What `/metrics` shows: that of [`crate::metrics::recorder`], or of the recorder that the process has installed itself.
    pub recorder: PrometheusHandle,
}

/// A coordinator that serves.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    scheme: &'static str,
    admin: Option<SocketAddr>,
    /// None once it has ended and somebody knows how.
    ended: Option<JoinHandle<Result<(), RunError>>>,
}

impl Running {
    /// Where gRPC is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin port is served, if it is.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What clients connect to.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Waits until it has ended, which it does soon after the token it was started with is cancelled.
    ///
    /// # Errors
    /// [`RunError`] when it ended because a part of it failed; told once.
    ///
    /// # Cancel safety
    /// The coordinator goes on when the future is dropped, and the method can be called again.
    pub async fn ended(&mut self) -> Result<(), RunError> {
        let Some(running) = &mut self.ended else { return Ok(()) };
        let ended = running.await;
        self.ended = None;
        ended.unwrap_or_else(|error| Err(RunError::part("supervisor", error)))
    }
}

/// Starts a coordinator that remembers for as long as it lives. When this returns, it answers at the addresses of [`Running`].
///
/// # Errors
/// [`ServeError`] when an address can't or must not be used; nothing runs then.
pub async fn serve(config: Config, admin: Option<Admin>, shutdown: CancellationToken) -> Result<Running, ServeError> {
    serve_with(MemoryJournal::default(), Vec::new(), config, admin, shutdown).await
}

/// As [`serve`], with the place where the coordinator's records are kept, and those of the coordinator before this one: it goes on
/// where that one was.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with<J: Journal>(
    journal: J,
    records: Vec<Record>,
    config: Config,
    admin: Option<Admin>,
    shutdown: CancellationToken,
) -> Result<Running, ServeError> {
    config.check_exposure(admin.as_ref().map(|admin| admin.listen))?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let (listener, address) = bind(config.listen, "--listen").await?;
    let admin = match admin {
        Some(admin) => Some((bind(admin.listen, "--admin").await?, admin.recorder)),
        None => None,
    };
    let admin_address = admin.as_ref().map(|((_, address), _)| *address);
    let parts =
        Parts::start(journal, records, &config, listener, admin.map(|((listener, _), recorder)| (listener, recorder)))?;
    tracing::info!(%address, admin = ?admin_address, "coordinator serves");
    let ended = tokio::spawn(parts.supervise(shutdown));
    Ok(Running { address, scheme, admin: admin_address, ended: Some(ended) })
}

async fn bind(address: SocketAddr, option: &'static str) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::bind(address, option, source);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
