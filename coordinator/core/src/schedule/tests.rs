#![allow(clippy::unwrap_used, reason = "a broken expectation is a failed test")]

use proptest::prelude::*;
use std::collections::BTreeSet;

use super::*;
use crate::ids::{JobId, NamespaceName};
use crate::reason::Reason;
use crate::spec::Placement;

fn slots(layout: &[(&str, u32, Device)]) -> Vec<(SlotId, Device)> {
    layout
        .iter()
        .map(|(worker, index, device)| (SlotId { worker: WorkerId::new(*worker).unwrap(), index: *index }, *device))
        .collect()
}

fn group(size: u32) -> Demand {
    Demand::group(size)
}

#[track_caller]
fn check(demand: Demand, free: &[(&str, u32, Device)], expected: Option<&[&str]>) {
    let found = solve(demand, &slots(free), UNLIMITED)
        .map(|seats| seats.iter().map(|(slot, _)| slot.to_string()).collect::<Vec<_>>());
    assert_eq!(found, expected.map(|names| names.iter().map(ToString::to_string).collect()));
}

#[test]
fn a_gang_is_spread_over_workers_first() {
    check(group(2), &[("a", 0, Device::Cpu), ("a", 1, Device::Cpu), ("b", 0, Device::Cpu)], Some(&["a#0", "b#0"]));
    check(
        group(3),
        &[("a", 0, Device::Cpu), ("a", 1, Device::Cpu), ("b", 0, Device::Cpu)],
        Some(&["a#0", "b#0", "a#1"]),
    );
}

#[test]
fn a_gang_gets_all_its_slots_or_none() {
    check(group(2), &[("a", 0, Device::Cpu)], None);
    check(group(1), &[], None);
    check(group(2), &[("a", 0, Device::Cpu), ("b", 0, Device::Cuda(0))], None);
}

#[test]
fn one_task_goes_to_the_worker_with_most_room() {
    check(group(1), &[("a", 0, Device::Cpu), ("b", 0, Device::Cpu), ("b", 1, Device::Cpu)], Some(&["b#0"]));
}

#[test]
fn gpus_are_taken_before_cpus() {
    check(group(1), &[("a", 0, Device::Cpu), ("b", 0, Device::Cuda(0))], Some(&["b#0"]));
    check(group(2), &[("a", 0, Device::Cpu), ("a", 1, Device::Cpu), ("b", 0, Device::Cuda(0))], Some(&["a#0", "a#1"]));
}

#[test]
fn a_crew_takes_what_is_free_up_to_its_limit_and_gpus_last() {
    let free = [("a", 0, Device::Cuda(0)), ("b", 0, Device::Cpu), ("b", 1, Device::Cpu)];
    check(Demand::Crew { at_most: 8 }, &free, Some(&["b#0", "b#1", "a#0"]));
    check(Demand::Crew { at_most: 1 }, &free, Some(&["b#0"]));
    check(Demand::Crew { at_most: 8 }, &free[..1], Some(&["a#0"]));
    check(Demand::Crew { at_most: 8 }, &[], None);
}

#[test]
fn a_group_takes_as_many_as_it_can_use_of_the_kind_that_has_enough() {
    let range = Demand::Group { at_least: 2, at_most: 3 };
    let cpus = [("a", 0, Device::Cpu), ("a", 1, Device::Cpu), ("b", 0, Device::Cpu), ("b", 1, Device::Cpu)];
    check(range, &cpus, Some(&["a#0", "b#0", "a#1"]));
    check(range, &cpus[..2], Some(&["a#0", "a#1"]));
    check(range, &cpus[..1], None);
    check(range, &[&cpus[..], &[("c", 0, Device::Cuda(0)), ("c", 1, Device::Cuda(1))]].concat(), Some(&["c#0", "c#1"]));
}

fn cpus(cpu: u32) -> PerKind<u32> {
    PerKind { cpu, cuda: 0 }
}

fn candidate(name: &str, frees: PerKind<u32>, returns: PerKind<u32>) -> Candidate {
    Candidate { job: format!("p.{name}").parse().unwrap(), member: None, frees, returns }
}

/// Who stops for a group, where so many CPUs are free and quota is no concern.
fn stopped(size: u32, free: u32, candidates: Vec<Candidate>) -> Vec<String> {
    let shortage = Shortage { demand: group(size), free: cpus(free), used: PerKind::default(), most: UNLIMITED };
    victims(shortage, candidates).iter().map(|victim| victim.job.name.to_string()).collect()
}

