//! Meeting the other ranks: from a served store to a formed group, and to the next one when it breaks.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use vismae_c10d::{Backend, GlooDevice, GroupOptions, Membership, ProcessGroup, Store, TcpStore};
use vismae_core::ids::Generation;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{self, Parted, Ready};

use super::TaskContext;
use super::error::TaskError;
use crate::agent::SlotDevice;

/// How long the store of the first rank may take to answer, and the links between ranks to be made: everyone is up and has come.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Second net for a silent peer: longer than any legitimate step, since a dead peer is noticed by its closed connection.
const COLLECTIVE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long one attempt to reach that store may take, and how long it may then take to answer: neither can be interrupted.
const KNOCK: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(1);
/// How often a rank looks whether the others have come.
const LOOK: Duration = Duration::from_millis(2);
/// The least time that others may take to come; they may be in the middle of a step, or still wait for the links of the membership before
/// this one.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(15);
/// How long a rank waits that does not know how long a step takes, as a newcomer: longer than one takes, in most trainings.
const FIRST_PATIENCE: Duration = Duration::from_secs(60);
/// How often a rank that is without a group says so again: its word may have been lost with a coordinator.
const REPEAT: Duration = Duration::from_secs(2);

/// A formed group of ranks, with what keeps it alive.
pub(super) struct Gang {
    pub(super) group: ProcessGroup,
    pub(super) generation: Generation,
    /// The tasks in the order of their ranks.
    pub(super) ranks: Vec<String>,
    /// The connection to the store of the first rank; that one's own is kept by its [`Meeting`].
    _store: Option<TcpStore>,
}

/// The place where a task meets its peers, as often as they change.
pub(super) struct Meeting<'a> {
    context: &'a TaskContext,
    own: TcpStore,
    /// The newest membership that this task has tried to join.
    last: Generation,
    /// What has become of that, where it is broken and nobody may know.
    parted: Option<Parted>,
    /// How long a step takes, as far as this task knows.
    step: Option<Duration>,
}

/// Why a rank has not joined a membership.
enum Absence {
    /// There is a newer one, or the task is told to stop.
    Superseded,
    /// Some have not come, or can't be reached.
    Missing { ranks: Vec<usize>, reason: String },
}

impl<'a> Meeting<'a> {
    /// Serves a store, and says that this task is up.
    pub(super) fn open(context: &'a TaskContext) -> Result<Self, TaskError> {
        let own = TcpStore::serve(SocketAddr::new(context.host, 0))
            .map_err(TaskError::while_doing("serving a rendezvous store"))?;
        context.reporter.send(Event::Ready(Ready { store_address: own.address().to_string() }));
        Ok(Self { context, own, last: Generation(0), parted: None, step: None })
    }

    /// How long a step takes: others that are in one are waited for.
    pub(super) fn expect_steps_of(&mut self, step: Duration) {
        self.step = Some(step);
    }

    /// The group of a generation is broken.
    pub(super) fn part(&mut self, generation: Generation, reason: String) {
        tracing::warn!(%generation, reason, "the group is broken");
        self.say_parted(Parted { generation: generation.0, missing: Vec::new(), reason });
    }

    /// Waits for the next membership, and joins it. `None` when the task is told to stop.
    pub(super) fn next(&mut self) -> Result<Option<Gang>, TaskError> {
        loop {
            let Some(membership) = self.context.control.next_membership(self.last, REPEAT) else {
                if self.context.control.is_stopped() {
                    return Ok(None);
                }
                if let Some(parted) = self.parted.clone() {
                    self.say_parted(parted);
                }
                continue;
            };
            self.last = Generation(membership.generation);
            self.parted = None;
            let (rank, world_size) = place(self.context, &membership)?;
            match self.join(&membership, rank, world_size) {
                Ok(gang) => {
                    self.context.control.guard(gang.generation, gang.group.abort_handle());
                    return Ok(Some(gang));
                }
                Err(Absence::Superseded) => {}
                Err(Absence::Missing { ranks, reason }) => {
                    tracing::warn!(generation = membership.generation, reason, "not every rank has come");
                    let missing = ranks.iter().filter_map(|rank| membership.ranks.get(*rank).cloned()).collect();
                    self.say_parted(Parted { generation: membership.generation, missing, reason });
                }
            }
        }
    }

    fn say_parted(&mut self, parted: Parted) {
        self.context.reporter.send(Event::Parted(parted.clone()));
        self.parted = Some(parted);
    }

