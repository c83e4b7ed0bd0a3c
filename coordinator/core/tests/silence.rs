//! Ranks whose processes are there and do not run.

mod cluster;

use std::time::Duration;

use cluster::*;
use vismae_core::coordinator::Coordinator;
use vismae_core::failure::Cause;
use vismae_core::job::REJOIN_TIMEOUT;
use vismae_core::worker::HeldTask;

const SHORT: &str = "2 of at least 3 tasks are there, and wait for others in memory";

#[test]
fn a_rank_that_is_frozen_before_the_first_step_is_left_out() {
    let mut cluster = gathered(2, 3);
    cluster.silence("demo.a/0/1", false);
    assert_eq!(cluster.membership(), (vec!["demo.a/0/0".into(), "demo.a/0/2".into()], true));
    cluster.silence("demo.a/0/1", true);
    cluster.progress("demo.a/0/0", 1);
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/2", "demo.a/0/1"]);
}

#[test]
fn where_too_few_are_left_before_the_first_step_it_is_waited_for_a_while() {
    let mut cluster = gathered(3, 3);
    cluster.silence("demo.a/0/1", false);
    cluster.pass(REJOIN_TIMEOUT - Duration::from_secs(1));
    cluster.expect("demo.a", "running", SHORT);
    cluster.pass(Duration::from_secs(1));
    let silent = "stops because `demo.a/0/1`: is silent: its process is there, and does not run";
    cluster.expect("demo.a", "stopping", silent);
}

#[test]
fn a_rank_that_is_frozen_before_all_are_up_is_left_out_of_the_first_membership() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 3);
    cluster.submit(pipeline("demo", vec![job("a", &[], elastic(2, 3))]));
    cluster.ready("demo.a/0/0");
    cluster.silence("demo.a/0/0", false);
    cluster.ready("demo.a/0/1");
    cluster.pass(REJOIN_TIMEOUT);
    cluster.expect("demo.a", "running", "2 of 3 tasks are up");
    cluster.ready("demo.a/0/2");
    assert_eq!(cluster.membership().0, ["demo.a/0/1", "demo.a/0/2"]);
}

#[test]
fn a_gang_of_which_nothing_is_heard_is_given_up_though_newcomers_come() {
    let mut cluster = training(1, 3);
    cluster.fail("demo.a/0/2", Cause::Crash);
    cluster.silence("demo.a/0/0", false);
    cluster.silence("demo.a/0/1", false);
    cluster.sent();
    cluster.ready("demo.a/0/3");
    assert_eq!(cluster.sent(), [""; 0], "it would begin anew, alone");
    cluster.pass(REJOIN_TIMEOUT);
    assert_eq!(cluster.sent(), ["stop demo.a/0/0", "stop demo.a/0/1", "stop demo.a/0/3"]);
}

#[test]
fn whoever_comes_back_first_goes_on_with_what_it_has() {
    let mut cluster = training(1, 2);
    cluster.silence("demo.a/0/0", false);
    assert_eq!(cluster.membership().0, ["demo.a/0/1"]);
    cluster.silence("demo.a/0/1", false);
    cluster.silence("demo.a/0/0", true);
    assert_eq!(cluster.membership().0, ["demo.a/0/0"], "it was no rank of the last membership, and knows enough");
    cluster.silence("demo.a/0/1", true);
    cluster.progress("demo.a/0/0", 6);
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/1"]);
}

#[test]
fn whoever_comes_while_a_group_recovers_waits_for_its_next_step() {
    let mut cluster = training(2, 4);
    cluster.silence("demo.a/0/1", false);
    cluster.sent();
    cluster.silence("demo.a/0/1", true);
    cluster.join("w3", 1);
    cluster.ready("demo.a/0/3");
    assert_eq!(cluster.sent(), ["start demo.a/0/3 w3#0"], "the others would have to wait for each other anew");
    cluster.progress("demo.a/0/0", 5);
    assert_eq!(cluster.sent(), [""; 0], "that is no step");
    cluster.progress("demo.a/0/0", 6);
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/2", "demo.a/0/1", "demo.a/0/3"]);
}

