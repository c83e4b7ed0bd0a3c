//! What happens when tasks fail and workers come and go.

mod cluster;

use std::time::Duration;

use cluster::*;
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::{Close, Command, Effects, JoinError};
use vismae_core::event::{Event, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::ids::Generation;
use vismae_core::job::{READY_TIMEOUT, STOP_TIMEOUT};
use vismae_core::pipeline::PipelineState;
use vismae_core::worker::{HeldTask, Lease};

/// A pre-training of two on two workers, both up, and a fine-tune that needs it.
fn running() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.submit(pipeline("demo", vec![job("a", &[], pretrain(2)), job("b", &["a"], finetune())]));
    cluster.join("w0", 1);
    cluster.join("w1", 1);
    cluster.ready("demo.a/0/0");
    cluster.ready("demo.a/0/1");
    cluster.sent();
    cluster
}

#[test]
fn bad_input_ends_the_job_and_those_that_need_it() {
    let mut cluster = running();
    cluster.fail("demo.a/0/1", Cause::Input);
    assert_eq!(cluster.sent(), ["stop demo.a/0/0"]);
    cluster.expect("demo.a", "stopping", "stops because `demo.a/0/1`: input trouble");
    cluster.stopped("demo.a/0/0");
    cluster.expect("demo.a", "failed", "`demo.a/0/1`: input trouble");
    cluster.expect("demo.b", "cancelled", "cancelled because `a` did not succeed");
    assert_eq!(cluster.core.pipelines().next().unwrap().state(), PipelineState::Failed);
    assert_eq!(cluster.sent(), [] as [&str; 0]);
}

#[test]
fn a_crash_is_tried_again_after_a_pause_that_grows() {
    let mut cluster = running();
    for (attempt, pause) in [(0, 1), (1, 4)] {
        cluster.fail(&format!("demo.a/{attempt}/0"), Cause::Crash);
        cluster.stopped(&format!("demo.a/{attempt}/1"));
        let left = 2 - attempt;
        cluster.expect(
            "demo.a",
            "waiting",
            &format!("tries again after {pause} s ({left} tries left): `demo.a/{attempt}/0`: crash trouble"),
        );
        cluster.sent();
        cluster.pass(Duration::from_secs(pause) - Duration::from_millis(1));
        assert_eq!(cluster.sent(), [] as [&str; 0]);
        cluster.pass(Duration::from_millis(1));
        let next = attempt + 1;
        assert_eq!(cluster.sent(), [format!("start demo.a/{next}/0 w0#0"), format!("start demo.a/{next}/1 w1#0")]);
    }
    cluster.fail("demo.a/2/1", Cause::Environment);
    cluster.stopped("demo.a/2/0");
    cluster.expect("demo.a", "failed", "`demo.a/2/1`: no progress in 3 attempts; the last: environment trouble");
    cluster.expect("demo.b", "cancelled", "cancelled because `a` did not succeed");
}

#[test]
fn generations_grow_from_attempt_to_attempt() {
    let mut cluster = running();
    cluster.fail("demo.a/0/0", Cause::Crash);
    cluster.stopped("demo.a/0/1");
    cluster.pass(Duration::from_secs(1));
    cluster.sent();
    cluster.ready("demo.a/1/0");
    cluster.ready("demo.a/1/1");
    assert_eq!(cluster.sent(), ["join demo.a/1/0 2", "join demo.a/1/1 2"]);
    assert_eq!(cluster.job("demo.a").generation, Generation(2));
}

#[test]
fn the_failure_that_explains_most_is_the_one_shown() {
    let mut cluster = running();
    cluster.fail("demo.a/0/0", Cause::Environment);
    cluster.fail("demo.a/0/1", Cause::Input);
    cluster.expect("demo.a", "failed", "`demo.a/0/1`: input trouble");

    let mut cluster = running();
    cluster.fail("demo.a/0/0", Cause::Crash);
    cluster.fail("demo.a/0/1", Cause::Environment);
    cluster.expect("demo.a", "waiting", "tries again after 1 s (2 tries left): `demo.a/0/0`: crash trouble");
}

