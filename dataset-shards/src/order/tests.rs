//! The promises of an order, for any corpus, any lanes and any number of ranks.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::sample::SampleId;

fn plan(row_counts: &[u32], lanes: u32, per_lane: u32) -> Plan {
    Plan::new(row_counts, PlanSpec { seed: 7, lanes, global_batch: lanes * per_lane, window: 2 }).unwrap()
}

fn any_rows() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0u32..30, 1..12).prop_filter("at least one row", |rows| rows.iter().any(|&n| n > 0))
}

proptest! {
    #[test]
    fn each_row_is_seen_exactly_once_an_epoch(rows in any_rows(), lanes in 1u32..9, per_lane in 1u32..5, epoch in 0u32..4) {
        let plan = plan(&rows, lanes, per_lane);
        let order = plan.epoch(Epoch(epoch));
        let seen: Vec<RowRef> = (0..order.steps()).flat_map(|step| order.rows(step, plan.all_lanes())).collect();
        let distinct: BTreeSet<RowRef> = seen.iter().copied().collect();
        prop_assert_eq!(seen.len() as u64, plan.samples());
        prop_assert_eq!(distinct.len(), seen.len());
        prop_assert!(seen.iter().all(|row| row.row < rows[row.group as usize]));
    }

    #[test]
    fn the_global_batch_is_the_same_for_any_number_of_ranks(
        rows in any_rows(), lanes in 1u32..9, per_lane in 1u32..5, world in 1u32..12,
    ) {
        let plan = plan(&rows, lanes, per_lane);
        let order = plan.epoch(Epoch(1));
        for step in 0..order.steps() {
            let dealt: Vec<RowRef> = (0..world)
                .flat_map(|rank| order.rows(step, plan.lanes_of(Rank(rank), WorldSize(world))))
                .collect();
            prop_assert_eq!(order.global_samples(step) as usize, dealt.len());
            prop_assert_eq!(dealt, order.rows(step, plan.all_lanes()));
        }
    }

    #[test]
    fn lanes_differ_by_at_most_one_row_and_ranks_by_at_most_one_lane(
        rows in any_rows(), lanes in 1u32..9, world in 1u32..12,
    ) {
        let plan = plan(&rows, lanes, 1);
        let order = plan.epoch(Epoch(0));
        let of_lane = |lane: u32| (0..order.steps()).map(|step| order.rows(step, lane..lane + 1).len()).sum::<usize>();
        let lengths: Vec<usize> = (0..lanes).map(of_lane).collect();
        prop_assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1, "{:?}", lengths);
        let shares: Vec<usize> = (0..world).map(|rank| plan.lanes_of(Rank(rank), WorldSize(world)).len()).collect();
        prop_assert_eq!(shares.iter().sum::<usize>(), lanes as usize);
        prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{:?}", shares);
    }

    #[test]
    fn only_the_last_step_is_short(rows in any_rows(), lanes in 1u32..9, per_lane in 1u32..5) {
        let plan = plan(&rows, lanes, per_lane);
        let order = plan.epoch(Epoch(0));
        prop_assert_eq!(order.steps(), plan.steps_per_epoch());
        for step in 0..order.steps() - 1 {
            let short_by = lanes * per_lane - order.global_samples(step);
            // Lanes differ by one row, so the step before the last may lack that row of some lanes.
            prop_assert!(short_by == 0 || (step == order.steps() - 2 && short_by < lanes), "step {} lacks {}", step, short_by);
        }
        prop_assert!(order.global_samples(order.steps() - 1) > 0);
        prop_assert_eq!(order.global_samples(order.steps()), 0);
    }
}

#[test]
fn a_window_holds_rows_of_few_row_groups() {
    let plan = Plan::new(&[8; 12], PlanSpec { seed: 1, lanes: 1, global_batch: 16, window: 2 }).unwrap();
    let order = plan.epoch(Epoch(0));
    for step in 0..order.steps() {
        let groups: BTreeSet<u32> = order.rows(step, 0..1).iter().map(|row| row.group).collect();
        assert_eq!(groups.len(), 2, "step {step}");
    }
}

#[test]
fn epochs_and_seeds_change_the_order_and_nothing_else_does() {
    let of = |seed, epoch| {
        let plan = Plan::new(&[50, 50], PlanSpec { seed, lanes: 2, global_batch: 100, window: 4 }).unwrap();
        plan.epoch(Epoch(epoch)).rows(0, 0..2)
    };
    assert_eq!(of(1, 0), of(1, 0));
    assert_ne!(of(1, 0), of(1, 1));
    assert_ne!(of(1, 0), of(2, 0));
}

