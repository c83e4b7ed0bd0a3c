//! What the figures are bound to, for any corpus and any plan.

use proptest::prelude::*;

use super::super::PlanSpec;
use super::*;

fn plan(row_counts: &[u32], lanes: u32, per_lane: u32, window: u32) -> Plan {
    Plan::new(row_counts, PlanSpec { seed: 11, lanes, global_batch: lanes * per_lane, window }).unwrap()
}

/// Two sources, each of one modality in the first half of its rows and of another in the second.
fn kinds(rows: u64) -> RowKinds {
    let quarter = |row: u64| (4 * row / rows) as u32;
    RowKinds { sources: (0..rows).map(|row| quarter(row) / 2).collect(), modalities: (0..rows).map(quarter).collect() }
}

fn compared(plan: &Plan) -> Comparison {
    compare(plan, Epoch(0), &kinds(plan.samples())).unwrap()
}

proptest! {
    #[test]
    fn figures_stay_within_their_bounds(
        rows in proptest::collection::vec(0u32..30, 1..12), lanes in 1u32..9, per_lane in 1u32..5, window in 1u32..4,
    ) {
        prop_assume!(rows.iter().any(|&rows| rows > 0));
        let plan = plan(&rows, lanes, per_lane, window);
        let Comparison { planned, shuffled, unshuffled } = compared(&plan);
        let most = plan.spec().global_batch.min(rows.iter().filter(|&&rows| rows > 0).count() as u32);
        for quality in [planned, shuffled, unshuffled] {
            // What is as far away as can be was turned round: half of all rows away.
            prop_assert!((0.0..=0.5).contains(&quality.mean_travel), "{quality:?}");
            prop_assert!((0.0..1.0).contains(&quality.median_travel), "{quality:?}");
            prop_assert!((-1.0 - 1e-9..=1.0 + 1e-9).contains(&quality.rank_correlation), "{quality:?}");
            prop_assert!((0.0..1.0).contains(&quality.source_distance), "{quality:?}");
            prop_assert!(quality.modality_distance >= quality.source_distance - 1e-9, "{quality:?}");
            prop_assert!((1.0..=f64::from(most)).contains(&quality.groups_per_batch), "{quality:?}");
        }
        prop_assert_eq!((unshuffled.mean_travel, unshuffled.median_travel), (0.0, 0.0));
        prop_assert!((unshuffled.rank_correlation - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_full_shuffle_is_what_theory_says(seed in any::<u64>()) {
        let spec = PlanSpec { seed, lanes: 1, global_batch: 50, window: 1 };
        let shuffled = compared(&Plan::new(&[100; 80], spec).unwrap()).shuffled;
        // Five standard deviations of 8,000 rows.
        prop_assert!((shuffled.mean_travel - 1.0 / 3.0).abs() < 0.014, "{shuffled:?}");
        prop_assert!((shuffled.median_travel - (1.0 - 0.5_f64.sqrt())).abs() < 0.025, "{shuffled:?}");
        prop_assert!(shuffled.rank_correlation.abs() < 0.06, "{shuffled:?}");
        // The mean deviation of a share of 50 draws from 1/2.
        prop_assert!((shuffled.source_distance - 0.0561).abs() < 0.02, "{shuffled:?}");
    }
}

#[test]
fn batches_of_one_kind_are_as_far_from_the_corpus_as_the_others_are_many() {
    let unshuffled = compared(&plan(&[50; 8], 1, 50, 1)).unshuffled;
    assert_eq!((unshuffled.source_distance, unshuffled.modality_distance), (0.5, 0.75));
    assert_eq!(unshuffled.groups_per_batch, 1.0);
}

#[test]
fn one_lane_over_one_window_of_everything_is_a_full_shuffle() {
    let planned = compared(&plan(&[100; 80], 1, 50, 80)).planned;
    assert!((planned.mean_travel - 1.0 / 3.0).abs() < 0.014, "{planned:?}");
    assert!(planned.source_distance < 0.08, "{planned:?}");
}

#[test]
fn lanes_mix_what_a_window_of_one_row_group_cannot() {
    let rows = [50; 64];
    let [narrow, wide] = [1, 16].map(|lanes| compared(&plan(&rows, lanes, 64 / lanes, 1)));
    assert!(narrow.planned.modality_distance > 2.0 * wide.planned.modality_distance, "{narrow:?} {wide:?}");
    assert!(wide.planned.groups_per_batch > 4.0 * narrow.planned.groups_per_batch, "{narrow:?} {wide:?}");
    let Comparison { planned, shuffled, unshuffled } = wide;
    assert!(shuffled.modality_distance < planned.modality_distance, "{wide:?}");
    assert!(planned.modality_distance < unshuffled.modality_distance, "{wide:?}");
}

#[test]
fn kinds_of_other_rows_are_refused() {
    let error = compare(&plan(&[3, 4], 1, 1, 1), Epoch(0), &kinds(6)).unwrap_err();
    assert_eq!(error.to_string(), "there are 6 sources and 6 modalities of rows, expected one of each for 7 rows");
}
