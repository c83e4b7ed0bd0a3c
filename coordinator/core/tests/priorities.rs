//! Who goes first, who is stopped for whom, and how often what failed is tried again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

mod cluster;

use std::time::Duration;

use cluster::*;
use vismae_core::event::{Progress, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::job::{FRUITLESS_ATTEMPTS, LOST_WORKER_PAUSE};
use vismae_core::spec::PipelineSpec;

fn of(name: &str, slots: u32, priority: i32) -> PipelineSpec {
    PipelineSpec { priority, ..pipeline(name, vec![job("a", &[], pretrain(slots))]) }
}

/// A pre-training on all of two slots.
fn busy(priority: i32) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.join("w0", 2);
    cluster.submit(of("low", 2, priority));
    cluster.ready("low.a/0/0");
    cluster.ready("low.a/0/1");
    cluster.sent();
    cluster
}

#[test]
fn of_those_that_wait_the_highest_priority_is_next_and_then_the_oldest() {
    let mut cluster = busy(5);
    for (name, priority) in [("second", 1), ("last", 0), ("third", 1), ("first", 5)] {
        cluster.submit(of(name, 2, priority));
    }
    assert_eq!(cluster.sent(), [""; 0], "none is higher than what runs");
    let mut order = Vec::new();
    let mut running = "low".to_owned();
    for _ in 0..4 {
        for member in 0..2 {
            cluster.succeed(&format!("{running}.a/0/{member}"));
        }
        let started = cluster.sent().into_iter().find(|word| word.starts_with("start")).unwrap();
        running = started.split([' ', '.']).nth(1).unwrap().to_owned();
        order.push(running.clone());
    }
    assert_eq!(order, ["first", "second", "third", "last"]);
}

#[test]
fn a_higher_job_has_a_lower_gang_stopped_as_a_whole_and_that_one_goes_on_afterwards() {
    let mut cluster = busy(0);
    cluster.submit(of("high", 1, 1));
    assert_eq!(cluster.sent(), ["stop low.a/0/0", "stop low.a/0/1"]);
    cluster.expect(
        "low.a",
        "stopping",
        "stops because `high.a` has a higher priority (1 over 0) and needs 1 slot; this one held 2",
    );
    cluster.expect("high.a", "waiting", "needs 1 slot at once, 0 of 2 free");
    cluster.pass(Duration::from_secs(5));
    assert_eq!(cluster.sent(), [""; 0], "it is told once");
    cluster.stopped("low.a/0/0");
    assert_eq!(cluster.sent(), ["start high.a/0/0 w0#0"], "a slot is enough");
    cluster.stopped("low.a/0/1");
    cluster.expect("low.a", "waiting", "needs 2 slots at once, 1 of 2 free");
    assert_eq!(cluster.job("low.a").failures, 0, "being stopped is no failure");
    cluster.succeed("high.a/0/0");
    assert_eq!(cluster.sent(), ["start low.a/1/0 w0#0", "start low.a/1/1 w0#1"]);
}

#[test]
fn nobody_is_stopped_for_an_equal_or_in_vain() {
    let mut cluster = busy(1);
    cluster.submit(of("equal", 2, 1));
    cluster.submit(of("large", 3, 9));
    assert_eq!(cluster.sent(), [""; 0]);
    cluster.expect("large.a", "waiting", "needs 3 slots at once, the workers have 2 of one kind");
    cluster.expect("equal.a", "waiting", "needs 2 slots at once, 0 of 2 free");
}

#[test]
fn the_lowest_and_then_the_latest_is_stopped_and_no_more_than_it_takes() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 4);
    for (name, priority) in [("older", 1), ("lowest", 0), ("younger", 1), ("same", 2)] {
        cluster.submit(of(name, 1, priority));
        cluster.pass(Duration::from_secs(1));
    }
    cluster.sent();
    cluster.submit(of("high", 2, 2));
    assert_eq!(cluster.sent(), ["stop lowest.a/0/0", "stop younger.a/0/0"]);
}

#[test]
fn a_member_that_leaves_anyway_is_not_counted_again_with_its_gang() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 5);
    cluster.submit(of("low", 2, 0));
    cluster.submit(of("equal", 3, 1));
    cluster.submit(of("high", 3, 1));
    cluster.succeed("low.a/0/0");
    assert!(cluster.job("low.a").state.gang().unwrap().members[&1].is_live());
    assert_eq!(cluster.job("low.a").state.word(), "running", "its last slot and the free one are too few");
    cluster.expect("high.a", "waiting", "needs 3 slots at once, 1 of 5 free");
}

#[test]
fn a_lost_worker_is_free_as_long_as_something_is_done_in_between() {
    let mut cluster = Cluster::new();
    cluster.submit(of("job", 1, 0));
    for attempt in 0..7 {
        cluster.join("w0", 1);
        cluster.pass(LOST_WORKER_PAUSE);
        cluster
            .report(&format!("job.a/{attempt}/0"), TaskReport::Progress(Progress { done: 1, ..Progress::default() }));
        cluster.lose("w0");
    }
    assert_eq!((cluster.job("job.a").failures, cluster.job("job.a").attempts), (0, 7));
}

#[test]
fn a_job_that_gets_nowhere_is_given_up_whoever_is_at_fault() {
    let mut cluster = Cluster::new();
    cluster.submit(of("job", 1, 0));
    for _ in 0..FRUITLESS_ATTEMPTS {
        cluster.join("w0", 1);
        cluster.pass(LOST_WORKER_PAUSE);
        cluster.lose("w0");
    }
    cluster.expect(
        "job.a",
        "failed",
        "`job.a/2/0`: no progress in 3 attempts; the last: worker `w0` was lost: its connection ended",
    );
}

#[test]
fn bad_input_is_never_tried_again_and_a_crash_twice() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(of("bad", 1, 0));
    cluster.fail("bad.a/0/0", Cause::Input);
    cluster.expect("bad.a", "failed", "`bad.a/0/0`: input trouble");
    cluster.submit(of("crash", 1, 0));
    for attempt in 0..3 {
        let done = Progress { done: 1, ..Progress::default() };
        cluster.report(&format!("crash.a/{attempt}/0"), TaskReport::Progress(done));
        cluster.fail(&format!("crash.a/{attempt}/0"), Cause::Crash);
        cluster.pass(Duration::from_secs(5));
    }
    cluster.expect("crash.a", "failed", "`crash.a/2/0`: crash trouble");
}