#[test]
fn no_more_gangs_are_stopped_than_it_takes() {
    let gang = |name, frees| candidate(name, frees, PerKind::default());
    let gangs = || vec![gang("a", cpus(1)), gang("b", PerKind { cpu: 0, cuda: 1 }), gang("c", cpus(2))];
    assert_eq!(stopped(1, 0, gangs()), ["a"]);
    assert_eq!(stopped(1, 1, gangs()), [""; 0], "what is free needs nobody to stop");
    assert_eq!(stopped(2, 1, gangs()), ["a"]);
    assert_eq!(stopped(2, 0, gangs()), ["c"], "the first alone is too little, and not needed beside the last");
    assert_eq!(stopped(3, 0, gangs()), ["a", "c"], "a GPU does not help CPUs");
    assert_eq!(stopped(4, 0, gangs()), [""; 0], "stopping all of them would be for nothing");
}

#[test]
fn members_that_a_gang_can_do_without_go_before_gangs_and_count_once() {
    let member = |name, number| Candidate { member: Some(number), ..candidate(name, cpus(1), cpus(1)) };
    let candidates = || vec![member("a", 3), member("a", 2), candidate("a", cpus(4), cpus(4))];
    let chosen = |size| {
        let shortage = Shortage { demand: group(size), free: cpus(0), used: PerKind::default(), most: UNLIMITED };
        victims(shortage, candidates()).iter().map(|victim| victim.member).collect::<Vec<_>>()
    };
    assert_eq!(chosen(1), [Some(3)]);
    assert_eq!(chosen(2), [Some(3), Some(2)]);
    assert_eq!(chosen(3), [None]);
    assert_eq!(chosen(5), [None; 0], "what a member frees is part of what its gang frees");
}

#[test]
fn a_gang_of_the_own_namespace_stops_for_quota_though_slots_are_free() {
    let own = |name| candidate(name, cpus(1), cpus(1));
    let shortage = Shortage { demand: group(2), free: cpus(8), used: cpus(4), most: cpus(4) };
    let names = |candidates| victims(shortage, candidates).len();
    assert_eq!(names(vec![own("a"), own("b"), own("c")]), 2);
    assert_eq!(
        names(vec![own("a"), candidate("other", cpus(4), cpus(0))]),
        0,
        "another namespace returns no quota of this one"
    );
}

/// A job of a namespace that asks a room of `cpu` slots in which namespace `a` uses so many.
struct Desk {
    room: Room,
    jobs: u32,
}

impl Desk {
    fn new(cpu: u32, used: u32) -> Self {
        let free = (0..cpu).map(|index| (SlotId { worker: WorkerId::new("w").unwrap(), index }, Device::Cpu)).collect();
        Self { room: Room::of(free, cpus(cpu + used), [(name("a"), cpus(used))].into()), jobs: 0 }
    }

    /// With twice as much to borrow at the most.
    fn ask(&mut self, namespace: &str, size: u32, right: Right, most: u32) -> Taken {
        let ceiling = if right == Right::Own { 2 * most } else { most };
        self.jobs += 1;
        let (job, namespace): (JobId, _) = (format!("p.j{}", self.jobs).parse().unwrap(), name(namespace));
        let (demand, placement) = (group(size), &Placement::default());
        self.room.take(&Ask {
            job: &job,
            namespace: &namespace,
            demand,
            placement,
            right,
            most: cpus(most),
            ceiling: cpus(ceiling),
        })
    }
}

fn name(text: &str) -> NamespaceName {
    NamespaceName::new(text).unwrap()
}

fn behind(job: &str) -> Taken {
    Taken::Nothing(Reason::Behind { job: job.parse().unwrap() })
}

#[test]
fn who_has_too_little_quota_of_its_own_is_asked_later_and_all_after_it_in_its_namespace() {
    let mut desk = Desk::new(4, 2);
    assert_eq!(desk.ask("a", 3, Right::Own, 4), Taken::Later);
    assert_eq!(desk.ask("a", 1, Right::Own, 4), Taken::Later, "it would fit, and would overtake");
    assert!(matches!(desk.ask("b", 1, Right::Own, 4), Taken::Seats(_)), "another namespace is not concerned");
    assert!(matches!(desk.ask("a", 3, Right::Borrowed, 5), Taken::Seats(_)));
    assert_eq!(desk.room.used(&name("a")), cpus(5));
}

#[test]
fn who_waits_for_quota_holds_up_its_namespace_and_no_other() {
    let mut desk = Desk::new(4, 2);
    let refused = desk.ask("a", 3, Right::Borrowed, 4);
    assert!(matches!(refused, Taken::Nothing(Reason::Quota { needed: 3, used: 2, limit: 4, .. })), "{refused:?}");
    assert_eq!(desk.ask("a", 1, Right::Borrowed, 4), behind("p.j1"));
    assert!(matches!(desk.ask("b", 4, Right::Own, 4), Taken::Seats(_)));
}

#[test]
fn who_asks_for_more_than_it_may_ever_have_holds_up_nobody() {
    let mut desk = Desk::new(4, 2);
    let refused = desk.ask("a", 5, Right::Borrowed, 4);
    assert!(matches!(refused, Taken::Nothing(Reason::Quota { needed: 5, limit: 4, .. })), "{refused:?}");
    assert!(matches!(desk.ask("a", 2, Right::Borrowed, 4), Taken::Seats(_)));
}

