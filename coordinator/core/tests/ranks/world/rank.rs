//! One rank, as its process behaves.

use std::time::Duration;

use vismae_core::effect::Membership;
use vismae_core::event::{Progress, TaskReport};
use vismae_core::ids::TaskId;
use vismae_core::stall::{Phase, Stall};

use super::{STEPS, World, ready};

/// Seconds in which a process comes up.
const LOADING: u32 = 3;
/// Seconds without a pulse after which its agent says so.
const SILENCE: u32 = 5;
/// Seconds after which a rank that does not get on says so again.
const REPEAT: u32 = 5;
/// Seconds after which an agent kills a process that does not stop.
const STOP_GRACE: u32 = 20;
/// Seconds for which the making of a group may block.
const JOIN_TIMEOUT: u32 = 10;
/// Seconds in which others must have come: of one that knows how long a step takes, and of a newcomer.
const PATIENCE: u32 = 10;
const FIRST_PATIENCE: u32 = 60;

#[derive(Debug, Clone)]
pub(super) struct Rank {
    pub(super) worker: String,
    pub(super) slot: u32,
    pub(super) is_told_to_stop: bool,
    /// Nobody can connect to it, nor it to others.
    pub(super) is_deaf: bool,
    pub(super) steps: u64,
    loading: u32,
    is_frozen: bool,
    /// Its process is well, and it does not get on in a step.
    is_hung: bool,
    /// For how long it has been in one place of a step, and whether its agent has said so.
    still: u32,
    is_stalled: bool,
    is_silent: bool,
    /// A coordinator that was found since does not know that it is silent.
    pub(super) is_missed: bool,
    /// For how long it has been frozen, or has been told to stop in vain.
    waited: u32,
    newest: Option<Membership>,
    /// Some membership since that of its group was urgent.
    is_urged: bool,
    last: u64,
    place: Place,
    knows_steps: bool,
}

/// Where a rank is in the life of a group.
#[derive(Debug, Clone)]
enum Place {
    /// Without one; with what it has to say of the last.
    Out { parted: Option<(u64, Vec<TaskId>)>, seconds: u32 },
    /// It looks who has come.
    Waiting { membership: Membership, seconds: u32 },
    /// All have come, and it makes the group, which nothing interrupts.
    Making { membership: Membership, seconds: u32 },
    /// In a step.
    Training { membership: Membership, seconds: u32 },
}

impl Rank {
    pub(super) fn new(worker: String, slot: u32) -> Self {
        Self {
            worker,
            slot,
            is_told_to_stop: false,
            is_deaf: false,
            steps: 0,
            loading: LOADING,
            is_frozen: false,
            is_hung: false,
            still: 0,
            is_stalled: false,
            is_silent: false,
            is_missed: false,
            waited: 0,
            newest: None,
            is_urged: false,
            last: 0,
            place: Place::Out { parted: None, seconds: 0 },
            knows_steps: false,
        }
    }

    pub(super) fn freeze(&mut self, frozen: bool) {
        (self.is_frozen, self.waited) = (frozen, 0);
    }

    pub(super) fn hang(&mut self, hung: bool) {
        (self.is_hung, self.waited) = (hung, 0);
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.is_hung && matches!(self.place, Place::Training { .. })
    }

    /// Its worker finds a coordinator.
    pub(super) fn miss(&mut self) {
        self.is_missed |= self.is_silent;
    }

    pub(super) fn is_up(&self) -> bool {
        self.loading == 0
    }

    pub(super) fn hear(&mut self, membership: Membership) {
        if self.newest.as_ref().is_none_or(|known| known.generation < membership.generation) {
            self.is_urged |= membership.urgent;
            self.newest = Some(membership);
        }
    }

    fn is_superseded(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.generation.0 > self.last)
    }

    /// Whether it is in the group of a membership, or makes it.
    fn is_in(&self, generation: u64) -> bool {
        let (Place::Making { membership, .. } | Place::Training { membership, .. }) = &self.place else { return false };
        membership.generation.0 == generation
    }

    fn out(&mut self, parted: Option<(u64, Vec<TaskId>)>) {
        (self.place, self.still) = (Place::Out { parted, seconds: 0 }, 0);
    }
}

