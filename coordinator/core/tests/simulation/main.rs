//! Random histories: whatever workers and tasks do, the rules hold, and every pipeline comes to an end once faults stop.
//!
//! The other side is a model of agents that obey the protocol but may be killed, cut off, fall silent, repeat themselves, fail, or
//! be slow; the coordinator may be killed before its records are kept or before anything follows from them, and is restored from
//! what was kept. All choices come from one list of numbers, so that a failing history can be shrunk and replayed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

#[path = "../cluster/mod.rs"]
mod cluster;
mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use vismae_core::job::JobState;
use world::World;

fn play(mut world: World, moves: &[(u8, u16)]) -> World {
    for step in moves {
        world.act(*step);
    }
    world.come_to_rest();
    world
}

fn recorded(moves: &[(u8, u16)]) -> (World, String) {
    let mut world = World::new();
    world.history = Some(String::new());
    let mut world = play(world, moves);
    let history = world.history.take().unwrap_or_default();
    (world, history)
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn every_history_keeps_the_rules_and_comes_to_an_end(moves in prop::collection::vec((0_u8..64, any::<u16>()), 0..250)) {
        play(World::new(), &moves);
    }

    #[test]
    fn one_list_of_moves_has_one_history(moves in prop::collection::vec((0_u8..64, any::<u16>()), 0..50)) {
        prop_assert_eq!(recorded(&moves).1, recorded(&moves).1);
    }
}

/// As many histories as `VISMAE_SIMULATION_CASES` says, or a number that is soon done.
fn config(otherwise: u32) -> ProptestConfig {
    let asked = std::env::var("VISMAE_SIMULATION_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(otherwise),
        failure_persistence: None,
        // Milliseconds: a history that never comes to rest takes long each time.
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(10))]

    #[test]
    fn a_hundred_workers_keep_the_rules_too(moves in prop::collection::vec((0_u8..64, any::<u16>()), 0..400)) {
        play(World::of(120, 100), &moves);
    }
}

/// What histories must show, besides every outcome.
const SEEN: [&str; 18] = [
    "reason: Lost",
    "reason: Broken",
    "reason: Resized",
    "MemberReleased",
    "why: Suspended",
    "why: Late",
    "Reclaimed",
    "Preempted",
    "WorkerLeaves",
    "cause: WorkerLost",
    "Backoff",
    "silent for",
    "came back without it",
    "did not come back within",
    "not wanted any more",
    "WorkerDrained",
    "WorkerUndrained",
    "Settle",
];

#[test]
fn the_histories_reach_what_they_are_meant_to_reach() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let moves = prop::collection::vec((0_u8..64, any::<u16>()), 250);
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let moves = moves.new_tree(&mut runner).unwrap().current();
        let (world, history) = recorded(&moves);
        for state in world.over.values() {
            let JobState::Over { outcome, .. } = state else { continue };
            let text = format!("{outcome:?}");
            seen.insert(text.split([' ', '(']).next().unwrap_or_default().to_owned());
        }
        for word in SEEN {
            if history.contains(word) {
                seen.insert(word.to_owned());
            }
        }
    }
    for word in ["Abandoned", "Cancelled", "Failed", "Late", "Succeeded"].iter().chain(&SEEN) {
        assert!(seen.contains(*word), "no history shows `{word}`: {seen:?}");
    }
}