#[test]
fn who_waits_for_slots_keeps_those_it_can_use_from_all_after_it() {
    let mut desk = Desk::new(2, 2);
    assert_eq!(desk.ask("b", 3, Right::Own, 8), Taken::Nothing(Reason::Slots { needed: 3, free: 2, present: 4 }));
    assert_eq!(desk.ask("c", 1, Right::Own, 8), behind("p.j1"));
}

proptest! {
#[test]
fn whoever_is_stopped_is_needed_and_enough(
    gangs in prop::collection::vec((0_u32..4, 0_u32..3, any::<bool>()), 0..7),
    (free_cpu, free_cuda, needed) in (0_u32..3, 0_u32..3, 1_u32..8),
    (used, most) in (0_u32..12, 0_u32..12),
) {
    let candidates: Vec<Candidate> = gangs.iter().enumerate().map(|(at, &(cpu, cuda, own))| {
        let frees = PerKind { cpu, cuda };
        candidate(&format!("g{at}"), frees, if own { frees } else { PerKind::default() })
    }).collect();
    let free = PerKind { cpu: free_cpu, cuda: free_cuda };
    let shortage = Shortage { demand: group(needed), free, used: cpus(used), most: PerKind { cpu: most, cuda: u32::MAX } };
    let chosen: Vec<JobId> = victims(shortage, candidates.clone()).into_iter().map(|victim| victim.job).collect();
    // By another way than the code's: one kind after the other, in plain numbers.
    let ends = |stopped: &dyn Fn(&JobId) -> bool| {
        let stopped: Vec<_> = candidates.iter().filter(|candidate| stopped(&candidate.job)).collect();
        let cpu = (free.cpu + stopped.iter().map(|one| one.frees.cpu).sum::<u32>()) as i64;
        let quota = i64::from(most) - (i64::from(used) - stopped.iter().map(|one| i64::from(one.returns.cpu)).sum::<i64>()).max(0);
        let cuda = free.cuda + stopped.iter().map(|one| one.frees.cuda).sum::<u32>();
        cpu.min(quota) >= i64::from(needed) || cuda >= needed
    };
    let possible = !ends(&|_| false) && ends(&|_| true);
    prop_assert_eq!(!chosen.is_empty(), possible);
    if possible {
        prop_assert!(ends(&|job| chosen.contains(job)));
        for spared in &chosen {
            prop_assert!(!ends(&|job| chosen.contains(job) && job != spared), "{} is not needed", spared);
        }
    }
}

#[test]
fn no_namespace_gets_more_than_it_may_and_no_gang_a_part(
    (slots, used, own, more) in (0_u32..12, 0_u32..6, 0_u32..8, 0_u32..8),
    asks in prop::collection::vec((any::<bool>(), 1_u32..6), 0..12),
) {
    let mut desk = Desk::new(slots, used);
    let (mut taken, mut waiting) = (0, Vec::new());
    for (borrows, size) in asks {
        let (right, most) = if borrows { (Right::Borrowed, own + more) } else { (Right::Own, own) };
        let before = desk.room.used(&name("a")).cpu;
        match desk.ask("a", size, right, most) {
            Taken::Seats(seats) => {
                prop_assert_eq!(seats.len() as u32, size);
                prop_assert!(before + size <= most, "{} and {} of {}", before, size, most);
                prop_assert!(waiting.is_empty(), "it overtook {:?}", waiting);
                taken += size;
            }
            Taken::Nothing(Reason::Slots { .. }) => waiting.push(size),
            Taken::Nothing(Reason::Quota { needed, limit, .. }) if needed <= limit => waiting.push(size),
            _ => {}
        }
    }
    prop_assert!(taken <= slots);
    prop_assert_eq!(desk.room.used(&name("a")).cpu, used + taken);
}

    #[test]
    fn placement_keeps_its_promises(rooms in prop::collection::vec(0_u32..5, 0..6), needed in 1_u32..12, turn in 0_usize..20) {
        let mut free: Vec<_> = rooms.iter().enumerate().flat_map(|(worker, count)| {
            let worker = WorkerId::new(format!("w{worker}")).unwrap();
            (0..*count).map(move |index| (SlotId { worker: worker.clone(), index }, Device::Cpu))
        }).collect();
        let total: u32 = rooms.iter().sum();
        let placed = solve(group(needed), &free, UNLIMITED);
        prop_assert_eq!(placed.is_some(), needed <= total);
        let turns = turn % free.len().max(1);
        free.rotate_left(turns);
        prop_assert_eq!(&placed, &solve(group(needed), &free, UNLIMITED));
        let crew = solve(Demand::Crew { at_most: needed }, &free, UNLIMITED).unwrap_or_default();
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