impl World {
    /// A second of a rank.
    pub(super) fn live(&mut self, task: &TaskId) {
        let Some(rank) = self.ranks.get_mut(task) else { return };
        let worker = rank.worker.clone();
        if rank.is_frozen {
            rank.waited += 1;
            if rank.is_told_to_stop && rank.waited > STOP_GRACE {
                return self.end(task, TaskReport::Stopped);
            }
            if rank.waited >= SILENCE && !std::mem::replace(&mut rank.is_silent, true) {
                self.say(task, &worker, TaskReport::Silence { over: false });
            }
            return;
        }
        rank.is_missed = false;
        if std::mem::take(&mut rank.is_silent) {
            self.say(task, &worker, TaskReport::Silence { over: true });
        }
        self.watch(task);
        let Some(rank) = self.ranks.get_mut(task) else { return };
        if rank.is_stuck() {
            rank.waited += 1;
            if rank.is_told_to_stop && rank.waited > STOP_GRACE {
                self.end(task, TaskReport::Stopped);
            }
            return;
        }
        if rank.loading > 0 {
            rank.loading -= 1;
            if rank.loading == 0 {
                self.say(task, &worker, ready(task));
            }
            return;
        }
        if rank.is_told_to_stop {
            return self.end(task, TaskReport::Stopped);
        }
        match rank.place.clone() {
            Place::Out { parted, seconds } => self.join_next(task, parted, seconds),
            Place::Waiting { membership, seconds } => self.wait_for_all(task, membership, seconds + 1),
            Place::Making { membership, seconds } => self.make(task, membership, seconds + 1),
            Place::Training { membership, seconds } => self.train(task, &membership, seconds + 1),
        }
    }

    /// Its agent looks whether it gets on.
    fn watch(&mut self, task: &TaskId) {
        let bound = self.bound();
        let Some(rank) = self.ranks.get_mut(task) else { return };
        let generation = match &rank.place {
            Place::Training { membership, .. } => Some(membership.generation),
            _ => None,
        };
        rank.still = if generation.is_some() { rank.still + 1 } else { 0 };
        let (worker, still) = (rank.worker.clone(), rank.still);
        let Some(generation) = generation.filter(|_| still >= bound) else {
            if std::mem::take(&mut rank.is_stalled) {
                self.say(task, &worker, TaskReport::GotOn);
            }
            return;
        };
        if !(still - bound).is_multiple_of(REPEAT) {
            return;
        }
        rank.is_stalled = true;
        let phase = if rank.is_hung { Phase::Data } else { Phase::Collective };
        let collectives = rank.steps + u64::from(!rank.is_hung);
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let stall = Stall { phase, step: rank.steps, collectives, time: seconds(still), bound: seconds(bound) };
        self.say(task, &worker, TaskReport::Stalled { generation, stall });
    }

    fn join_next(&mut self, task: &TaskId, parted: Option<(u64, Vec<TaskId>)>, seconds: u32) {
        let Some(rank) = self.ranks.get_mut(task) else { return };
        if rank.is_superseded()
            && let Some(membership) = rank.newest.clone()
        {
            (rank.last, rank.is_urged) = (membership.generation.0, false);
            if !rank.is_deaf {
                self.arrived.insert((membership.generation.0, task.clone()));
            }
            rank.place = Place::Waiting { membership, seconds: 0 };
            return;
        }
        let Some((generation, missing)) = parted else { return };
        rank.place = Place::Out { parted: Some((generation, missing.clone())), seconds: seconds + 1 };
        if seconds.is_multiple_of(2) {
            let worker = rank.worker.clone();
            let generation = vismae_core::ids::Generation(generation);
            self.say(task, &worker, TaskReport::Parted { generation, missing, reason: "no answer".into() });
        }
    }