#[test]
fn a_lost_worker_takes_its_task_with_it_and_a_late_one_replaces_it() {
    let mut cluster = running();
    cluster.lose("w1");
    assert_eq!(cluster.sent(), ["stop demo.a/0/0"]);
    cluster.stopped("demo.a/0/0");
    cluster.pass(Duration::from_secs(1));
    cluster.expect("demo.a", "waiting", "needs 2 slots at once, the workers have 1 of one kind");
    cluster.join("w2", 1);
    assert_eq!(cluster.sent(), ["start demo.a/1/0 w0#0", "start demo.a/1/1 w2#0"]);
}

#[test]
fn a_worker_is_believed_until_its_lease_is_over() {
    let mut cluster = running();
    let silent = cluster.leases.remove("w1").unwrap();
    cluster.pass(LEASE - Duration::from_millis(1));
    cluster.expect("demo.a", "running", "");
    cluster.pass(Duration::from_millis(1));
    assert_eq!(cluster.closed, [Close { lease: silent.clone(), reason: "silent for 5 s".into() }]);
    cluster.expect("demo.a", "stopping", "stops because `demo.a/0/1`: worker `w1` was lost: silent for 5 s");
    cluster.handle(Event::WorkerHeard(silent.clone()));
    cluster.handle(Event::WorkerLost(silent));
    assert_eq!(cluster.core.workers().count(), 1, "what a lost worker says is stale");
}

#[test]
fn a_job_that_loses_all_its_workers_waits_for_new_ones() {
    let mut cluster = running();
    cluster.lose("w0");
    cluster.lose("w1");
    cluster.pass(Duration::from_secs(1));
    cluster.expect("demo.a", "waiting", "no worker is here that takes tasks");
}

#[test]
fn a_worker_that_leaves_costs_no_try() {
    let mut cluster = running();
    cluster.join("w2", 1);
    cluster.handle(Event::WorkerLeaving(cluster.leases["w1"].clone()));
    assert_eq!(cluster.sent(), [] as [&str; 0], "it may finish what it has");
    cluster.stopped("demo.a/0/1");
    cluster.expect("demo.a", "stopping", "stops because worker `w1` leaves");
    cluster.fail("demo.a/0/0", Cause::Environment);
    assert_eq!(cluster.sent(), ["stop demo.a/0/0", "start demo.a/1/0 w0#0", "start demo.a/1/1 w2#0"]);
    assert_eq!(cluster.job("demo.a").failures, 0);
    cluster.lose("w1");
    cluster.expect("demo.a", "running", "0 of 2 tasks are up");
}

#[test]
fn a_task_that_stops_without_being_told_counts_as_failed() {
    let mut cluster = running();
    cluster.stopped("demo.a/0/0");
    cluster.stopped("demo.a/0/1");
    cluster.expect(
        "demo.a",
        "waiting",
        "tries again after 1 s (2 tries left): `demo.a/0/0`: stopped before its work was done, without being told to",
    );
}

#[test]
fn a_name_belongs_to_one_worker_at_a_time() {
    let mut cluster = running();
    assert!(matches!(cluster.try_join("w0", 1), Err(JoinError::NameTaken(_))));
    assert!(matches!(cluster.try_join("w9", 0), Err(JoinError::NoSlots(_))));
    let first = cluster.leases.remove("w0").unwrap();
    cluster.pass(LEASE);
    cluster.join("w0", 1);
    assert_ne!(cluster.leases["w0"], first);
}

#[test]
fn stale_and_foreign_messages_change_nothing() {
    let mut cluster = running();
    let (w0, w1) = (cluster.leases["w0"].clone(), cluster.leases["w1"].clone());
    let task = |task: &str, from: &Lease, report: TaskReport| Event::Task {
        from: from.clone(),
        task: task.parse().unwrap(),
        report,
    };
    let done = || TaskReport::Stopped;
    let old = Lease { number: 99, ..w0.clone() };
    let before = format!("{:?}", cluster.core);
    for event in [
        task("demo.a/7/0", &w0, done()),
        task("demo.a/0/9", &w0, done()),
        task("demo.b/0/0", &w0, done()),
        task("other.a/0/0", &w0, done()),
        task("demo.a/0/0", &w1, done()),
        task("demo.a/0/0", &old, done()),
        task("demo.a/0/0", &w0, TaskReport::Ready { store_address: None }),
        Event::WorkerLost(old.clone()),
        Event::WorkerLeaving(old),
    ] {
        let mut effects = cluster.handle(event.clone()).clone();
        // Whoever tells of an end is told that it need not again.
        effects.send.retain(|dispatch| dispatch.command != Command::Settle);
        assert_eq!(effects, Effects::default(), "{event:?}");
        assert_eq!(format!("{:?}", cluster.core), before, "{event:?}");
    }
    cluster.handle(task("demo.a/7/0", &w0, TaskReport::Ready { store_address: None }));
    assert_eq!(cluster.sent(), ["stop demo.a/7/0"], "a task that runs without being wanted is ended");
}