#[test]
fn only_who_is_back_leaves_its_group_at_once() {
    let mut cluster = training(2, 3);
    cluster.silence("demo.a/0/1", false);
    cluster.progress("demo.a/0/0", 6);
    cluster.silence("demo.a/0/1", true);
    assert!(cluster.is_urgent_for("demo.a/0/1"), "nobody else is in its group, and nothing ends it");
    assert!(!cluster.is_urgent_for("demo.a/0/0"), "it finishes its step");
    assert!(!cluster.is_urgent_for("demo.a/0/2"), "it finishes its step");
}

#[test]
fn a_gang_is_given_up_for_who_is_missing_and_not_for_who_is_back() {
    let lost = "stops because `demo.a/0/2`: worker `w2` was lost: its connection ended";
    let mut cluster = training(3, 3);
    cluster.silence("demo.a/0/1", false);
    cluster.pass(Duration::from_secs(10));
    cluster.lose("w2");
    cluster.silence("demo.a/0/1", true);
    cluster.pass(REJOIN_TIMEOUT - Duration::from_secs(10));
    cluster.expect("demo.a", "stopping", lost);

    let mut cluster = training(3, 3);
    cluster.lose("w2");
    cluster.silence("demo.a/0/1", false);
    cluster.pass(REJOIN_TIMEOUT);
    cluster.expect("demo.a", "stopping", lost);

    let mut cluster = training(3, 3);
    cluster.silence("demo.a/0/1", false);
    cluster.silence("demo.a/0/2", false);
    cluster.silence("demo.a/0/2", true);
    cluster.pass(REJOIN_TIMEOUT);
    let silent = "stops because `demo.a/0/1`: is silent: its process is there, and does not run";
    cluster.expect("demo.a", "stopping", silent);
}

#[test]
fn a_gang_that_was_enough_again_waits_anew() {
    let mut cluster = training(3, 3);
    cluster.silence("demo.a/0/1", false);
    cluster.pass(Duration::from_secs(50));
    cluster.silence("demo.a/0/1", true);
    cluster.silence("demo.a/0/2", false);
    cluster.pass(Duration::from_secs(50));
    cluster.expect("demo.a", "running", SHORT);
    cluster.pass(Duration::from_secs(10));
    let silent = "stops because `demo.a/0/2`: is silent: its process is there, and does not run";
    cluster.expect("demo.a", "stopping", silent);
}

#[test]
fn a_frozen_member_is_the_first_to_be_given_up() {
    let mut cluster = training(2, 3);
    cluster.silence("demo.a/0/0", false);
    cluster.sent();
    cluster.submit(pipeline("other", vec![job("b", &[], pretrain(1))]));
    assert_eq!(cluster.sent(), ["stop demo.a/0/0"], "the others are enough, and notice nothing");
    cluster.stopped("demo.a/0/0");
    assert_eq!(cluster.sent(), ["start other.b/0/0 w0#0"]);
    assert_eq!(cluster.job("demo.a").state.gang().unwrap().setbacks, 0);
}

#[test]
fn who_says_that_it_is_up_to_a_new_coordinator_is_not_left_out() {
    let mut cluster = training(3, 3);
    cluster.silence("demo.a/0/1", false);
    let mut next = Cluster::new();
    next.now = cluster.now;
    next.core = Coordinator::restore(LEASE, cluster.now, cluster.records.clone());
    for member in 0..3 {
        let task = format!("demo.a/0/{member}");
        next.come_back(&format!("w{member}"), 1, vec![HeldTask { task: task.parse().unwrap(), slot: 0 }]);
        next.ready(&task);
    }
    next.expect("demo.a", "running", "");
    next.pass(REJOIN_TIMEOUT * 2);
    next.expect("demo.a", "running", "");
}
