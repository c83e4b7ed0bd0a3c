//! Placement: which slots a gang gets. Pure functions of the slots there are.

use std::collections::BTreeMap;

use crate::device::Device;
use crate::ids::{JobId, SlotId, WorkerId};
use crate::reason::Reason;
use crate::spec::Demand;

/// A slot and its device.
pub(crate) type Seat = (SlotId, Device);

/// The slots that take tasks.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Those that run nothing.
    pub(crate) free: Vec<(SlotId, Device)>,
    /// How many there are.
    pub(crate) present: u32,
    /// The most of them that can work together.
    pub(crate) largest: u32,
    /// The first job that waits for slots others will free. No later job takes any before it, or a gang would starve.
    pub(crate) claim: Option<JobId>,
}

impl Room {
    /// Takes slots for every member of a gang, or says why there are none.
    pub(crate) fn take(&mut self, job: &JobId, demand: Demand) -> Result<Vec<(SlotId, Device)>, Reason> {
        let (free, present, needed) = (self.free.len() as u32, self.present, demand.at_least());
        if present == 0 {
            return Err(Reason::NoWorkers);
        }
        if self.largest < needed {
            return Err(Reason::Capacity { needed, present: self.largest });
        }
        if let Some(ahead) = &self.claim {
            return Err(Reason::Behind { job: ahead.clone() });
        }
        let Some(seats) = solve(demand, &self.free) else {
            self.claim = Some(job.clone());
            return Err(Reason::Slots { needed, free, present });
        };
        self.free.retain(|seat| !seats.contains(seat));
        Ok(seats)
    }
}

/// Chooses a slot for every member of a gang, or none at all.
///
/// Properties: the slots are distinct and among those given; those of a group can work together, GPUs before CPUs; a crew gets
/// all there are up to its limit, CPUs before GPUs; no worker gets a second member while another one with a slot left has
/// none; among equals the worker with more slots left is chosen, then the smaller name. The order of the argument makes no
/// difference.
pub fn solve(demand: Demand, free: &[(SlotId, Device)]) -> Option<Vec<(SlotId, Device)>> {
    let [gpus, cpus] = kinds(free);
    let (mut seats, most) = match demand {
        Demand::Group(size) => (spread([gpus, cpus].into_iter().find(|kind| kind.len() >= size as usize)?), size),
        Demand::Crew { at_most } => ([spread(cpus), spread(gpus)].concat(), at_most),
    };
    seats.truncate(most as usize);
    (seats.len() >= demand.at_least() as usize).then_some(seats)
}

/// Which gangs must stop so that a demand finds its slots beside those that are free soon: whole gangs, in the order given as far as
/// that order goes, and none whose slots are not needed for it. None at all where it finds them without, or with all of them
/// does not.
pub(crate) fn victims(demand: Demand, soon: &[Seat], gangs: Vec<(JobId, Vec<Seat>)>) -> Vec<JobId> {
    let fits = |stopped: &[(JobId, Vec<Seat>)]| {
        let freed = stopped.iter().flat_map(|(_, seats)| seats);
        solve(demand, &soon.iter().chain(freed).cloned().collect::<Vec<_>>()).is_some()
    };
    let Some(count) = (0..=gangs.len()).find(|&count| fits(&gangs[..count])) else { return Vec::new() };
    let mut stopped = gangs;
    stopped.truncate(count);
    // One that came early in the order may have slots of a kind that does not help.
    for at in (0..stopped.len()).rev() {
        let spared = stopped.remove(at);
        if !fits(&stopped) {
            stopped.insert(at, spared);
        }
    }
    stopped.into_iter().map(|(job, _)| job).collect()
}

/// The most devices that can work together.
pub(crate) fn largest_gang(devices: &[Device]) -> u32 {
    let of = |kind: Device| devices.iter().filter(|device| device.can_join(kind)).count();
    of(Device::Cuda(0)).max(of(Device::Cpu)) as u32
}

/// The slots by kind of device, GPUs first.
fn kinds(slots: &[(SlotId, Device)]) -> [Vec<(SlotId, Device)>; 2] {
    let of = |kind: Device| slots.iter().filter(|(_, device)| device.can_join(kind)).cloned().collect();
    [of(Device::Cuda(0)), of(Device::Cpu)]
}