#[test]
fn the_order_is_pinned_so_that_an_old_run_can_be_audited() {
    let plan = Plan::new(&[3, 2], PlanSpec { seed: 42, lanes: 1, global_batch: 5, window: 2 }).unwrap();
    let order: Vec<(u32, u32)> = plan.epoch(Epoch(3)).rows(0, 0..1).iter().map(|row| (row.group, row.row)).collect();
    assert_eq!(order, PINNED_ORDER);
    assert_eq!(sample_key(42, Epoch(3), &SampleId::from([9; 16])), PINNED_KEY);
}

const PINNED_ORDER: [(u32, u32); 5] = [(1, 0), (0, 1), (1, 1), (0, 0), (0, 2)];
const PINNED_KEY: u64 = 17_814_015_163_162_850_959;

#[test]
fn sample_keys_depend_on_seed_epoch_and_sample() {
    let sample = SampleId::from([1; 16]);
    let key = sample_key(1, Epoch(0), &sample);
    assert_eq!(key, sample_key(1, Epoch(0), &sample));
    for other in [
        sample_key(2, Epoch(0), &sample),
        sample_key(1, Epoch(1), &sample),
        sample_key(1, Epoch(0), &SampleId::from([2; 16])),
    ] {
        assert_ne!(key, other);
    }
}

#[test]
fn what_gives_no_plan_is_refused_with_its_value() {
    let spec = PlanSpec { seed: 0, lanes: 4, global_batch: 8, window: 1 };
    let refused = |rows: &[u32], spec| Plan::new(rows, spec).unwrap_err();
    assert_eq!(refused(&[1], PlanSpec { global_batch: 6, ..spec }), PlanError::Batch { global_batch: 6, lanes: 4 });
    assert_eq!(refused(&[1], PlanSpec { lanes: 0, ..spec }), PlanError::Batch { global_batch: 8, lanes: 0 });
    assert_eq!(refused(&[1], PlanSpec { window: 0, ..spec }), PlanError::Window);
    assert_eq!(refused(&[0, 0], spec), PlanError::NoRows);
}

/// Two and a half million rows in groups of about 256, as a corpus of tiny frames has them.
fn large() -> Plan {
    let row_counts: Vec<u32> = (0..10_000).map(|group| 230 + group % 41).collect();
    Plan::new(&row_counts, PlanSpec { seed: 11, lanes: 64, global_batch: 640, window: 4 }).unwrap()
}

#[test]
fn an_epoch_of_a_large_corpus_with_ranks_that_change_sees_every_row_once() {
    let plan = large();
    let order = plan.epoch(Epoch(5));
    let mut starts = vec![0_u64];
    starts.extend((0..10_000_u64).scan(0, |end, group| {
        *end += 230 + group % 41;
        Some(*end)
    }));
    let mut seen = vec![false; plan.samples() as usize];
    let worlds = [4, 7, 1, 64, 3, 16, 5, 33, 2, 8, 12];
    let share = order.steps().div_ceil(worlds.len() as u64);
    for (part, world) in (0..).zip(worlds) {
        let steps = part * share..((part + 1) * share).min(order.steps());
        for rank in 0..world {
            let lanes = plan.lanes_of(Rank(rank), WorldSize(world));
            let taken = order.clone().into_steps(lanes, steps.start).take((steps.end - steps.start) as usize);
            for row in taken.flat_map(|(rows, _)| rows) {
                let place = (starts[row.group as usize] + u64::from(row.row)) as usize;
                assert!(!seen[place], "{row:?} twice");
                seen[place] = true;
            }
        }
    }
    assert!(seen.into_iter().all(|seen| seen), "a row is missing");
}

#[test]
fn a_step_is_the_same_whether_it_is_sought_or_come_to() {
    let plan = large();
    let order = plan.epoch(Epoch(1));
    for first in [0, 1, 777, order.steps() - 1] {
        let come_to = order.clone().into_steps(3..9, first).next().unwrap();
        assert_eq!(come_to, (order.rows(first, 3..9), order.global_samples(first)));
    }
    assert!(order.rows(order.steps(), 0..64).is_empty() && order.rows(u64::MAX, 0..64).is_empty());
}
