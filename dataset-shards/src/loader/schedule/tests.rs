//! Schedules over plans, with a reader that answers at once or late.

use std::collections::BTreeSet;

use proptest::prelude::*;
use vismae_core::ids::{Rank, WorldSize};

use super::*;
use crate::order::{Plan, PlanSpec};

/// What a whole reading came to.
#[derive(Debug, Default)]
struct Course {
    fetches: BTreeMap<(Epoch, u32), u32>,
    most_held: u64,
    /// The most that the row groups of one step took.
    most_needed: u64,
    rows: Vec<RowRef>,
}

const BYTES: u64 = 100;

/// Reads lanes of a plan through a schedule. Of the fetches on their way, the one chosen by `late` arrives first.
fn course(plan: &Plan, counts: &[u32], lanes: std::ops::Range<u32>, epochs: u32, budget: u64, late: usize) -> Course {
    let sizes = counts.iter().map(|&rows| GroupSize { rows, bytes: BYTES, encoded: 0 }).collect();
    let mut schedule = Schedule::new(sizes, budget);
    let mut steps = (0..epochs).flat_map(|epoch| {
        let steps = plan.epoch(Epoch(epoch)).into_steps(lanes.clone(), 0).zip(0..);
        steps.map(move |((rows, global_samples), step)| StepRows { epoch: Epoch(epoch), step, rows, global_samples })
    });
    let (mut course, mut coming) = (Course::default(), Vec::new());
    loop {
        while schedule.has_room_ahead()
            && let Some(step) = steps.next()
        {
            schedule.push(step);
        }
        let Some(front) = schedule.steps.front() else { return course };
        let (epoch, needed) = (front.step.epoch, front.groups.len() as u64 * BYTES);
        while let Some(group) = schedule.next_fetch() {
            *course.fetches.entry((epoch, group)).or_default() += 1;
            coming.push(group);
        }
        course.most_held = course.most_held.max(schedule.held);
        course.most_needed = course.most_needed.max(needed);
        if let Some(step) = schedule.ready() {
            assert!(step.rows.iter().all(|row| schedule.group(row.group) == Some(&row.group)));
            course.rows.extend(&step.rows);
            schedule.finish_step();
        } else {
            let group = coming.swap_remove(late % coming.len());
            schedule.settle(group, BYTES, group);
        }
    }
}

fn plan(counts: &[u32], lanes: u32, per_lane: u32, window: u32) -> Plan {
    Plan::new(counts, PlanSpec { seed: 1, lanes, global_batch: lanes * per_lane, window }).unwrap()
}

proptest! {
    #[test]
    fn every_step_finds_its_groups_and_the_budget_is_kept(
        counts in proptest::collection::vec(1_u32..20, 1..30), lanes in 1_u32..5, per_lane in 1_u32..9, window in 1_u32..4,
        groups in 0_u64..20, late in 0_usize..5,
    ) {
        let plan = plan(&counts, lanes, per_lane, window);
        let course = course(&plan, &counts, plan.all_lanes(), 2, groups * BYTES, late);
        prop_assert_eq!(course.rows.len() as u64, 2 * plan.samples());
        prop_assert!(course.most_held <= groups * BYTES + course.most_needed, "{:?}", course);
    }

    #[test]
    fn with_a_window_and_a_border_for_each_lane_every_group_is_fetched_once_an_epoch(
        groups in 8_usize..40, lanes in 1_u32..5, window in 1_u32..4, world in 1_u32..4, late in 0_usize..5,
    ) {
        let counts = vec![12; groups];
        let plan = plan(&counts, lanes, 2, window);
        let mut readers: BTreeMap<u32, u32> = BTreeMap::new();
        for rank in 0..world {
            let of_rank = plan.lanes_of(Rank(rank), WorldSize(world));
            let budget = u64::from(of_rank.end - of_rank.start) * u64::from(2 * window + 2) * BYTES;
            let course = course(&plan, &counts, of_rank, 1, budget, late);
            prop_assert!(course.fetches.values().all(|&fetches| fetches == 1), "{:?}", course);
            for &(_, group) in course.fetches.keys() {
                *readers.entry(group).or_default() += 1;
            }
        }
        let twice = readers.values().map(|readers| readers - 1).sum::<u32>();
        prop_assert_eq!(readers.len(), groups);
        prop_assert!(twice < world.min(lanes), "{:?}", readers);
    }
}

#[test]
fn groups_are_fetched_ahead_as_far_as_the_budget_reaches() {
    let mut schedule = Schedule::new(vec![GroupSize { rows: 1, bytes: BYTES, encoded: 0 }; 9], 3 * BYTES);
    let steps = (0..9).map(|group| StepRows {
        epoch: Epoch(0),
        step: u64::from(group),
        rows: vec![RowRef { group, row: 0 }],
        global_samples: 1,
    });
    steps.for_each(|step| schedule.push(step));
    assert!(!schedule.has_room_ahead());
    let fetched: Vec<u32> = std::iter::from_fn(|| schedule.next_fetch()).collect();
    assert_eq!(fetched, [0, 1, 2]);
    schedule.settle(0, BYTES, ());
    assert_eq!((schedule.ready().map(|step| step.step), schedule.next_fetch()), (Some(0), None));
    schedule.finish_step();
    assert_eq!(schedule.next_fetch(), Some(3));
    assert!(schedule.ready().is_none());
}

#[test]
fn what_the_next_step_needs_pushes_out_what_is_needed_last() {
    let mut schedule = Schedule::new(vec![GroupSize { rows: 9, bytes: BYTES, encoded: 0 }; 4], 2 * BYTES);
    let step = |step: u64, groups: &[u32]| StepRows {
        epoch: Epoch(0),
        step,
        rows: groups.iter().map(|&group| RowRef { group, row: step as u32 }).collect(),
        global_samples: 1,
    };
    for (number, groups) in [&[0, 1][..], &[2], &[0], &[1]].into_iter().enumerate() {
        schedule.push(step(number as u64, groups));
    }
    for group in [0, 1] {
        assert_eq!(schedule.next_fetch(), Some(group));
        schedule.settle(group, BYTES, ());
    }
    schedule.finish_step();
    assert_eq!(schedule.next_fetch(), Some(2));
    let held: BTreeSet<u32> = schedule.groups.keys().copied().collect();
    assert_eq!((held, schedule.held), (BTreeSet::from([0, 2]), 2 * BYTES));
}
