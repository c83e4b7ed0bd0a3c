//! Placement: which slots a gang gets. Pure functions of the slots there are.

mod room;
mod victims;

use std::collections::BTreeMap;

use crate::device::{Device, DeviceKind, PerKind};
use crate::ids::{SlotId, WorkerId};
use crate::spec::Demand;

pub(crate) use room::{Ask, Claimed, Right, Room, Taken};
pub(crate) use victims::{Candidate, Shortage, victims};

/// A slot and its device.
pub type Seat = (SlotId, Device);

/// No limit of any kind.
pub const UNLIMITED: PerKind<u32> = PerKind { cpu: u32::MAX, cuda: u32::MAX };

/// Chooses a slot for every member of a gang, or none at all, and no more of a kind than `most`.
///
/// Properties: the slots are distinct and among those given; those of a group are of one kind, GPUs before CPUs, and as many as it
/// can use; a crew gets all there are up to its limit, CPUs before GPUs; no worker gets a second member while another one with a
/// slot left has none; among equals the worker with more slots left is chosen, then the smaller name. The order of the argument makes
/// no difference.
pub fn solve(demand: Demand, free: &[Seat], most: PerKind<u32>) -> Option<Vec<Seat>> {
    let of = |kind: DeviceKind| {
        let mut seats = spread(free.iter().filter(|(_, device)| device.kind() == kind).cloned());
        seats.truncate(*most.get(kind) as usize);
        seats
    };
    let [gpus, cpus] = [DeviceKind::Cuda, DeviceKind::Cpu].map(of);
    let (mut seats, at_most) = match demand {
        Demand::Group { at_least, at_most } => {
            ([gpus, cpus].into_iter().find(|kind| kind.len() >= at_least as usize)?, at_most)
        }
        Demand::Crew { at_most } => ([cpus, gpus].concat(), at_most),
    };
    seats.truncate(at_most as usize);
    (seats.len() >= demand.at_least() as usize).then_some(seats)
}

/// Whether so many slots are enough for a gang.
pub(crate) fn suffices(demand: Demand, slots: PerKind<u32>) -> bool {
    match demand {
        Demand::Group { at_least, .. } => slots.largest() >= at_least,
        Demand::Crew { .. } => slots.total() >= 1,
    }
}

/// Orders slots so that every prefix is spread over as many workers as it can be.
fn spread(slots: impl Iterator<Item = Seat>) -> Vec<Seat> {
    let mut workers: BTreeMap<WorkerId, Vec<Seat>> = BTreeMap::new();
    for (slot, device) in slots {
        workers.entry(slot.worker.clone()).or_default().push((slot, device));
    }
    let mut ranked = Vec::new();
    for seats in workers.values_mut() {
        seats.sort();
        let count = seats.len();
        ranked.extend((0..).zip(seats.drain(..)).map(|(turn, seat)| ((turn, count - turn), seat)));
    }
    ranked.sort_by(|((turn, left), seat), ((other_turn, other_left), other_seat)| {
        turn.cmp(other_turn).then(other_left.cmp(left)).then(seat.cmp(other_seat))
    });
    ranked.into_iter().map(|(_, seat)| seat).collect()
}

#[cfg(test)]
mod tests;
