//! Where the time of slots goes, and what jobs wait for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

mod cluster;

use std::time::Duration;

use cluster::*;
use vismae_core::coordinator::Coordinator;
use vismae_core::event::{Progress, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::job::{STOPS_KEPT, StopReason};

/// What a job's time went to, as `starting 4`, in the order in which uses are listed.
fn spent(cluster: &Cluster, job: &str) -> Vec<String> {
    cluster.job(job).ledger.iter().map(|(on, time)| format!("{} {}", on.word(), time.as_secs_f64())).collect()
}

fn seconds(cluster: &mut Cluster, seconds: u64) {
    cluster.pass(Duration::from_secs(seconds));
}

fn goes_on(cluster: &mut Cluster, task: &str) {
    cluster.report(task, TaskReport::Progress(Progress { done: 1, ..Progress::default() }));
}

#[test]
fn what_succeeds_is_productive_from_its_first_progress_and_each_slot_counts() {
    let mut cluster = Cluster::new();
    cluster.submit(pipeline("p", vec![job("a", &[], pretrain(2)), job("b", &["a"], finetune())]));
    seconds(&mut cluster, 3);
    cluster.join("w0", 2);
    seconds(&mut cluster, 2);
    cluster.ready("p.a/0/0");
    cluster.ready("p.a/0/1");
    goes_on(&mut cluster, "p.a/0/0");
    seconds(&mut cluster, 5);
    cluster.succeed("p.a/0/0");
    seconds(&mut cluster, 1);
    cluster.succeed("p.a/0/1");
    assert_eq!(spent(&cluster, "p.a"), ["productive 11", "starting 4", "wait_workers 3"]);
    assert_eq!(spent(&cluster, "p.b"), ["wait_dependencies 11"]);
    assert_eq!(cluster.job("p.a").ledger.goodput(), Some(11.0 / 15.0));
    assert!(cluster.job("p.a").stops.is_empty());
}

#[test]
fn what_is_not_over_is_booked_as_far_as_it_has_come() {
    let mut cluster = Cluster::new();
    cluster.submit(pipeline("p", vec![job("a", &[], pretrain(2))]));
    seconds(&mut cluster, 3);
    let until_now = |cluster: &Cluster| -> Vec<String> {
        let ledger = cluster.job("p.a").ledger_until(cluster.now);
        ledger.iter().map(|(on, time)| format!("{} {}", on.word(), time.as_secs_f64())).collect()
    };
    assert_eq!((until_now(&cluster), spent(&cluster, "p.a")), (vec!["wait_workers 3".to_owned()], vec![]));
    cluster.join("w0", 2);
    seconds(&mut cluster, 2);
    assert_eq!(until_now(&cluster), ["starting 4", "wait_workers 3"]);
    cluster.ready("p.a/0/0");
    cluster.ready("p.a/0/1");
    goes_on(&mut cluster, "p.a/0/0");
    seconds(&mut cluster, 5);
    assert_eq!(until_now(&cluster), ["productive 10", "starting 4", "wait_workers 3"]);
    assert_eq!(spent(&cluster, "p.a"), ["wait_workers 3"], "the attempt is not over");
    cluster.suspend("p").unwrap();
    assert_eq!(until_now(&cluster), ["starting 4", "suspended 10", "wait_workers 3"], "what stops it is known");
    let expected = until_now(&cluster);
    cluster.stopped("p.a/0/0");
    cluster.stopped("p.a/0/1");
    assert_eq!((until_now(&cluster), spent(&cluster, "p.a")), (expected.clone(), expected), "as it is booked then");
}

#[test]
fn who_waits_for_its_turn_waits_for_no_slots() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 2);
    for (name, slots) in [("p", 1), ("large", 2), ("small", 1)] {
        cluster.submit(pipeline(name, vec![job("a", &[], pretrain(slots))]));
    }
    seconds(&mut cluster, 4);
    cluster.succeed("p.a/0/0");
    cluster.succeed("large.a/0/0");
    cluster.succeed("large.a/0/1");
    assert_eq!(spent(&cluster, "large.a"), ["wait_slots 4"]);
    assert_eq!(spent(&cluster, "small.a"), ["wait_behind 4"]);
}

#[test]
fn what_is_lost_is_lost_to_its_cause() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(pipeline("p", vec![job("a", &[], finetune())]));
    seconds(&mut cluster, 1);
    goes_on(&mut cluster, "p.a/0/0");
    seconds(&mut cluster, 4);
    cluster.fail("p.a/0/0", Cause::Crash);
    seconds(&mut cluster, 1);
    goes_on(&mut cluster, "p.a/1/0");
    seconds(&mut cluster, 2);
    cluster.lose("w0");
    seconds(&mut cluster, 9);
    cluster.join("w0", 1);
    seconds(&mut cluster, 7);
    cluster.succeed("p.a/2/0");
    assert_eq!(
        spent(&cluster, "p.a"),
        ["productive 7", "starting 1", "worker_lost 2", "crash 4", "wait_workers 8", "wait_pause 2"]
    );
    assert_eq!(cluster.job("p.a").stops.len(), 2);
    assert_eq!(cluster.core.spent(), &cluster.job("p.a").ledger, "the whole is the sum of its parts");
}

#[test]
fn what_a_crew_has_finished_counts_though_it_was_stopped() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 2);
    cluster.submit(pipeline("p", vec![job("a", &[], ingest_by(2))]));
    goes_on(&mut cluster, "p.a/0/0");
    seconds(&mut cluster, 6);
    cluster.suspend("p").unwrap();
    cluster.stopped("p.a/0/0");
    cluster.stopped("p.a/0/1");
    seconds(&mut cluster, 5);
    cluster.resume("p").unwrap();
    assert_eq!(spent(&cluster, "p.a"), ["productive 12", "wait_suspended 5"]);
    assert_eq!(cluster.job("p.a").stops[0].why, StopReason::Suspended);
}

#[test]
fn the_ledger_survives_the_coordinator() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(pipeline("p", vec![job("a", &[], finetune())]));
    seconds(&mut cluster, 2);
    goes_on(&mut cluster, "p.a/0/0");
    seconds(&mut cluster, 3);
    let held = vismae_core::worker::HeldTask { task: "p.a/0/0".parse().unwrap(), slot: 0 };
    let core = Coordinator::restore(LEASE, cluster.now, cluster.records.iter().cloned());
    let mut next = Cluster { core, now: cluster.now, ..Cluster::new() };
    next.come_back("w0", 1, vec![held]);
    seconds(&mut next, 4);
    next.succeed("p.a/0/0");
    assert_eq!(spent(&next, "p.a"), ["productive 7", "starting 2"]);
}

#[test]
fn only_the_latest_stops_are_remembered() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(pipeline("p", vec![job("a", &[], finetune())]));
    for attempt in 0..STOPS_KEPT + 3 {
        cluster.suspend("p").unwrap();
        cluster.stopped(&format!("p.a/{attempt}/0"));
        cluster.resume("p").unwrap();
    }
    let stops: Vec<u32> = cluster.job("p.a").stops.iter().map(|stop| stop.attempt).collect();
    assert_eq!(stops, [3, 4, 5, 6, 7]);
}
