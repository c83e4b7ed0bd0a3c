//! What a user is told who asks why a job does not run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

mod cluster;

use std::time::Duration;

use cluster::*;
use vismae_core::device::PerKind;
use vismae_core::effect::EvictReason;
use vismae_core::explanation::{Eviction, Explanation, Slots};
use vismae_core::failure::Cause;
use vismae_core::namespace::NamespaceChange;
use vismae_core::spec::{JobSpec, Labels, PipelineSpec, Placement};

fn explain(cluster: &Cluster, job: &str) -> Explanation {
    cluster.core.explain(cluster.now, &job.parse().unwrap()).unwrap()
}

#[track_caller]
fn check(cluster: &Cluster, job: &str, remedy: &str) -> Explanation {
    let explanation = explain(cluster, job);
    assert_eq!(explanation.remedy.to_string(), remedy, "{explanation:?}");
    explanation
}

fn of(name: &str, slots: u32, priority: i32) -> PipelineSpec {
    PipelineSpec { priority, ..pipeline(name, vec![job("a", &[], pretrain(slots)), job("b", &["a"], finetune())]) }
}

#[test]
fn every_reason_has_its_remedy_with_numbers() {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.core.explain(cluster.now, &"no.job".parse().unwrap()), None);
    cluster.submit(of("first", 2, 1));
    check(&cluster, "first.a", "workers with 2 slots more that it may use must join, or it must ask for less");
    cluster.join("w0", 3);
    check(&cluster, "first.a", "nothing has to happen");
    check(&cluster, "first.b", "the jobs it needs must succeed");
    cluster.submit(of("second", 2, 1));
    let second = check(&cluster, "second.a", "1 slot more must come free; nobody can be stopped for it");
    let cpu = |cpu| PerKind { cpu, cuda: 0 };
    assert_eq!(second.slots, Slots { present: cpu(3), matching: cpu(3), free: cpu(1) });
    assert_eq!((second.before, second.holders.len(), second.holders[0].1), (1, 1, 2));
    cluster.submit(of("third", 1, 0));
    let third = check(&cluster, "third.b", "the jobs it needs must succeed");
    let chain: Vec<String> = third.ahead.iter().map(|link| format!("{}: {}", link.job, link.state)).collect();
    assert_eq!(
        chain,
        [
            "third.a: waits behind `second.a`, which has the next claim on free slots",
            "second.a: needs 2 slots at once, 1 of 3 free"
        ]
    );
    check(&cluster, "third.a", "the jobs before it must have their slots");
    cluster.submit(of("huge", 5, 9));
    check(&cluster, "huge.a", "workers with 2 slots more that it may use must join, or it must ask for less");
    cluster.submit(of("urgent", 2, 9));
    let urgent = check(&cluster, "urgent.a", "1 slot more must come free; `first.a` stop already");
    assert_eq!(urgent.before, 2);
    check(&cluster, "first.a", "its tasks must have stopped");
    cluster.suspend("third").unwrap();
    check(&cluster, "third.a", "its pipeline must be resumed");
}

#[test]
fn a_quota_says_how_much_more_it_would_take() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 6);
    let quota = PerKind { cpu: Some(Some(3)), cuda: None };
    cluster.namespace("default", NamespaceChange { quota, ..NamespaceChange::default() }).unwrap();
    cluster.submit(of("one", 2, 0));
    cluster.submit(of("two", 2, 0));
    let two = check(&cluster, "two.a", "1 slot of its namespace must come free; nobody can be stopped for it");
    assert_eq!((two.usage.used.cpu, two.usage.pending, two.limits.quota.cpu), (2, 1, Some(3)));
    cluster.submit(of("five", 5, 0));
    check(&cluster, "five.a", "its namespace must be allowed 2 slots more, or it must ask for less");
}

#[test]
fn those_who_could_be_stopped_and_are_too_few_are_counted() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 4);
    cluster.submit(of("high", 2, 5));
    cluster.submit(of("low", 1, 0));
    cluster.submit(of("large", 4, 1));
    check(
        &cluster,
        "large.a",
        "3 slots more must come free; those that could be stopped for it hold 1, which is too few",
    );
    cluster.labels = Labels::from([("zone".to_owned(), "b".to_owned())]);
    cluster.join("w1", 1);
    let placement = Placement { device: None, labels: cluster.labels.clone() };
    let jobs = vec![JobSpec { placement, ..job("a", &[], pretrain(2)) }];
    cluster.submit(pipeline("zoned", jobs));
    let zoned =
        check(&cluster, "zoned.a", "workers with 1 slot more that it may use must join, or it must ask for less");
    assert_eq!((zoned.slots.matching.cpu, zoned.slots.present.cpu), (1, 5));
}

#[test]
fn who_would_be_stopped_is_told_with_the_right_to_it() {
    let job = |name: &str| format!("{name}.a").parse().unwrap();
    let jobs = vec![
        (job("low"), EvictReason::Preempted),
        (job("guest"), EvictReason::Reclaimed),
        (job("large"), EvictReason::Released),
    ];
    assert_eq!(
        Eviction::Would { jobs }.to_string(),
        "`low.a` (of lower priority), `guest.a` (on borrowed slots), `large.a` (members that it can do without) would be stopped for it"
    );
}

#[test]
fn failures_and_what_they_cost_are_told() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(pipeline("p", vec![job("a", &[], finetune())]));
    cluster.pass(Duration::from_secs(2));
    cluster.fail("p.a/0/0", Cause::Crash);
    let told = check(&cluster, "p.a", "the pause after a failure must end: `p.a/0/0`: crash trouble");
    assert_eq!((told.attempts, told.retries_left, told.stops.len()), (1, 1, 1));
    assert_eq!(told.stops[0].why.to_string(), "`p.a/0/0`: crash trouble");
    assert_eq!(told.ledger.iter().count(), 1);
}
