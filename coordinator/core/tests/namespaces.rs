//! Who may use how many slots, who lends them, and how they come back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

mod cluster;

use std::time::Duration;

use cluster::*;
use vismae_core::device::PerKind;
use vismae_core::effect::{Answer, NamespaceError, Record, SubmitError};
use vismae_core::event::Event;
use vismae_core::ids::NamespaceName;
use vismae_core::namespace::NamespaceDeletion;
use vismae_core::namespace::{Borrowing, Limits, Namespace, NamespaceChange};
use vismae_core::spec::PipelineSpec;

fn name(text: &str) -> NamespaceName {
    NamespaceName::new(text).unwrap()
}

/// A quota of CPU slots, and whether more may be borrowed.
fn quota(cpu: u32, borrowing: Borrowing) -> NamespaceChange {
    NamespaceChange {
        quota: PerKind { cpu: Some(Some(cpu)), cuda: None },
        borrowing: Some(borrowing),
        ..NamespaceChange::default()
    }
}

fn of(namespace: &str, pipeline_name: &str, slots: u32, priority: i32) -> PipelineSpec {
    let jobs = vec![job("a", &[], pretrain(slots))];
    PipelineSpec { priority, namespace: name(namespace), ..pipeline(pipeline_name, jobs) }
}

/// Four slots, of which two are the quota of each of two namespaces.
fn shared(borrowing: Borrowing) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.join("w0", 4);
    for namespace in ["left", "right"] {
        cluster.namespace(namespace, quota(2, borrowing)).unwrap();
    }
    cluster
}

fn usage(cluster: &Cluster, namespace: &str) -> (u32, u32, u32) {
    let usage = cluster.core.usage()[&name(namespace)];
    (usage.used.cpu, usage.borrowed.cpu, usage.pending)
}

#[test]
fn an_unknown_namespace_is_named_with_those_there_are() {
    let mut cluster = shared(Borrowing::Never);
    let refused = cluster.try_submit(of("lost", "p", 1, 0), None).unwrap_err();
    assert_eq!(refused.to_string(), "`namespace` is `lost`, expected one that there is: `default`, `left`, `right`");
}

#[test]
fn a_quota_is_not_exceeded_and_nobody_else_waits_for_it() {
    let mut cluster = shared(Borrowing::Never);
    cluster.submit(of("left", "one", 2, 0));
    cluster.submit(of("left", "two", 1, 0));
    cluster.submit(of("left", "never", 3, 0));
    cluster.submit(of("right", "other", 2, 0));
    cluster.expect("one.a", "running", "0 of 2 tasks are up");
    cluster.expect(
        "two.a",
        "waiting",
        "needs 1 slot at once, namespace `left` uses 2 of the 2 of kind `cpu` that it may",
    );
    cluster.expect("never.a", "waiting", "needs 3 slots at once, namespace `left` may use 2 of kind `cpu` and uses 2");
    cluster.expect("other.a", "running", "0 of 2 tasks are up");
    assert_eq!(usage(&cluster, "left"), (2, 0, 2));
    cluster.succeed("one.a/0/0");
    cluster.expect("two.a", "running", "");
}

#[test]
fn idle_slots_are_lent_up_to_the_limit() {
    let mut cluster = shared(Borrowing::UpTo(1));
    cluster.submit(of("left", "one", 2, 0));
    cluster.submit(of("left", "two", 1, 0));
    cluster.submit(of("left", "three", 1, 0));
    cluster.expect("two.a", "running", "");
    cluster.expect(
        "three.a",
        "waiting",
        "needs 1 slot at once, namespace `left` uses 3 of the 3 of kind `cpu` that it may",
    );
    assert_eq!(usage(&cluster, "left"), (3, 1, 1));
}

#[test]
fn what_was_borrowed_is_reclaimed_as_whole_gangs_and_no_more_than_it_takes() {
    let mut cluster = shared(Borrowing::Unlimited);
    cluster.submit(of("left", "own", 2, 0));
    cluster.pass(Duration::from_secs(1));
    cluster.submit(of("left", "older", 1, 5));
    cluster.pass(Duration::from_secs(1));
    cluster.submit(of("left", "newer", 1, 5));
    cluster.sent();
    cluster.submit(of("right", "mine", 1, -9));
    assert_eq!(
        cluster.sent(),
        ["stop own.a/0/0", "stop own.a/0/1"],
        "of a namespace that borrows the lowest is stopped first"
    );
    cluster.expect(
        "own.a",
        "stopping",
        "stops because `mine.a` needs 1 slot within its quota; this one held 2, some of them borrowed",
    );
    cluster.stopped("own.a/0/0");
    cluster.stopped("own.a/0/1");
    cluster.expect("mine.a", "running", "");
    assert_eq!(cluster.job("own.a").failures, 0);
    cluster.submit(of("right", "more", 1, -9));
    assert_eq!(
        usage(&cluster, "left"),
        (2, 0, 0),
        "what came back is the claim of nobody but those within their quota"
    );
    cluster.expect("more.a", "running", "");
}

