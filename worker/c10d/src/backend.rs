//! What a group runs on, and how long it may wait.

use std::net::IpAddr;
use std::time::Duration;

/// Variables to set in the environment of a process before it forms its first NCCL group: a failed collective then
/// comes back as an error, instead of libtorch's watchdog ending the process.
pub const NCCL_ENVIRONMENT: [(&str, &str); 1] = [("TORCH_NCCL_BLOCKING_WAIT", "1")];

/// The library that carries a group's collectives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// TCP between CPU tensors.
    Gloo(GlooDevice),
    /// GPU to GPU.
    Nccl {
        /// The CUDA device of this rank.
        device: usize,
    },
}

/// The network side on which Gloo listens for its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GlooDevice {
    /// An address of this machine, which every peer can reach.
    Address(IpAddr),
    /// A network interface by name, such as `eth0`.
    Interface(String),
}

/// How to form a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOptions {
    /// What carries the collectives.
    pub backend: Backend,
    /// How long to wait for every rank to join.
    pub join_timeout: Duration,
    /// How long one collective may take. Only a second net: a silent peer is best cut off by an
    /// [`AbortHandle`](crate::AbortHandle).
    pub collective_timeout: Duration,
}

/// Whether this build can form NCCL groups: libtorch with CUDA and the NCCL headers were there to build against.
pub const fn nccl_available() -> bool {
    cfg!(nccl)
}
