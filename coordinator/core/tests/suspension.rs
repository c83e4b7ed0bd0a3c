//! Pipelines that are suspended and resumed, and pipelines that take too long.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

mod cluster;

use std::time::Duration;

use cluster::*;
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::{PipelineError, Record};
use vismae_core::failure::Cause;
use vismae_core::ids::PipelineId;
use vismae_core::pipeline::PipelineState;
use vismae_core::spec::PipelineSpec;

fn two(name: &str) -> PipelineSpec {
    pipeline(name, vec![job("a", &[], pretrain(2))])
}

fn state(cluster: &Cluster, name: &str) -> PipelineState {
    cluster.core.pipeline(&PipelineId::new(name).unwrap()).unwrap().state()
}

/// A coordinator that has taken over from this one, with no worker yet.
fn after_restart(cluster: &Cluster) -> Cluster {
    let core = Coordinator::restore(LEASE, cluster.now, cluster.records.iter().cloned());
    Cluster { core, now: cluster.now, ..Cluster::new() }
}

#[test]
fn a_suspended_pipeline_drains_gives_its_slots_to_others_and_goes_on() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 2);
    cluster.submit(two("one"));
    cluster.submit(two("two"));
    cluster.sent();
    cluster.suspend("one").unwrap();
    assert_eq!(cluster.sent(), ["stop one.a/0/0", "stop one.a/0/1"]);
    assert_eq!(state(&cluster, "one"), PipelineState::Suspending);
    cluster.suspend("one").unwrap();
    assert!(cluster.sent().is_empty() && cluster.last.persist.is_empty(), "asking again changes nothing");
    cluster.stopped("one.a/0/0");
    cluster.stopped("one.a/0/1");
    assert_eq!(state(&cluster, "one"), PipelineState::Suspended);
    cluster.expect("one.a", "waiting", "the pipeline is suspended");
    assert_eq!(cluster.sent(), ["start two.a/0/0 w0#0", "start two.a/0/1 w0#1"]);
    cluster.resume("one").unwrap();
    cluster.resume("one").unwrap();
    cluster.expect("one.a", "waiting", "needs 2 slots at once, 0 of 2 free");
    cluster.succeed("two.a/0/0");
    cluster.sent();
    cluster.succeed("two.a/0/1");
    assert_eq!(cluster.sent(), ["start one.a/1/0 w0#0", "start one.a/1/1 w0#1"]);
    assert_eq!(cluster.job("one.a").failures, 0);
}

#[test]
fn a_pipeline_may_be_submitted_suspended_and_cancelled_then() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 2);
    cluster.submit(PipelineSpec { suspended: true, ..two("one") });
    assert_eq!((cluster.sent().len(), state(&cluster, "one")), (0, PipelineState::Suspended));
    cluster.cancel("one").unwrap();
    assert_eq!(state(&cluster, "one"), PipelineState::Cancelled);
    assert!(matches!(cluster.resume("one"), Err(PipelineError::Over { .. })));
    assert!(matches!(cluster.suspend("nobody"), Err(PipelineError::Unknown(_))));
}

#[test]
fn suspension_survives_the_coordinator() {
    let mut cluster = Cluster::new();
    cluster.submit(two("one"));
    cluster.submit(PipelineSpec { suspended: true, ..two("two") });
    cluster.suspend("one").unwrap();
    cluster.resume("two").unwrap();
    let mut next = after_restart(&cluster);
    next.join("w0", 2);
    assert_eq!(next.sent(), ["start two.a/0/0 w0#0", "start two.a/0/1 w0#1"]);
    assert_eq!(state(&next, "one"), PipelineState::Suspended);
}

#[test]
fn a_pause_after_a_failure_is_forgotten_by_who_is_suspended() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(pipeline("one", vec![job("a", &[], finetune())]));
    cluster.fail("one.a/0/0", Cause::Crash);
    cluster.suspend("one").unwrap();
    cluster.expect("one.a", "waiting", "the pipeline is suspended");
    cluster.pass(Duration::from_secs(60));
    assert!(cluster.core.next_deadline().is_some_and(|deadline| deadline > cluster.now));
    cluster.resume("one").unwrap();
    cluster.expect("one.a", "running", "");
    assert_eq!(cluster.job("one.a").failures, 1);
}

#[test]
fn a_pipeline_that_is_late_is_ended_as_failed() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 2);
    let deadline = Some(Duration::from_secs(60));
    let jobs = vec![job("a", &[], pretrain(2)), job("b", &["a"], finetune())];
    cluster.submit(PipelineSpec { deadline, ..pipeline("one", jobs) });
    cluster.submit(two("two"));
    for member in 0..2 {
        cluster.ready(&format!("one.a/0/{member}"));
    }
    cluster.sent();
    cluster.pass(Duration::from_secs(59));
    assert_eq!(cluster.sent(), [""; 0]);
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.sent(), ["stop one.a/0/0", "stop one.a/0/1"]);
    cluster.expect(
        "one.a",
        "stopping",
        "stops because the pipeline is not over 60 s after its submission, which is its deadline",
    );
    cluster.expect("one.b", "failed", "was not over 60 s after its pipeline's submission");
    cluster.fail("one.a/0/0", Cause::Crash);
    cluster.stopped("one.a/0/1");
    cluster.expect("one.a", "failed", "was not over 60 s after its pipeline's submission");
    assert_eq!(state(&cluster, "one"), PipelineState::Failed);
    cluster.expect("two.a", "running", "0 of 2 tasks are up");
}

#[test]
fn a_deadline_passes_while_there_is_no_coordinator() {
    let mut cluster = Cluster::new();
    cluster.submit(PipelineSpec { deadline: Some(Duration::from_secs(60)), ..two("one") });
    let mut next = after_restart(&cluster);
    next.now = next.now.after(Duration::from_secs(61));
    assert!(next.core.next_deadline().is_some_and(|deadline| deadline < next.now));
    next.handle(vismae_core::event::Event::Tick);
    assert_eq!(state(&next, "one"), PipelineState::Failed);
    assert!(next.last.persist.iter().any(|record| matches!(record, Record::Job { .. })));
    assert_eq!(next.core.next_deadline(), None);
}

#[test]
fn a_deadline_is_a_second_at_least() {
    let mut cluster = Cluster::new();
    let refused = cluster.try_submit(PipelineSpec { deadline: Some(Duration::ZERO), ..two("one") }, None);
    assert_eq!(refused.unwrap_err().to_string(), "`deadline` is 0 s, expected from 1 s to 1000 days");
}
