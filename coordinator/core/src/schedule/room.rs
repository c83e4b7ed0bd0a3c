//! The slots that take tasks, and who has a claim on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Seat, UNLIMITED, solve, suffices};
use crate::device::{Device, DeviceKind, PerKind};
use crate::ids::{JobId, NamespaceName, WorkerId};
use crate::reason::Reason;
use crate::spec::{Demand, Labels, Placement};
use crate::worker::{Worker, WorkerState};

/// The slots that take tasks, and what is used of them.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Slots that run nothing and that nobody has a claim on.
    free: Vec<Seat>,
    /// Labels of the workers that have any.
    labels: BTreeMap<WorkerId, Arc<Labels>>,
    /// How many slots there are.
    present: PerKind<u32>,
    /// How many of them a placement admits, as far as anybody has asked.
    admitted: BTreeMap<Placement, PerKind<u32>>,
    /// The slots there are of workers that have labels, and the labels.
    labelled: Vec<(Device, Arc<Labels>)>,
    claimed: Claimed,
    /// Jobs that wait for slots which others will free, in the order of their turns. No later job takes a slot that one of them can
    /// use before it, or a gang would starve.
    pub(crate) claims: Vec<Claim>,
    /// For a namespace, the first of its jobs that waits for quota. No later one takes any before it.
    pub(crate) held: BTreeMap<NamespaceName, JobId>,
    /// For a namespace, the first of its jobs that has found too little quota of its own: later ones may borrow after it, and not
    /// overtake it.
    deferred: BTreeMap<NamespaceName, JobId>,
}

/// What of the slots is used, and what becomes of that.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    /// What each namespace uses.
    pub(crate) used: BTreeMap<NamespaceName, PerKind<u32>>,
    /// What each namespace uses that comes back without another word.
    pub(crate) returning: BTreeMap<NamespaceName, PerKind<u32>>,
    /// Jobs that gangs are stopping for: what these free is theirs.
    pub(crate) owed: BTreeSet<JobId>,
}

/// A job that waits for slots which others will free.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) job: JobId,
    /// Which slots it can use.
    placement: Placement,
    /// Those of them that are free, and too few.
    pub(crate) reserved: PerKind<u32>,
    /// By what right it asks.
    pub(crate) right: Right,
}

/// By what right a job asks for slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// They are within the quota of its namespace.
    Own,
    /// Nobody else needs them now.
    Borrowed,
}

/// What a job asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) job: &'a JobId,
    pub(crate) namespace: &'a NamespaceName,
    pub(crate) demand: Demand,
    pub(crate) placement: &'a Placement,
    pub(crate) right: Right,
    /// The most slots that its namespace may use by that right.
    pub(crate) most: PerKind<u32>,
    /// The most that it may use by any right.
    pub(crate) ceiling: PerKind<u32>,
}

/// What comes of asking.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A slot for every member.
    Seats(Vec<Seat>),
    /// Nothing now.
    Nothing(Reason),
    /// The quota of its namespace is too small, and it may ask again to borrow after all that need not.
    Later,
}

