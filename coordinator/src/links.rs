//! The coordinator's ends of the streams to its workers.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use vismae_core::effect::{Close, Dispatch};
use vismae_core::ids::WorkerId;
use vismae_core::worker::Lease;
use vismae_proto::v1::coordinator_message::Message;
use vismae_proto::v1::{CoordinatorMessage, Drain, Welcome};
use vismae_proto::{convert, status};

/// Messages waiting for one agent: a start, a membership and a stop for every slot of a large node. An agent that lets
/// them pile up higher is not there any more.
pub(crate) const OUTBOUND: usize = 256;

/// What goes to an agent, or why its stream ends.
pub(crate) type Outbound = mpsc::Sender<Result<CoordinatorMessage, Status>>;

/// One stream.
#[derive(Debug)]
pub(crate) struct Link {
    outbound: Outbound,
    /// Ends the task that listens to the agent.
    listener: DropGuard,
}

impl Link {
    /// A link that cancels the token when it is dropped.
    pub(crate) fn new(outbound: Outbound, listener: CancellationToken) -> Self {
        Self { outbound, listener: listener.drop_guard() }
    }

    /// Queues a message, unless the agent has fallen behind or is gone.
    fn say(&self, message: Message) -> bool {
        self.outbound.try_send(Ok(CoordinatorMessage { message: Some(message) })).is_ok()
    }
}

/// The streams to all workers that are here.
#[derive(Debug)]
pub(crate) struct Links {
    welcome: Welcome,
    links: BTreeMap<WorkerId, (Lease, Link)>,
}

impl Links {
    /// No links yet; each one is going to begin with this welcome.
    pub(crate) fn new(welcome: Welcome) -> Self {
        Self { welcome, links: BTreeMap::new() }
    }

    /// Welcomes a worker that was let in.
    pub(crate) fn open(&mut self, lease: Lease, link: Link) {
        link.say(Message::Welcome(self.welcome));
        self.links.insert(lease.worker.clone(), (lease, link));
    }

    /// Tells a worker to leave, if it is still the one of the lease. When that is not possible, the stay is over.
    pub(crate) fn drain(&mut self, lease: &Lease) -> Result<(), Lease> {
        let link = self.links.get(&lease.worker).filter(|(current, _)| current == lease);
        if link.is_none_or(|(_, link)| link.say(Message::Drain(Drain {}))) {
            return Ok(());
        }
        self.close(Close { lease: lease.clone(), reason: "it does not take its messages".to_owned() });
        Err(lease.clone())
    }

    /// Queues a command. When that is not possible, the stay is over.
    pub(crate) fn send(&mut self, dispatch: &Dispatch) -> Result<(), Lease> {
        let Some((lease, link)) = self.links.get(&dispatch.worker) else { return Ok(()) };
        if link.say(Message::Task(convert::command_to_wire(&dispatch.task, &dispatch.command))) {
            return Ok(());
        }
        let lease = lease.clone();
        self.close(Close { lease: lease.clone(), reason: "it does not take its messages".to_owned() });
        Err(lease)
    }

    /// Ends a stream and says why, if it is still that of the lease.
    pub(crate) fn close(&mut self, close: Close) {
        if let Some(link) = self.take(&close.lease) {
            // A full queue means that nobody reads: then the end of the stream has to speak for itself.
            link.outbound.try_send(Err(status::stream_ended(close.reason))).ok();
            drop(link.listener);
        }
    }

    /// Drops a stream that has ended.
    pub(crate) fn forget(&mut self, lease: &Lease) {
        self.take(lease);
    }

    fn take(&mut self, lease: &Lease) -> Option<Link> {
        if self.links.get(&lease.worker).is_none_or(|(current, _)| current != lease) {
            return None;
        }
        self.links.remove(&lease.worker).map(|(_, link)| link)
    }
}
