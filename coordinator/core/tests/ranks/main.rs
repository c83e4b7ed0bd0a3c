//! Random histories of a group that trains: whatever befalls its ranks, once faults stop it goes on, and soon.
//!
//! The other side is a model of ranks as `vismae-worker` has them: they wait for each other in memberships, take steps together, hang in
//! a collective with a peer that stands still, or whose process is well and does not get on, leave it at the end of a step or, told urgently, at once, and say what they have not met.
#![allow(clippy::unwrap_used, reason = "a broken expectation is a failed test")]

#[path = "../cluster/mod.rs"]
mod cluster;
mod world;

use proptest::prelude::*;
use world::World;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_group_goes_on_once_faults_stop(
        (at_least, more) in (1_u32..4, 0_u32..3),
        step in prop::sample::select(vec![1_u32, 1, 25]),
        moves in prop::collection::vec((0_u8..44, any::<u16>()), 0..120),
    ) {
        let mut world = World::new(at_least, at_least + more, step);
        for (what, which) in moves {
            world.act(what, which);
        }
        world.come_to_rest();
    }
}

/// As many histories as `VISMAE_SIMULATION_CASES` says, or a number that is soon done.
fn config() -> ProptestConfig {
    let asked = std::env::var("VISMAE_SIMULATION_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(300),
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    }
}