#[test]
fn slots_within_a_quota_are_taken_by_a_higher_priority_of_the_same_namespace_only() {
    let mut cluster = shared(Borrowing::Unlimited);
    cluster.submit(of("left", "low", 2, 0));
    cluster.submit(of("right", "there", 2, 0));
    cluster.sent();
    cluster.submit(of("right", "urgent", 1, 1000));
    assert_eq!(cluster.sent(), ["stop there.a/0/0", "stop there.a/0/1"]);
    cluster.expect(
        "there.a",
        "stopping",
        "stops because `urgent.a` has a higher priority (1000 over 0) and needs 1 slot; this one held 2",
    );
    cluster.expect("low.a", "running", "0 of 2 tasks are up");
}

#[test]
fn a_borrower_waits_behind_those_within_their_quota_and_stops_nobody() {
    let mut cluster = shared(Borrowing::Unlimited);
    cluster.submit(of("left", "one", 2, 0));
    cluster.submit(of("right", "two", 1, 0));
    cluster.submit(of("left", "large", 2, 0));
    cluster.expect("large.a", "waiting", "needs 2 slots at once, 1 of 4 free");
    cluster.submit(of("right", "three", 1, -5));
    cluster.expect("three.a", "running", "");
    assert!(cluster.sent().iter().all(|sent| sent.starts_with("start")), "nobody was stopped");
}

#[test]
fn a_namespace_has_a_revision_and_its_pipelines_keep_it() {
    let mut cluster = Cluster::new();
    let made = cluster.namespace("left", quota(2, Borrowing::Never)).unwrap();
    let limits = Limits { quota: PerKind { cpu: Some(2), cuda: None }, ..Limits::default() };
    assert_eq!(made, Namespace { name: name("left"), limits, revision: 1 });
    assert_eq!(cluster.last.persist, [Record::Namespace(made.clone())]);
    assert_eq!(cluster.namespace("left", quota(2, Borrowing::Never)).unwrap().revision, 1, "nothing has changed");
    assert!(cluster.last.persist.is_empty());
    assert_eq!(cluster.namespace("left", quota(3, Borrowing::Never)).unwrap().revision, 2);

    let delete = |cluster: &mut Cluster, namespace: &str, revision| match cluster
        .handle(Event::DeleteNamespace(NamespaceDeletion { name: name(namespace), revision }))
        .answer
        .clone()
    {
        Some(Answer::Namespace(result)) => result,
        other => panic!("{other:?}"),
    };
    let changed = NamespaceError::Changed { name: name("left"), found: 2, expected: 1 };
    assert_eq!(delete(&mut cluster, "left", Some(1)), Err(changed));
    cluster.submit(of("left", "p", 1, 0));
    assert_eq!(delete(&mut cluster, "left", Some(2)), Err(NamespaceError::InUse { name: name("left"), open: 1 }));
    cluster.cancel("p").unwrap();
    assert!(delete(&mut cluster, "left", None).is_ok());
    assert_eq!(cluster.last.persist, [Record::NamespaceDeleted { namespace: name("left") }]);
    cluster.pass(Duration::from_millis(3));
    let again = cluster.namespace("left", quota(2, Borrowing::Never)).unwrap();
    assert!(again.revision > 2, "an earlier revision never comes again: {}", again.revision);
    let default = NamespaceName::default();
    assert_eq!(delete(&mut cluster, "default", None), Err(NamespaceError::Default { name: default }));
}

#[test]
fn a_full_queue_is_told_from_a_wrong_submission() {
    let mut cluster = shared(Borrowing::Never);
    let change = NamespaceChange { max_pending: Some(Some(1)), ..NamespaceChange::default() };
    cluster.namespace("left", change).unwrap();
    cluster.submit(of("left", "runs", 2, 0));
    cluster.submit(of("left", "waits", 2, 0));
    let full = cluster.try_submit(of("left", "late", 2, 0), None).unwrap_err();
    assert_eq!(full, SubmitError::QueueFull { namespace: Some(name("left")), open: 1, limit: 1 });
    cluster.submit(of("right", "elsewhere", 2, 0));
    cluster.cancel("waits").unwrap();
    cluster.submit(of("left", "late", 2, 0));
}

