//! What an operator tells an agent.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use vismae_core::ids::WorkerId;
use vismae_core::spec::label_fault;
use vismae_proto::client::Trust;

use super::devices::DeviceChoice;
use crate::cache::CacheOptions;

/// Command line of `vismae-worker agent`.
#[derive(Debug, clap::Args)]
pub(crate) struct AgentOptions {
    /// Addresses of the coordinator and of those that stand by for it, with commas between them; tried one after the other.
    #[arg(long, env = "VISMAE_COORDINATOR", default_value = "http://127.0.0.1:7340", value_delimiter = ',')]
    pub coordinator: Vec<String>,
    /// PEM of the authority that signed the certificate of the coordinator at an `https://` address; those of the system when absent.
    #[arg(long, env = "VISMAE_CA")]
    pub ca: Option<PathBuf>,
    /// PEM of the certificate to show to the coordinator, with the name of this worker as DNS name; read anew for each connection.
    #[arg(long, env = "VISMAE_CERT", requires = "key")]
    pub cert: Option<PathBuf>,
    /// PEM of the private key of this certificate.
    #[arg(long, env = "VISMAE_KEY", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Name of this worker, unique at the coordinator; on Kubernetes the pod's name.
    #[arg(long, env = "VISMAE_WORKER_NAME", value_parser = parse_name)]
    pub name: WorkerId,
    /// How many tasks it runs side by side; one for each GPU where there are any.
    #[arg(long)]
    pub slots: Option<u32>,
    /// What the slots compute on.
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,
    /// What is true of this node, as `zone=a`, for jobs that ask for it with `node_labels`; may be given again.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,
    /// CPU threads of each slot; the cores divided by the slots when absent.
    #[arg(long)]
    pub threads: Option<u32>,
    /// Address of this node that other workers reach, on which trainers meet.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Where `/metrics`, `/healthz` and `/readyz` are served; nowhere when absent.
    #[arg(long)]
    pub admin: Option<SocketAddr>,
    /// Serves these on other addresses than this machine's own, although they are in plain text and for everyone.
    #[arg(long)]
    pub insecure_admin: bool,
    #[command(flatten)]
    pub cache: CacheOptions,
    /// How long the coordinator is waited for before giving up, in seconds.
    #[arg(long, default_value_t = 30)]
    pub patience: u64,
    /// Ends when standard input ends, so that a child never outlives its parent.
    #[arg(long)]
    pub exit_with_parent: bool,
}

impl AgentOptions {
    /// What the coordinator is shown, and must show.
    pub(crate) fn trust(&self) -> Trust {
        Trust { ca: self.ca.clone(), identity: self.cert.clone().zip(self.key.clone()) }
    }

    /// How long the coordinator may be out of reach.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

fn parse_label(label: &str) -> Result<(String, String), String> {
    let (key, value) = label.split_once('=').ok_or("expected a key, `=` and a value")?;
    match label_fault(key, value) {
        None => Ok((key.to_owned(), value.to_owned())),
        Some(fault) => Err(fault),
    }
}

fn parse_name(name: &str) -> Result<WorkerId, String> {
    WorkerId::new(name).map_err(|invalid| invalid.to_string())
}
