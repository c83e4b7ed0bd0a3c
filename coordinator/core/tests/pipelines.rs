//! How pipelines run when nothing goes wrong, and what users may ask of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

mod cluster;

use std::collections::BTreeSet;
use std::time::Duration;

use cluster::*;
use vismae_core::coordinator::{Ends, KEPT_JOBS};
use vismae_core::effect::{Command, PipelineError, Record, SubmitError};
use vismae_core::event::{Event, Progress, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::ids::Generation;
use vismae_core::job::READY_TIMEOUT;
use vismae_core::pipeline::PipelineState;

#[test]
fn a_pipeline_runs_from_ingest_to_its_fine_tunes() {
    let mut cluster = Cluster::new();
    let id = cluster.submit(demo());
    cluster.expect("demo.ingest", "waiting", "no worker is here that takes tasks");
    cluster.expect("demo.pretrain", "waiting", "waits for `ingest`");
    cluster.join("w0", 1);
    assert_eq!(cluster.sent(), ["start demo.ingest/0/0 w0#0"]);
    cluster.succeed("demo.ingest/0/0");
    cluster.expect("demo.pretrain", "waiting", "needs 2 slots at once, the workers have 1 of one kind");
    cluster.join("w1", 1);
    assert_eq!(cluster.sent(), ["start demo.pretrain/0/0 w0#0", "start demo.pretrain/0/1 w1#0"]);
    cluster.ready("demo.pretrain/0/1");
    cluster.expect("demo.pretrain", "running", "1 of 2 tasks are up");
    cluster.ready("demo.pretrain/0/0");
    assert_eq!(cluster.sent(), ["join demo.pretrain/0/0 1", "join demo.pretrain/0/1 1"]);
    cluster.expect("demo.pretrain", "running", "");
    cluster.succeed("demo.pretrain/0/0");
    assert_eq!(cluster.sent(), ["stop demo.pretrain/0/1"], "whoever is not at the end is too late");
    cluster.expect("demo.pretrain", "running", "");
    cluster.succeed("demo.pretrain/0/1");
    assert_eq!(cluster.sent(), ["start demo.classify/0/0 w0#0", "start demo.segment/0/0 w1#0"]);
    cluster.succeed("demo.classify/0/0");
    assert_eq!(cluster.core.pipeline(&id).unwrap().state(), PipelineState::Running);
    cluster.succeed("demo.segment/0/0");
    let pipeline = cluster.core.pipeline(&id).unwrap();
    assert_eq!((pipeline.state(), pipeline.ended()), (PipelineState::Succeeded, Some(cluster.now)));
    assert!(cluster.core.workers().all(|worker| worker.tasks().next().is_none()));
}

#[test]
fn a_crew_starts_on_what_is_free_and_its_members_need_not_meet() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 2);
    cluster.join("w1", 1);
    cluster.submit(pipeline("one", vec![job("ingest", &[], ingest())]));
    assert_eq!(cluster.sent(), ["start one.ingest/0/0 w0#0"]);
    cluster.submit(pipeline("two", vec![job("ingest", &[], ingest_by(8))]));
    assert_eq!(cluster.sent(), ["start two.ingest/0/0 w0#1", "start two.ingest/0/1 w1#0"]);
    cluster.expect("two.ingest", "running", "");
    cluster.pass(READY_TIMEOUT * 2);
    cluster.expect("two.ingest", "running", "");
    cluster.succeed("two.ingest/0/1");
    cluster.fail("two.ingest/0/0", Cause::Crash);
    cluster.pass(Duration::from_secs(2));
    assert_eq!(cluster.sent(), ["start two.ingest/1/0 w0#1", "start two.ingest/1/1 w1#0"], "all begin again");
    cluster.succeed("two.ingest/1/0");
    cluster.expect("two.ingest", "running", "");
    cluster.succeed("two.ingest/1/1");
    cluster.expect("two.ingest", "succeeded", "");
}

#[test]
fn a_gang_of_one_gets_a_membership_too() {
    let mut cluster = Cluster::new();
    cluster.submit(pipeline("demo", vec![job("pretrain", &[], pretrain(1))]));
    cluster.join("w0", 1);
    cluster.ready("demo.pretrain/0/0");
    assert_eq!(cluster.sent(), ["start demo.pretrain/0/0 w0#0", "join demo.pretrain/0/0 1"]);
}