/// Orders slots so that every prefix is spread over as many workers as it can be.
fn spread(slots: Vec<(SlotId, Device)>) -> Vec<(SlotId, Device)> {
    let mut workers: BTreeMap<WorkerId, Vec<(SlotId, Device)>> = BTreeMap::new();
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
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    use super::*;

    fn slots(layout: &[(&str, u32, Device)]) -> Vec<(SlotId, Device)> {
        layout
            .iter()
            .map(|(worker, index, device)| (SlotId { worker: WorkerId::new(*worker).unwrap(), index: *index }, *device))
            .collect()
    }

    #[track_caller]
    fn check(demand: Demand, free: &[(&str, u32, Device)], expected: Option<&[&str]>) {
        let found =
            solve(demand, &slots(free)).map(|seats| seats.iter().map(|(slot, _)| slot.to_string()).collect::<Vec<_>>());
        assert_eq!(found, expected.map(|names| names.iter().map(ToString::to_string).collect()));
    }

    use Demand::{Crew, Group};
    use Device::{Cpu, Cuda};

    #[test]
    fn a_gang_is_spread_over_workers_first() {
        check(Group(2), &[("a", 0, Cpu), ("a", 1, Cpu), ("b", 0, Cpu)], Some(&["a#0", "b#0"]));
        check(Group(3), &[("a", 0, Cpu), ("a", 1, Cpu), ("b", 0, Cpu)], Some(&["a#0", "b#0", "a#1"]));
    }

    #[test]
    fn a_gang_gets_all_its_slots_or_none() {
        check(Group(2), &[("a", 0, Cpu)], None);
        check(Group(1), &[], None);
        check(Group(2), &[("a", 0, Cpu), ("b", 0, Cuda(0))], None);
    }

    #[test]
    fn one_task_goes_to_the_worker_with_most_room() {
        check(Group(1), &[("a", 0, Cpu), ("b", 0, Cpu), ("b", 1, Cpu)], Some(&["b#0"]));
    }

    #[test]
    fn gpus_are_taken_before_cpus() {
        check(Group(1), &[("a", 0, Cpu), ("b", 0, Cuda(0))], Some(&["b#0"]));
        check(Group(2), &[("a", 0, Cpu), ("a", 1, Cpu), ("b", 0, Cuda(0))], Some(&["a#0", "a#1"]));
    }

    #[test]
    fn a_crew_takes_what_is_free_up_to_its_limit_and_gpus_last() {
        let free = [("a", 0, Cuda(0)), ("b", 0, Cpu), ("b", 1, Cpu)];
        check(Crew { at_most: 8 }, &free, Some(&["b#0", "b#1", "a#0"]));
        check(Crew { at_most: 1 }, &free, Some(&["b#0"]));
        check(Crew { at_most: 8 }, &free[..1], Some(&["a#0"]));
        check(Crew { at_most: 8 }, &[], None);
    }

    fn gang(name: &str, seats: &[(&str, u32, Device)]) -> (JobId, Vec<Seat>) {
        (format!("p.{name}").parse().unwrap(), slots(seats))
    }

    #[test]
    fn no_more_gangs_are_stopped_than_it_takes() {
        let gangs = || {
            vec![
                gang("a", &[("w", 0, Cpu)]),
                gang("b", &[("w", 1, Cuda(0))]),
                gang("c", &[("w", 2, Cpu), ("w", 3, Cpu)]),
            ]
        };
        let stopped = |demand, soon: &[(&str, u32, Device)]| -> Vec<String> {
            victims(demand, &slots(soon), gangs()).iter().map(|job| job.name.to_string()).collect()
        };
        assert_eq!(stopped(Group(1), &[]), ["a"]);
        assert_eq!(stopped(Group(1), &[("x", 0, Cpu)]), [""; 0], "what is free needs nobody to stop");
        assert_eq!(stopped(Group(2), &[("x", 0, Cpu)]), ["a"]);
        assert_eq!(stopped(Group(2), &[]), ["c"], "the first alone is too little, and not needed beside the last");
        assert_eq!(stopped(Group(3), &[]), ["a", "c"], "a GPU does not help CPUs");
        assert_eq!(stopped(Group(4), &[]), [""; 0], "stopping all of them would be for nothing");
    }

    proptest! {
        #[test]
        fn whoever_is_stopped_is_needed_and_enough(sizes in prop::collection::vec(1_u32..4, 0..6), free in 0_u32..3, needed in 1_u32..8) {
            let seats = |worker: String, count: u32| -> Vec<Seat> {
                let worker = WorkerId::new(worker).unwrap();
                (0..count).map(|index| (SlotId { worker: worker.clone(), index }, Cpu)).collect()
            };
            let gangs: Vec<_> =
                sizes.iter().enumerate().map(|(at, &size)| (format!("p.g{at}").parse().unwrap(), seats(format!("w{at}"), size))).collect();
            let chosen = victims(Group(needed), &seats("free".into(), free), gangs.clone());
            let freed = |left_out: Option<&JobId>| -> u32 {
                let stopped = gangs.iter().filter(|(job, _)| chosen.contains(job) && Some(job) != left_out);
                free + stopped.map(|(_, seats)| seats.len() as u32).sum::<u32>()
            };
            let possible = needed > free && free + sizes.iter().sum::<u32>() >= needed;
            prop_assert_eq!(!chosen.is_empty(), possible);
            if possible {
                prop_assert!(freed(None) >= needed);
                prop_assert!(chosen.iter().all(|job| freed(Some(job)) < needed));
            }
        }

        #[test]
        fn placement_keeps_its_promises(rooms in prop::collection::vec(0_u32..5, 0..6), needed in 1_u32..12, turn in 0_usize..20) {
            let mut free: Vec<_> = rooms.iter().enumerate().flat_map(|(worker, count)| {
                let worker = WorkerId::new(format!("w{worker}")).unwrap();
                (0..*count).map(move |index| (SlotId { worker: worker.clone(), index }, Cpu))
            }).collect();
            let total: u32 = rooms.iter().sum();
            let placed = solve(Group(needed), &free);
            prop_assert_eq!(placed.is_some(), needed <= total);
            let turns = turn % free.len().max(1);
            free.rotate_left(turns);
            prop_assert_eq!(&placed, &solve(Group(needed), &free));
            let crew = solve(Crew { at_most: needed }, &free).unwrap_or_default();
            prop_assert_eq!(crew.len() as u32, needed.min(total));
            let Some(seats) = placed else { return Ok(()) };
            prop_assert_eq!(seats.len(), needed as usize);
            prop_assert!(seats.iter().all(|seat| free.contains(seat)));
            prop_assert_eq!(seats.iter().collect::<BTreeSet<_>>().len(), seats.len());
            let held = |worker: usize| seats.iter().filter(|(slot, _)| slot.worker.as_str() == format!("w{worker}")).count();
            let most = (0..rooms.len()).map(held).max().unwrap_or(0);
            for (worker, room) in rooms.iter().enumerate() {
                prop_assert!(held(worker) + 1 >= most || held(worker) == *room as usize);
            }
        }
    }
}