    fn wait_for_all(&mut self, task: &TaskId, membership: Membership, seconds: u32) {
        let generation = membership.generation.0;
        let has_come = |rank: &TaskId| self.arrived.contains(&(generation, rank.clone()));
        let mut missing: Vec<TaskId> = membership.ranks.iter().filter(|rank| !has_come(rank)).cloned().collect();
        let Some(rank) = self.ranks.get_mut(task) else { return };
        let mut patience = if rank.knows_steps { PATIENCE.max(4 * self.step) } else { FIRST_PATIENCE };
        if rank.is_deaf && membership.ranks[0] != *task {
            (missing, patience) = (vec![membership.ranks[0].clone()], JOIN_TIMEOUT);
        }
        missing.retain(|missed| missed != task);
        if rank.is_superseded() {
            rank.out(None);
        } else if missing.is_empty() && !rank.is_deaf {
            rank.place = Place::Making { membership, seconds: 0 };
        } else if seconds > patience {
            rank.out(Some((generation, missing)));
        } else {
            rank.place = Place::Waiting { membership, seconds };
        }
    }

    fn make(&mut self, task: &TaskId, membership: Membership, seconds: u32) {
        let generation = membership.generation.0;
        let is_here = |rank: &Rank| rank.is_in(generation) && !rank.is_frozen && !rank.is_deaf;
        let all_are_here = membership.ranks.iter().all(|rank| self.ranks.get(rank).is_some_and(is_here));
        let most = membership.ranks.iter().filter_map(|rank| self.ranks.get(rank)).map(|rank| rank.steps).max();
        if all_are_here {
            for member in &membership.ranks {
                let Some(rank) = self.ranks.get_mut(member) else { continue };
                rank.steps = most.unwrap_or(0);
                rank.place = Place::Training { membership: membership.clone(), seconds: 0 };
                rank.still = 0;
            }
            self.report(&membership);
            return;
        }
        let Some(rank) = self.ranks.get_mut(task) else { return };
        match seconds > JOIN_TIMEOUT {
            true => rank.out(Some((generation, Vec::new()))),
            false => rank.place = Place::Making { membership, seconds },
        }
    }

    fn train(&mut self, task: &TaskId, membership: &Membership, seconds: u32) {
        let generation = membership.generation.0;
        let peer = |rank: &TaskId| self.ranks.get(rank);
        let has_left =
            |rank: &TaskId| !self.ghosts.contains(rank) && peer(rank).is_none_or(|rank| !rank.is_in(generation));
        let is_stuck = |rank: &TaskId| {
            self.ghosts.contains(rank) || peer(rank).is_some_and(|rank| rank.is_frozen || rank.is_stuck())
        };
        let is_broken = membership.ranks.iter().any(has_left);
        let is_stuck = membership.ranks.iter().any(is_stuck);
        let leaves = membership.ranks.iter().any(|rank| peer(rank).is_some_and(Rank::is_superseded));
        let Some(rank) = self.ranks.get_mut(task) else { return };
        if is_broken || rank.is_urged {
            return rank.out(Some((generation, Vec::new())));
        }
        if is_stuck || membership.ranks[0] != *task {
            return;
        }
        if seconds < self.step {
            rank.place = Place::Training { membership: membership.clone(), seconds };
            return;
        }
        let mut steps = 0;
        for member in &membership.ranks {
            let Some(rank) = self.ranks.get_mut(member) else { continue };
            rank.steps += 1;
            rank.still = 0;
            rank.knows_steps = true;
            steps = rank.steps;
            match leaves {
                true => rank.out(None),
                false => rank.place = Place::Training { membership: membership.clone(), seconds: 0 },
            }
        }
        self.report(membership);
        if steps >= STEPS {
            for member in &membership.ranks {
                self.end(member, TaskReport::Succeeded { figures: [].into() });
            }
        }
    }

    /// The first rank says how far they are.
    fn report(&mut self, membership: &Membership) {
        let first = &membership.ranks[0];
        let Some(rank) = self.ranks.get(first) else { return };
        let (worker, done) = (rank.worker.clone(), rank.steps);
        let progress = Progress { phase: "training".into(), done, total: STEPS, ..Progress::default() };
        self.say(first, &worker, TaskReport::Progress(progress));
    }
}
