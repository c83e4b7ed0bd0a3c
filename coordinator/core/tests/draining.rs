//! Workers that are drained: what runs on them goes elsewhere, and nothing new begins there until an operator says so.

#![allow(clippy::unwrap_used, reason = "a broken expectation is a failed test")]

mod cluster;

use std::time::Duration;

use cluster::{Cluster, elastic, ingest, job, pipeline};
use vismae_core::coordinator::{DRAIN_KEPT, DRAINED_WORKERS};
use vismae_core::effect::{Record, WorkerError};
use vismae_core::ids::WorkerId;
use vismae_core::worker::HeldTask;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A worker that was drained and has left.
fn away() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.drain("w0", false).unwrap();
    assert_eq!(cluster.last.drain, [cluster.leases["w0"].clone()], "it is told to leave");
    assert_eq!(cluster.worker("w0"), "leaving");
    cluster.lose("w0");
    assert_eq!(cluster.worker("w0"), "away");
    cluster
}

fn waits(cluster: &mut Cluster) {
    cluster.expect("demo.a", "waiting", "no worker is here that takes tasks");
    assert!(!cluster.sent().iter().any(|sent| sent.starts_with("start")));
}

#[test]
fn a_drained_worker_that_comes_back_stays_and_works_when_it_may() {
    let mut cluster = away();
    cluster.submit(pipeline("demo", vec![job("a", &[], ingest())]));
    for _ in 0..2 {
        cluster.join("w0", 1);
        assert_eq!(cluster.worker("w0"), "drained");
        assert_eq!(cluster.last.drain, [], "it has done as it was told");
        waits(&mut cluster);
        cluster.lose("w0");
    }
    cluster.join("w0", 1);
    cluster.drain("w0", true).unwrap();
    assert_eq!(cluster.worker("w0"), "active");
    assert_eq!(cluster.sent(), ["start demo.a/0/0 w0#0"]);
}

#[test]
fn it_is_still_drained_when_the_coordinator_has_been_restarted() {
    let mut cluster = away();
    cluster.submit(pipeline("demo", vec![job("a", &[], ingest())]));
    cluster.restart();
    assert_eq!(cluster.worker("w0"), "away");
    assert_eq!(cluster.core.known_workers().count(), 1);
    cluster.join("w0", 1);
    assert_eq!(cluster.worker("w0"), "drained");
    waits(&mut cluster);
    cluster.restart();
    cluster.drain("w0", true).unwrap();
    assert_eq!(cluster.worker("w0"), "unknown", "it is not here, and nothing is known of it");
    cluster.restart();
    cluster.join("w0", 1);
    assert_eq!(cluster.worker("w0"), "active");
}

#[test]
fn one_that_was_not_told_or_not_done_is_told_again() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 2);
    cluster.submit(pipeline("demo", vec![job("a", &[], elastic(1, 2))]));
    let held: Vec<HeldTask> =
        [0, 1].map(|slot| HeldTask { task: format!("demo.a/0/{slot}").parse().unwrap(), slot }).into();
    cluster.drain("w0", false).unwrap();
    cluster.restart();
    cluster.sent();
    cluster.come_back("w0", 2, held);
    assert_eq!((cluster.worker("w0"), &cluster.last.drain), ("leaving", &vec![cluster.leases["w0"].clone()]));
    assert_eq!(cluster.sent(), [""; 0], "its agent stops what it has by itself");
    cluster.lose("w0");
    // What it holds no more, or never heard of, does not begin there.
    cluster.join("w0", 2);
    cluster.pass(Duration::from_secs(5));
    assert_eq!(cluster.worker("w0"), "drained");
    waits(&mut cluster);
}

#[test]
fn a_start_that_a_drained_worker_never_heard_of_goes_to_another_one() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(pipeline("demo", vec![job("a", &[], ingest())]));
    cluster.drain("w0", false).unwrap();
    cluster.restart();
    cluster.sent();
    cluster.join("w0", 1);
    cluster.join("w1", 1);
    cluster.pass(Duration::from_secs(2));
    assert_eq!(cluster.sent(), ["start demo.a/1/0 w1#0"]);
}

#[test]
fn one_that_is_on_its_way_out_works_again_when_it_comes_back() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.drain("w0", false).unwrap();
    cluster.drain("w0", true).unwrap();
    assert_eq!(cluster.worker("w0"), "leaving", "it can't be told to stay");
    cluster.lose("w0");
    assert_eq!(cluster.worker("w0"), "unknown");
    cluster.join("w0", 1);
    assert_eq!(cluster.worker("w0"), "active");
}

#[test]
fn it_is_forgotten_when_the_worker_was_away_for_so_long_and_not_before() {
    let mut cluster = away();
    cluster.now = cluster.now.after(DRAIN_KEPT - DAY);
    cluster.join("w0", 1);
    assert_eq!(cluster.worker("w0"), "drained");
    // As long as it is here it stays so, and its absence is counted from its end.
    cluster.pass(Duration::from_secs(1));
    cluster.now = cluster.now.after(2 * DRAIN_KEPT);
    cluster.restart();
    cluster.now = cluster.now.after(DAY / 2);
    cluster.join("w0", 1);
    assert_eq!(cluster.worker("w0"), "drained", "a coordinator does not know who was here before it");
    cluster.lose("w0");
    cluster.now = cluster.now.after(DRAIN_KEPT);
    cluster.join("w0", 1);
    assert_eq!(cluster.worker("w0"), "active");
    let undrained = Record::Undrained { worker: WorkerId::new("w0").unwrap() };
    assert_eq!(cluster.last.persist, [undrained]);
}

#[test]
fn only_what_is_known_can_be_drained_and_no_more_than_is_remembered() {
    let mut cluster = Cluster::new();
    let unknown = Err(WorkerError::Unknown(WorkerId::new("w0").unwrap()));
    assert_eq!((cluster.drain("w0", false), cluster.drain("w0", true)), (unknown.clone(), unknown));
    let until = cluster.now.after(DRAIN_KEPT);
    let name = |number| WorkerId::new(format!("w{number}")).unwrap();
    cluster.records = (0..DRAINED_WORKERS).map(|number| Record::Drained { worker: name(number), until }).collect();
    cluster.restart();
    cluster.join("one-more", 1);
    assert_eq!(cluster.drain("one-more", false), Err(WorkerError::TooMany { limit: DRAINED_WORKERS }));
    assert_eq!(cluster.drain("w7", false), Ok(()), "it is drained already");
    // Those that are gone for good make room.
    cluster.now = cluster.now.after(DRAIN_KEPT);
    cluster.join("newcomer", 1);
    cluster.drain("newcomer", false).unwrap();
    assert_eq!(
        cluster.core.known_workers().map(|worker| worker.lease.worker.as_str()).collect::<Vec<_>>(),
        ["newcomer"]
    );
}
