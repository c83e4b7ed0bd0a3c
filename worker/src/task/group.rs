//! Meeting the other ranks: from a served store to a formed group.

use std::net::SocketAddr;
use std::time::Duration;

use vismae_c10d::{Backend, GlooDevice, GroupOptions, Membership, ProcessGroup, TcpStore};
use vismae_core::ids::Generation;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{self, Ready};

use super::TaskContext;
use super::error::TaskError;
use crate::agent::SlotDevice;

/// How long ranks wait for each other to join: every one of them is already up, so only the network takes time.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Second net for a silent peer: longer than any legitimate step, since a dead peer is noticed by its closed connection.
const COLLECTIVE_TIMEOUT: Duration = Duration::from_secs(600);

/// A formed group of ranks, with what keeps it alive.
pub(super) struct Gang {
    pub(super) group: ProcessGroup,
    pub(super) generation: Generation,
    /// The first rank's holds the server all ranks are connected to.
    _store: TcpStore,
}

/// Serves a store, says so, waits for the coordinator to form a generation, and joins it.
/// `None` when the task is told to stop before that.
pub(super) fn join(context: &TaskContext) -> Result<Option<Gang>, TaskError> {
    let own = TcpStore::serve(SocketAddr::new(context.host, 0))
        .map_err(TaskError::while_doing("serving a rendezvous store"))?;
    context.reporter.send(Event::Ready(Ready { store_address: own.address().to_string() }));
    let Some(membership) = context.control.next_membership() else { return Ok(None) };
    let (rank, world_size) = place(context, &membership)?;
    let store = if rank == 0 { own } else { connect(&membership.store_address)? };
    let generation = Generation(membership.generation);
    tracing::info!(%generation, rank, world_size, store = %membership.store_address, "joining");
    let keys =
        store.with_prefix(&format!("{}/{generation}", context.id.job)).map_err(TaskError::while_doing("joining"))?;
    let members = Membership::new(rank, world_size).map_err(|error| TaskError::environment_from(&error))?;
    let options =
        GroupOptions { backend: backend(context), join_timeout: JOIN_TIMEOUT, collective_timeout: COLLECTIVE_TIMEOUT };
    let group = ProcessGroup::new(&keys, members, &options).map_err(|error| TaskError::environment_from(&error))?;
    Ok(Some(Gang { group, generation, _store: store }))
}

/// The rank of this task and the number of ranks.
fn place(context: &TaskContext, membership: &v1::Membership) -> Result<(u32, u32), TaskError> {
    let own = context.id.to_string();
    let rank = membership.ranks.iter().position(|task| *task == own).ok_or_else(|| {
        TaskError::environment(format!(
            "generation {} does not name task `{own}` among its ranks",
            membership.generation
        ))
    })?;
    Ok((rank as u32, membership.ranks.len() as u32))
}

fn connect(address: &str) -> Result<TcpStore, TaskError> {
    let parsed: SocketAddr = address
        .parse()
        .map_err(|_| TaskError::environment(format!("rendezvous store at `{address}`, expected `address:port`")))?;
    TcpStore::connect(parsed, JOIN_TIMEOUT).map_err(|error| TaskError::environment_from(&error))
}

fn backend(context: &TaskContext) -> Backend {
    match context.device {
        SlotDevice::Cpu => Backend::Gloo(GlooDevice::Address(context.host)),
        SlotDevice::Cuda(device) => Backend::Nccl { device },
    }
}