#[test]
fn slots_are_kept_for_a_job_whose_quota_is_coming_back() {
    let mut cluster = shared(Borrowing::Never);
    cluster.namespace("right", quota(3, Borrowing::Never)).unwrap();
    cluster.submit(of("right", "low", 2, 0));
    cluster.sent();
    cluster.submit(of("right", "high", 3, 1));
    assert_eq!(cluster.sent(), ["stop low.a/0/0", "stop low.a/0/1"]);
    // Two slots are free and within its quota; the first in turn has a claim on them, though its own quota is not back yet.
    cluster.submit(of("left", "other", 2, 0));
    cluster.expect(
        "high.a",
        "waiting",
        "needs 3 slots at once, namespace `right` uses 2 of the 3 of kind `cpu` that it may",
    );
    cluster.expect("other.a", "waiting", "waits behind `high.a`, which has the next claim on free slots");
    cluster.stopped("low.a/0/0");
    cluster.expect("other.a", "waiting", "waits behind `high.a`, which has the next claim on free slots");
    cluster.stopped("low.a/0/1");
    cluster.expect("high.a", "running", "0 of 3 tasks are up");
}

#[test]
fn what_can_never_run_costs_its_namespace_nothing() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 4);
    cluster.namespace("left", quota(2, Borrowing::Never)).unwrap();
    cluster.namespace("right", quota(0, Borrowing::Unlimited)).unwrap();
    cluster.submit(of("right", "old", 4, 0));
    cluster.submit(of("left", "never", 4, 0));
    cluster.expect("never.a", "waiting", "needs 4 slots at once, namespace `left` may use 2 of kind `cpu` and uses 0");
    cluster.sent();
    cluster.submit(of("left", "small", 2, 0));
    assert_eq!(cluster.sent().len(), 4, "the borrower stops");
    (0..4).for_each(|member| cluster.stopped(&format!("old.a/0/{member}")));
    cluster.expect("small.a", "running", "0 of 2 tasks are up");
    assert_eq!(
        cluster.sent(),
        ["start small.a/0/0 w0#0", "start small.a/0/1 w0#1"],
        "and does not start again before it"
    );
}

#[test]
fn who_may_not_go_first_has_nobody_stopped() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 4);
    cluster.namespace("left", quota(2, Borrowing::UpTo(1))).unwrap();
    cluster.namespace("right", quota(0, Borrowing::Unlimited)).unwrap();
    cluster.submit(of("right", "old", 4, 0));
    // The first would borrow, so that it has nobody stopped; the second is within its quota, and not the first.
    cluster.submit(of("left", "first", 3, 0));
    cluster.submit(of("left", "second", 2, 0));
    assert!(cluster.sent().iter().all(|sent| sent.starts_with("start")));
    cluster.expect("old.a", "running", "0 of 4 tasks are up");
}

#[test]
fn a_borrower_does_not_start_again_before_the_one_it_was_stopped_for() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 4);
    cluster.namespace("left", quota(0, Borrowing::Unlimited)).unwrap();
    cluster.namespace("right", quota(3, Borrowing::Never)).unwrap();
    cluster.submit(of("right", "short", 2, 0));
    cluster.submit(of("left", "old", 2, 0));
    (0..2).for_each(|member| cluster.ready(&format!("short.a/0/{member}")));
    cluster.succeed("short.a/0/0");
    cluster.sent();
    // One member of `short` has been told to stop and has not done so yet: its quota is on its way back, and is not back.
    cluster.submit(of("right", "next", 3, 0));
    assert_eq!(cluster.sent(), ["stop old.a/0/0", "stop old.a/0/1"]);
    (0..2).for_each(|member| cluster.stopped(&format!("old.a/0/{member}")));
    assert_eq!(cluster.sent(), Vec::<String>::new(), "`old` is not let in again");
    cluster.stopped("short.a/0/1");
    assert_eq!(cluster.sent(), ["start next.a/0/0 w0#0", "start next.a/0/1 w0#1", "start next.a/0/2 w0#2"]);
}

#[test]
fn a_request_is_known_in_its_namespace_only() {
    let mut cluster = shared(Borrowing::Never);
    let one = cluster.try_submit(of("left", "p", 1, 0), Some(7)).unwrap();
    let other = cluster.try_submit(of("right", "p", 1, 0), Some(7)).unwrap();
    assert_ne!(one, other);
    assert_eq!(cluster.try_submit(of("left", "p", 1, 0), Some(7)).unwrap(), one);
    assert_eq!(cluster.try_submit(of("right", "p", 1, 0), Some(7)).unwrap(), other);
}