    fn join(&self, membership: &v1::Membership, rank: u32, world_size: u32) -> Result<Gang, Absence> {
        let generation = Generation(membership.generation);
        let store = if rank == 0 { None } else { Some(self.connect(&membership.store_address, generation)?) };
        tracing::info!(%generation, rank, world_size, store = %membership.store_address, "joining");
        if let Some(store) = &store {
            // The first rank may fall silent before all have met.
            self.context.control.guard(generation, store.abort_handle());
        }
        let keys = store.as_ref().unwrap_or(&self.own).with_prefix(&format!("{}/{generation}", self.context.id.job));
        let keys = keys.map_err(first_is_missing)?;
        self.wait_for_all(&keys, generation, (rank, world_size))?;
        let members = Membership::new(rank, world_size).map_err(nobody_is_missing)?;
        let options = GroupOptions {
            backend: backend(self.context),
            join_timeout: JOIN_TIMEOUT,
            collective_timeout: COLLECTIVE_TIMEOUT,
        };
        let group = ProcessGroup::new(&keys, members, &options).map_err(nobody_is_missing)?;
        Ok(Gang { group, generation, ranks: membership.ranks.clone(), _store: store })
    }

    /// Connects to the store of the first rank, which may be gone: what replaces this membership then is not kept waiting.
    fn connect(&self, address: &str, generation: Generation) -> Result<TcpStore, Absence> {
        let parsed: SocketAddr =
            address.parse().map_err(|_| first_is_missing(format!("store at `{address}`, expected `address:port`")))?;
        let began = Instant::now();
        // Nothing interrupts libtorch while it tries: it gets little time at once, and is not asked before somebody listens.
        let attempt = || {
            TcpStream::connect_timeout(&parsed, KNOCK).map_err(|error| error.to_string())?;
            TcpStore::connect(parsed, ANSWER).map_err(|error| error.to_string())
        };
        loop {
            let reason = match attempt() {
                Ok(store) => return Ok(store),
                Err(reason) => reason,
            };
            if self.is_over(generation) {
                return Err(Absence::Superseded);
            }
            if began.elapsed() > JOIN_TIMEOUT {
                return Err(first_is_missing(format!("no store at `{address}` for {JOIN_TIMEOUT:?}: {reason}")));
            }
            std::thread::sleep(LOOK * 10);
        }
    }

    /// Whether a membership is not to be joined any more.
    fn is_over(&self, generation: Generation) -> bool {
        self.context.control.is_stopped() || self.context.control.is_superseded(generation)
    }

    /// Waits until every rank is here: only then is the group made, which nothing could interrupt.
    ///
    /// Others may be in the middle of a step: one that knows how long a step takes says who has not come after the time of several.
    fn wait_for_all(&self, keys: &Store, generation: Generation, (rank, world): (u32, u32)) -> Result<(), Absence> {
        let key = |rank: u32| format!("here/{rank}");
        let count = |key: &str, more: i64| keys.add(key, more).map_err(first_is_missing);
        count(&key(rank), 1)?;
        let mut here = count("here", 1)?;
        let began = Instant::now();
        let patience = self.step.map_or(FIRST_PATIENCE, |step| ARRIVAL_PATIENCE.max(step * 4));
        while here < i64::from(world) {
            if self.is_over(generation) {
                // The others are not to begin without it what nothing interrupts.
                count("here", -1).ok();
                return Err(Absence::Superseded);
            }
            if began.elapsed() > patience {
                let mut ranks = Vec::new();
                for rank in 0..world {
                    if count(&key(rank), 0)? == 0 {
                        ranks.push(rank as usize);
                    }
                }
                count("here", -1).ok();
                let reason = format!("{} of {world} ranks have not come within {:?}", ranks.len(), began.elapsed());
                return Err(Absence::Missing { ranks, reason });
            }
            std::thread::sleep(LOOK);
            here = count("here", 0)?;
        }
        Ok(())
    }
}

/// Without the store of the first rank nobody meets.
fn first_is_missing(error: impl std::fmt::Display) -> Absence {
    Absence::Missing { ranks: vec![0], reason: error.to_string() }
}

/// All were there a moment ago.
fn nobody_is_missing(error: impl std::fmt::Display) -> Absence {
    Absence::Missing { ranks: Vec::new(), reason: error.to_string() }
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

fn backend(context: &TaskContext) -> Backend {
    match context.device {
        SlotDevice::Cpu => Backend::Gloo(GlooDevice::Address(context.host)),
        SlotDevice::Cuda(device) => Backend::Nccl { device },
    }
}