#[test]
fn a_membership_orders_the_ranks_and_names_the_store_of_the_first() {
    let mut cluster = Cluster::new();
    cluster.submit(pipeline("demo", vec![job("pretrain", &[], pretrain(3))]));
    cluster.join("b", 2);
    cluster.join("a", 1);
    cluster.ready("demo.pretrain/0/2");
    cluster.ready("demo.pretrain/0/0");
    cluster.ready("demo.pretrain/0/1");
    let memberships: Vec<_> = cluster.last.send.iter().map(|dispatch| dispatch.command.clone()).collect();
    assert_eq!(memberships.len(), 3);
    let Command::Membership(membership) = &memberships[0] else { panic!("{memberships:?}") };
    assert_eq!(membership.generation, Generation(1));
    assert_eq!(membership.store_address.as_deref(), Some("host-of-demo.pretrain/0/0:1"));
    let ranks: Vec<_> = membership.ranks.iter().map(ToString::to_string).collect();
    assert_eq!(ranks, ["demo.pretrain/0/0", "demo.pretrain/0/1", "demo.pretrain/0/2"]);
    assert!(memberships.iter().all(|other| other == &memberships[0]));
}

#[test]
fn a_gang_takes_all_its_slots_or_none() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.join("w1", 1);
    cluster.submit(pipeline("one", vec![job("ingest", &[], ingest())]));
    cluster.submit(pipeline("two", vec![job("pretrain", &[], pretrain(2))]));
    assert_eq!(cluster.sent(), ["start one.ingest/0/0 w0#0"]);
    cluster.expect("two.pretrain", "waiting", "needs 2 slots at once, 1 of 2 free");
    cluster.succeed("one.ingest/0/0");
    assert_eq!(cluster.sent(), ["start two.pretrain/0/0 w0#0", "start two.pretrain/0/1 w1#0"]);
}

#[test]
fn no_later_job_takes_the_slots_a_gang_waits_for() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.join("w1", 1);
    cluster.submit(pipeline("one", vec![job("ingest", &[], ingest())]));
    cluster.submit(pipeline("two", vec![job("pretrain", &[], pretrain(2))]));
    cluster.submit(pipeline("three", vec![job("ingest", &[], ingest())]));
    cluster.expect("three.ingest", "waiting", "waits behind `two.pretrain`, which has the next claim on free slots");
}

#[test]
fn a_gang_that_no_worker_can_hold_keeps_nobody_waiting() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(pipeline("huge", vec![job("pretrain", &[], pretrain(4))]));
    cluster.submit(pipeline("small", vec![job("ingest", &[], ingest())]));
    cluster.expect("huge.pretrain", "waiting", "needs 4 slots at once, the workers have 1 of one kind");
    cluster.expect("small.ingest", "running", "");
}

#[test]
fn a_broken_specification_is_refused_and_leaves_nothing() {
    let mut cluster = Cluster::new();
    let violations = cluster.try_submit(pipeline("demo", vec![]), None).unwrap_err();
    let SubmitError::Invalid(violations) = violations else { panic!("{violations}") };
    assert_eq!(violations.iter().count(), 1);
    assert!(cluster.last.persist.is_empty() && cluster.core.pipelines().next().is_none());
}

#[test]
fn the_same_request_again_gets_the_first_answer() {
    let mut cluster = Cluster::new();
    let first = cluster.try_submit(demo(), Some(7)).unwrap();
    assert_eq!(cluster.try_submit(demo(), Some(7)).unwrap(), first);
    assert!(cluster.last.persist.is_empty());
    assert_eq!(cluster.core.pipelines().count(), 1);
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let mut cluster = Cluster::new();
    let names: Vec<_> = (0..3).map(|_| cluster.submit(demo()).to_string()).collect();
    assert_eq!(names, ["demo", "demo-2", "demo-3"]);
    let long = "x".repeat(48);
    let jobs = || vec![job("ingest", &[], ingest())];
    assert_eq!(cluster.submit(pipeline(&long, jobs())).as_str(), long);
    assert_eq!(cluster.submit(pipeline(&long, jobs())).as_str(), format!("{}-2", &long[..46]));
}

#[test]
fn what_is_submitted_is_kept_before_it_is_answered() {
    let mut cluster = Cluster::new();
    cluster.submit(demo());
    let [Record::Pipeline { spec, number: 1, .. }] = &cluster.last.persist[..] else {
        panic!("{:?}", cluster.last.persist)
    };
    assert_eq!(spec.name.as_str(), "demo");
    cluster.join("w0", 1);
    assert_eq!(cluster.persisted_jobs(), ["demo.ingest"]);
}