impl Room {
    /// The slots of these workers.
    pub(crate) fn new<'a>(workers: impl Iterator<Item = &'a Worker>, claimed: Claimed) -> Self {
        let mut room = Self { claimed, ..Self::default() };
        for worker in workers.filter(|worker| worker.state == WorkerState::Active) {
            if !worker.labels.is_empty() {
                room.labels.insert(worker.lease.worker.clone(), worker.labels.clone());
                room.labelled.extend(worker.slots.iter().map(|slot| (slot.device, worker.labels.clone())));
            }
            room.present = room.present.plus(PerKind::count(worker.slots.iter().map(|slot| slot.device)));
            let free = worker.slots().filter(|(_, slot)| slot.task.is_none());
            room.free.extend(free.map(|(id, slot)| (id, slot.device)));
        }
        room
    }

    /// Takes slots for every member of a gang, or says why there are none.
    pub(crate) fn take(&mut self, ask: &Ask<'_>) -> Taken {
        let needed = ask.demand.at_least();
        if self.present.total() == 0 {
            return Taken::Nothing(Reason::NoWorkers);
        }
        let admitted = self.admitted(ask.placement);
        if !suffices(ask.demand, admitted) {
            let (present, all) = (admitted.largest(), self.present.total());
            return Taken::Nothing(match ask.placement.is_open() {
                true => Reason::Capacity { needed, present },
                false => Reason::Mismatch {
                    needed,
                    matching: admitted.total(),
                    present: all,
                    placement: ask.placement.clone(),
                },
            });
        }
        let attainable = PerKind::of(|kind| *ask.ceiling.get(kind).min(admitted.get(kind)));
        if !suffices(ask.demand, attainable) {
            // Waiting for what can never be must not hold up others.
            let ask = Ask { most: ask.ceiling, ..*ask };
            return Taken::Nothing(over_quota(&ask, self.used(ask.namespace), admitted));
        }
        if ask.right == Right::Own && self.deferred.contains_key(ask.namespace) && !self.is_owed(ask.job) {
            return Taken::Later;
        }
        if let Some(ahead) = self.held.get(ask.namespace) {
            return Taken::Nothing(Reason::Behind { job: ahead.clone() });
        }
        let used = self.used(ask.namespace);
        let suffices =
            |left: PerKind<u32>| suffices(ask.demand, PerKind::of(|kind| *left.get(kind).min(admitted.get(kind))));
        // Whoever is owed slots, or only waits for quota that is on its way, has a claim before the quota is back, and may borrow until
        // then: others that took the slots meanwhile would have to give them back.
        let returning = self.claimed.returning.get(ask.namespace).copied().unwrap_or_default();
        let is_expected = self.is_owed(ask.job) || suffices(ask.most.minus(used.minus(returning)));
        let by_right = ask.most.minus(used);
        let left = if is_expected && !suffices(by_right) { ask.ceiling.minus(used) } else { by_right };
        let has_quota = suffices(left);
        if !has_quota && !is_expected {
            if ask.right == Right::Own {
                self.deferred.entry(ask.namespace.clone()).or_insert_with(|| ask.job.clone());
                return Taken::Later;
            }
            self.held.insert(ask.namespace.clone(), ask.job.clone());
            return Taken::Nothing(over_quota(ask, used, admitted));
        }
        if let Some(ahead) = self.claims.iter().find(|claim| claim.placement.covers(ask.placement)) {
            return Taken::Nothing(Reason::Behind { job: ahead.job.clone() });
        }
        let usable: Vec<Seat> = self.free.iter().filter(|seat| self.admits(ask.placement, seat)).cloned().collect();
        let Some(seats) = solve(ask.demand, &usable, left) else {
            let reserved = PerKind::count(usable.iter().map(|(_, device)| *device));
            self.claims.push(Claim {
                job: ask.job.clone(),
                placement: ask.placement.clone(),
                reserved,
                right: ask.right,
            });
            self.free.retain(|seat| usable.binary_search(seat).is_err());
            if !has_quota {
                self.held.insert(ask.namespace.clone(), ask.job.clone());
                return Taken::Nothing(over_quota(ask, used, admitted));
            }
            return Taken::Nothing(Reason::Slots { needed, free: reserved.total(), present: admitted.total() });
        };
        self.free.retain(|seat| !seats.contains(seat));
        let now = used.plus(PerKind::count(seats.iter().map(|(_, device)| *device)));
        self.claimed.used.insert(ask.namespace.clone(), now);
        Taken::Seats(seats)
    }

    /// Takes slots of one kind for more members of a gang that runs: as many as there are of those it can use, spread as [`solve`] does.
    pub(crate) fn add(
        &mut self,
        namespace: &NamespaceName,
        placement: &Placement,
        (kind, count): (DeviceKind, u32),
        most: PerKind<u32>,
    ) -> Vec<Seat> {
        let used = self.used(namespace);
        let left = *most.minus(used).get(kind);
        let is_usable = |seat: &&Seat| seat.1.kind() == kind && self.admits(placement, seat);
        let usable: Vec<Seat> = self.free.iter().filter(is_usable).cloned().collect();
        let demand = Demand::Crew { at_most: count.min(left) };
        let seats = solve(demand, &usable, UNLIMITED).unwrap_or_default();
        self.free.retain(|seat| !seats.contains(seat));
        self.claimed.used.insert(namespace.clone(), used.plus(PerKind::count(seats.iter().map(|(_, device)| *device))));
        seats
    }

    /// Whether jobs of a namespace wait for its quota.
    pub(crate) fn is_contended(&self, namespace: &NamespaceName) -> bool {
        self.held.contains_key(namespace) || self.deferred.contains_key(namespace)
    }

    /// Whether no job of its namespace goes before one that waits.
    pub(crate) fn leads(&self, namespace: &NamespaceName, job: &JobId) -> bool {
        self.deferred.get(namespace).is_none_or(|first| first == job)
    }

    /// Whether gangs are stopping for a job.
    pub(crate) fn is_owed(&self, job: &JobId) -> bool {
        self.claimed.owed.contains(job)
    }

    /// What a namespace uses.
    pub(crate) fn used(&self, namespace: &NamespaceName) -> PerKind<u32> {
        self.claimed.used.get(namespace).copied().unwrap_or_default()
    }

    /// Free slots without labels, of so many.
    #[cfg(test)]
    pub(crate) fn of(free: Vec<Seat>, present: PerKind<u32>, used: BTreeMap<NamespaceName, PerKind<u32>>) -> Self {
        Self { free, present, claimed: Claimed { used, ..Claimed::default() }, ..Self::default() }
    }

    /// The slots there are.
    pub(crate) fn present(&self) -> PerKind<u32> {
        self.present
    }

    /// The free slots that nobody has a claim on and that a placement admits.
    pub(crate) fn free(&self, placement: &Placement) -> PerKind<u32> {
        PerKind::count(self.free.iter().filter(|seat| self.admits(placement, seat)).map(|(_, device)| *device))
    }

    /// How many of the slots there are a placement admits.
    pub(crate) fn admitted(&mut self, placement: &Placement) -> PerKind<u32> {
        if placement.labels.is_empty() {
            return PerKind::of(|kind| {
                if placement.device.is_none_or(|wanted| wanted == kind) { *self.present.get(kind) } else { 0 }
            });
        }
        if let Some(known) = self.admitted.get(placement) {
            return *known;
        }
        let admitted = self.labelled.iter().filter(|(device, labels)| placement.admits(*device, labels));
        let count = PerKind::count(admitted.map(|(device, _)| *device));
        self.admitted.insert(placement.clone(), count);
        count
    }

    /// Whether a placement admits a slot.
    pub(crate) fn admits(&self, placement: &Placement, (slot, device): &Seat) -> bool {
        match self.labels.get(&slot.worker) {
            Some(labels) => placement.admits(*device, labels),
            None => placement.admits(*device, &Labels::new()),
        }
    }
}

fn over_quota(ask: &Ask<'_>, used: PerKind<u32>, admitted: PerKind<u32>) -> Reason {
    let needed = ask.demand.at_least();
    let enough = |kind: &DeviceKind| *admitted.get(*kind) >= needed;
    let kind = [DeviceKind::Cuda, DeviceKind::Cpu].into_iter().find(enough).unwrap_or(DeviceKind::Cpu);
    Reason::Quota { namespace: ask.namespace.clone(), kind, needed, used: *used.get(kind), limit: *ask.most.get(kind) }
}