#[test]
fn a_gang_that_does_not_come_up_in_time_is_tried_again() {
    let mut cluster = Cluster::new();
    cluster.submit(pipeline("demo", vec![job("a", &[], pretrain(2))]));
    cluster.join("w0", 2);
    cluster.ready("demo.a/0/0");
    cluster.pass(READY_TIMEOUT - Duration::from_secs(1));
    cluster.expect("demo.a", "running", "1 of 2 tasks are up");
    cluster.pass(Duration::from_secs(1));
    cluster.expect("demo.a", "stopping", "stops because `demo.a/0/1`: was not up within 300 s");
}

#[test]
fn a_first_rank_without_a_store_fails_the_attempt() {
    let mut cluster = Cluster::new();
    cluster.submit(pipeline("demo", vec![job("a", &[], pretrain(2))]));
    cluster.join("w0", 2);
    cluster.sent();
    cluster.report("demo.a/0/0", TaskReport::Ready { store_address: None });
    assert_eq!(cluster.sent(), ["stop demo.a/0/0", "stop demo.a/0/1"]);
}

#[test]
fn a_worker_whose_task_does_not_stop_is_sent_away() {
    let mut cluster = running();
    cluster.cancel("demo").unwrap();
    cluster.stopped("demo.a/0/0");
    cluster.pass(STOP_TIMEOUT);
    let reason = "task `demo.a/0/1` did not stop within 60 s".into();
    assert_eq!(cluster.closed, [Close { lease: cluster.leases["w1"].clone(), reason }]);
    cluster.expect("demo.a", "cancelled", "the pipeline was cancelled");
}

#[test]
fn cancelling_ends_the_wait_for_another_try() {
    let mut cluster = running();
    cluster.fail("demo.a/0/0", Cause::Crash);
    cluster.cancel("demo").unwrap();
    cluster.stopped("demo.a/0/1");
    cluster.expect("demo.a", "cancelled", "the pipeline was cancelled");

    let mut cluster = running();
    cluster.fail("demo.a/0/0", Cause::Crash);
    cluster.stopped("demo.a/0/1");
    cluster.cancel("demo").unwrap();
    cluster.expect("demo.a", "cancelled", "the pipeline was cancelled");
}

#[test]
fn an_old_end_does_not_take_the_slot_of_the_task_that_has_it_now() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(pipeline("demo", vec![job("a", &[], ingest()), job("b", &["a"], ingest())]));
    cluster.succeed("demo.a/0/0");
    let records = std::mem::take(&mut cluster.records);
    cluster.core = Coordinator::restore(LEASE, cluster.now, records);
    // It had begun the second task, and was never told that the end of the first had been taken in.
    let held = |task: &str| HeldTask { task: task.parse().unwrap(), slot: 0 };
    cluster.come_back("w0", 1, vec![held("demo.b/0/0"), held("demo.a/0/0")]);
    let runs = |cluster: &Cluster| -> Vec<String> {
        cluster.core.workers().flat_map(|worker| worker.tasks()).map(ToString::to_string).collect()
    };
    assert_eq!(runs(&cluster), ["demo.b/0/0"]);
    let from = cluster.leases["w0"].clone();
    let task = "demo.a/0/0".parse().unwrap();
    cluster.handle(Event::Task { from, task, report: TaskReport::Succeeded { figures: [].into() } });
    assert_eq!(runs(&cluster), ["demo.b/0/0"], "the slot is still that of the second");
    cluster.lose("w0");
    cluster.expect(
        "demo.b",
        "waiting",
        "tries again after 1 s (2 tries left): `demo.b/0/0`: worker `w0` was lost: its connection ended",
    );
}