#[test]
fn progress_is_shown_and_only_the_first_word_of_it_kept() {
    let mut cluster = Cluster::new();
    cluster.submit(demo());
    cluster.join("w0", 1);
    let progress = Progress { phase: "reading".into(), done: 3, total: 10, ..Progress::default() };
    cluster.report("demo.ingest/0/0", TaskReport::Progress(Progress::default()));
    assert_eq!(cluster.persisted_jobs(), ["demo.ingest"], "an attempt that got somewhere is not fruitless");
    cluster.report("demo.ingest/0/0", TaskReport::Progress(progress.clone()));
    assert!(cluster.last.persist.is_empty() && cluster.last.changed.len() == 1);
    assert_eq!(cluster.job("demo.ingest").progress, Some(progress));
}

#[test]
fn cancelling_forgets_what_waits_and_waits_for_what_runs() {
    let mut cluster = Cluster::new();
    let id = cluster.submit(pipeline("demo", vec![job("a", &[], pretrain(2)), job("b", &["a"], finetune())]));
    cluster.join("w0", 2);
    cluster.sent();
    cluster.cancel("demo").unwrap();
    assert_eq!(cluster.sent(), ["stop demo.a/0/0", "stop demo.a/0/1"]);
    cluster.expect("demo.b", "cancelled", "the pipeline was cancelled");
    cluster.stopped("demo.a/0/0");
    cluster.expect("demo.a", "stopping", "stops because the pipeline was cancelled");
    assert_eq!(cluster.core.pipeline(&id).unwrap().state(), PipelineState::Cancelling);
    assert_eq!(cluster.cancel("demo"), Ok(()), "asking twice is fine");
    assert!(cluster.sent().is_empty());
    cluster.fail("demo.a/0/1", vismae_core::failure::Cause::Environment);
    cluster.expect("demo.a", "cancelled", "the pipeline was cancelled");
    assert_eq!(cluster.core.pipeline(&id).unwrap().state(), PipelineState::Cancelled);
    let error = cluster.cancel("demo").unwrap_err();
    assert_eq!(error.to_string(), "pipeline `demo` is over already: `cancelled`");
    assert!(matches!(cluster.cancel("nobody"), Err(PipelineError::Unknown(_))));
}

#[test]
fn a_job_that_was_done_before_it_could_be_cancelled_has_succeeded() {
    let mut cluster = Cluster::new();
    cluster.submit(pipeline("demo", vec![job("a", &[], ingest())]));
    cluster.join("w0", 1);
    cluster.cancel("demo").unwrap();
    cluster.succeed("demo.a/0/0");
    cluster.expect("demo.a", "succeeded", "");
}

#[test]
fn only_so_many_jobs_are_remembered_and_pipelines_are_forgotten_as_a_whole() {
    let mut cluster = Cluster::new();
    let first = cluster.try_submit(demo(), Some(1)).unwrap();
    cluster.cancel("demo").unwrap();
    assert_eq!(cluster.core.ends(), Ends { cancelled: 4, ..Ends::default() });
    let large = || {
        let jobs: Vec<_> = (0..500).map(|number| job(&format!("j{number}"), &[], finetune())).collect();
        pipeline("large", jobs)
    };
    for _ in 0..KEPT_JOBS / 500 {
        let id = cluster.submit(large());
        cluster.cancel(id.as_str()).unwrap();
    }
    assert_eq!(cluster.last.forgotten, std::slice::from_ref(&first));
    assert!(cluster.last.persist.contains(&Record::Forgotten { pipeline: first.clone() }));
    assert_eq!(cluster.core.ends(), Ends { cancelled: KEPT_JOBS, ..Ends::default() });
    assert_eq!(cluster.core.open_pipelines().count(), 0);
    assert_eq!(cluster.try_submit(demo(), Some(1)).unwrap(), first, "its request and its name are free again");
}

#[test]
fn a_name_that_is_free_is_found_among_many_that_are_taken() {
    let mut cluster = Cluster::new();
    let names: Vec<String> = (0..300).map(|_| cluster.submit(demo()).to_string()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 300);
    assert_eq!((names[1].as_str(), names[299].as_str()), ("demo-2", "demo-300"));
}

#[test]
fn nothing_is_due_when_nothing_happens() {
    let mut cluster = Cluster::new();
    cluster.submit(demo());
    assert_eq!(cluster.core.next_deadline(), None);
    cluster.join("w0", 1);
    assert_eq!(cluster.core.next_deadline(), Some(cluster.now.after(LEASE)));
    cluster.now = cluster.now.after(Duration::from_secs(1));
    cluster.handle(Event::Tick);
    assert!(cluster.last == vismae_core::effect::Effects::default(), "{:?}", cluster.last);
}
