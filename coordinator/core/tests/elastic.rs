//! Groups whose members come and go while the others keep what they have come to.

mod cluster;

use std::time::Duration;

use cluster::*;
use vismae_core::coordinator::Coordinator;
use vismae_core::device::PerKind;
use vismae_core::effect::{Fact, FormReason};
use vismae_core::event::{Event, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::job::{READY_TIMEOUT, REJOIN_TIMEOUT, SETBACKS, STOP_TIMEOUT};
use vismae_core::namespace::{Borrowing, NamespaceChange};
use vismae_core::spec::PipelineSpec;
use vismae_core::worker::HeldTask;

#[test]
fn the_others_go_on_without_a_lost_member_and_take_one_in_again() {
    let mut cluster = training(2, 3);
    cluster.lose("w0");
    assert_eq!(cluster.sent(), ["join demo.a/0/1 2", "join demo.a/0/2 2"]);
    assert_eq!(cluster.membership(), (vec!["demo.a/0/1".into(), "demo.a/0/2".into()], true));
    cluster.expect("demo.a", "running", "");
    cluster.progress("demo.a/0/1", 6);
    cluster.join("w3", 1);
    assert_eq!(cluster.sent(), ["start demo.a/0/3 w3#0"]);
    cluster.ready("demo.a/0/3");
    assert_eq!(cluster.sent(), ["join demo.a/0/1 3", "join demo.a/0/2 3", "join demo.a/0/3 3"]);
    let (ranks, urgent) = cluster.membership();
    assert_eq!(ranks[0], "demo.a/0/1", "who knows most comes first");
    assert!(!urgent, "a newcomer waits for the end of a step");
    assert_eq!(cluster.job("demo.a").attempts, 1);
}

#[test]
fn a_crashed_member_is_started_anew_beside_the_others() {
    let mut cluster = training(3, 3);
    cluster.fail("demo.a/0/1", Cause::Crash);
    assert_eq!(cluster.sent(), ["start demo.a/0/3 w1#0"], "too few are left, and its slot is free");
    cluster.expect("demo.a", "running", "2 of at least 3 tasks are there, and wait for others in memory");
    cluster.ready("demo.a/0/3");
    assert_eq!(cluster.membership(), (["demo.a/0/0", "demo.a/0/2", "demo.a/0/3"].map(String::from).into(), true));
    cluster.expect("demo.a", "running", "");
    assert_eq!((cluster.job("demo.a").attempts, cluster.job("demo.a").failures), (1, 0));
}

#[test]
fn before_any_progress_there_is_nothing_to_keep() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 2);
    cluster.submit(pipeline("demo", vec![job("a", &[], elastic(1, 2))]));
    cluster.ready("demo.a/0/0");
    cluster.ready("demo.a/0/1");
    cluster.sent();
    cluster.fail("demo.a/0/1", Cause::Crash);
    assert_eq!(cluster.sent(), ["stop demo.a/0/0"]);
}

#[test]
fn bad_data_ends_the_job_whoever_meets_it() {
    let mut cluster = training(1, 3);
    cluster.fail("demo.a/0/2", Cause::Input);
    assert_eq!(cluster.sent(), ["stop demo.a/0/0", "stop demo.a/0/1"]);
}

#[test]
fn too_few_wait_in_memory_for_a_while_and_then_stop() {
    let mut cluster = training(3, 3);
    cluster.lose("w2");
    assert_eq!(cluster.sent(), [""; 0]);
    cluster.pass(REJOIN_TIMEOUT - Duration::from_secs(1));
    cluster.expect("demo.a", "running", "2 of at least 3 tasks are there, and wait for others in memory");
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.sent(), ["stop demo.a/0/0", "stop demo.a/0/1"]);
    cluster.expect("demo.a", "stopping", "stops because `demo.a/0/2`: worker `w2` was lost: its connection ended");
}

#[test]
fn a_gang_that_is_lost_one_after_another_has_not_done_its_work() {
    for members in [1, 2, 3] {
        let mut cluster = training(members, members);
        for worker in ["w0", "w1", "w2"] {
            cluster.lose(worker);
        }
        assert_eq!(cluster.job("demo.a").state.word(), "pending", "{members}");
        for worker in ["n0", "n1", "n2"] {
            cluster.join(worker, 1);
        }
        cluster.pass(REJOIN_TIMEOUT);
        assert_eq!(cluster.job("demo.a").state.word(), "running", "{members}");
    }
}

#[test]
fn newcomers_on_their_way_are_waited_for() {
    let mut cluster = training(3, 3);
    cluster.fail("demo.a/0/2", Cause::Crash);
    assert_eq!(cluster.sent(), ["start demo.a/0/3 w2#0"]);
    cluster.pass(REJOIN_TIMEOUT * 2);
    cluster.expect("demo.a", "running", "2 of at least 3 tasks are there, and wait for others in memory");
    cluster.fail("demo.a/0/3", Cause::Crash);
    assert_eq!(cluster.sent(), ["stop demo.a/0/0", "stop demo.a/0/1"], "they have waited long enough");
}

#[test]
fn a_gang_in_need_comes_before_all_that_wait() {
    let mut cluster = training(3, 3);
    cluster.submit(PipelineSpec { priority: 9, ..pipeline("other", vec![job("b", &[], pretrain(1))]) });
    // It is of higher priority, and has the gang stopped.
    assert_eq!(cluster.sent(), ["stop demo.a/0/0", "stop demo.a/0/1", "stop demo.a/0/2"]);

    let mut cluster = training(3, 3);
    cluster.submit(pipeline("other", vec![job("b", &[], pretrain(1))]));
    cluster.fail("demo.a/0/0", Cause::Crash);
    assert_eq!(cluster.sent(), ["start demo.a/0/3 w0#0"]);
    cluster.expect("other.b", "waiting", "needs 1 slot at once, 0 of 3 free");
}

#[test]
fn a_recovery_takes_from_the_loss_to_the_next_step() {
    let mut cluster = training(3, 3);
    let recovered = |cluster: &Cluster| {
        let facts = cluster.last.facts.iter();
        facts.filter(|fact| matches!(fact, Fact::Recovered { .. })).cloned().collect::<Vec<_>>()
    };
    cluster.fail("demo.a/0/1", Cause::Crash);
    cluster.pass(Duration::from_secs(2));
    cluster.ready("demo.a/0/3");
    cluster.progress("demo.a/0/0", 5);
    assert_eq!(recovered(&cluster), [], "nothing new has been done");
    cluster.pass(Duration::from_secs(1));
    cluster.progress("demo.a/0/0", 6);
    let time = Duration::from_secs(3);
    let job = "demo.a".parse().unwrap();
    assert_eq!(recovered(&cluster), [Fact::Recovered { job, reason: FormReason::Lost, time }]);
    cluster.progress("demo.a/0/0", 7);
    assert_eq!(recovered(&cluster), []);
}

#[test]
fn memberships_that_come_to_nothing_end_the_attempt() {
    let mut cluster = training(1, 3);
    for generation in 1..u64::from(SETBACKS) {
        cluster.part("demo.a/0/1", generation, &[]);
        assert_eq!(cluster.sent().len(), 3, "all meet again");
        assert!(cluster.membership().1);
    }
    cluster.part("demo.a/0/1", u64::from(SETBACKS), &[]);
    cluster.expect("demo.a", "stopping", "stops because `demo.a/0/1`: the ranks do not meet: no answer");
}

#[test]
fn progress_makes_up_for_setbacks() {
    let mut cluster = training(1, 3);
    for generation in 1..20 {
        cluster.part("demo.a/0/1", generation, &[]);
        cluster.progress("demo.a/0/0", 5 + generation);
    }
    cluster.expect("demo.a", "running", "");
}

#[test]
fn who_is_not_met_is_left_out_until_it_speaks() {
    let mut cluster = training(2, 3);
    cluster.part("demo.a/0/0", 1, &["demo.a/0/2"]);
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/1"]);
    cluster.sent();
    cluster.part("demo.a/0/1", 1, &["demo.a/0/2"]);
    assert_eq!(cluster.sent(), [""; 0], "it speaks of what is over");
    cluster.progress("demo.a/0/0", 6);
    cluster.part("demo.a/0/2", 1, &["demo.a/0/0", "demo.a/0/1"]);
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/1", "demo.a/0/2"], "it is back, and accuses nobody");
}

#[test]
fn a_silent_member_is_left_out_and_may_come_back() {
    let silence = |over| TaskReport::Silence { over };
    let mut cluster = training(2, 3);
    cluster.report("demo.a/0/1", silence(false));
    assert_eq!(cluster.membership(), (vec!["demo.a/0/0".into(), "demo.a/0/2".into()], true));
    cluster.sent();
    cluster.report("demo.a/0/1", silence(false));
    assert_eq!(cluster.sent(), [""; 0], "said again it changes nothing");
    cluster.progress("demo.a/0/0", 6);
    cluster.report("demo.a/0/1", silence(true));
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/2", "demo.a/0/1"]);

    let mut cluster = training(3, 3);
    cluster.report("demo.a/0/1", silence(false));
    cluster.expect("demo.a", "running", "2 of at least 3 tasks are there, and wait for others in memory");
    cluster.report("demo.a/0/1", silence(true));
    cluster.expect("demo.a", "running", "");
    assert_eq!(cluster.sent(), [""; 0], "the group was never broken");

    let mut cluster = training(3, 3);
    cluster.report("demo.a/0/1", silence(false));
    cluster.pass(REJOIN_TIMEOUT);
    assert_eq!(cluster.sent(), ["stop demo.a/0/0", "stop demo.a/0/1", "stop demo.a/0/2"], "it has had its time");
}

#[test]
fn a_member_whose_worker_comes_back_is_taken_in_with_what_it_has() {
    let mut cluster = training(2, 3);
    cluster.lose("w2");
    cluster.progress("demo.a/0/0", 6);
    cluster.sent();
    cluster.come_back("w2", 1, vec![HeldTask { task: "demo.a/0/2".parse().unwrap(), slot: 0 }]);
    assert_eq!(cluster.sent(), [""; 0], "it is neither stopped nor started");
    cluster.ready("demo.a/0/2");
    assert_eq!(cluster.sent(), ["join demo.a/0/0 3", "join demo.a/0/1 3", "join demo.a/0/2 3"]);
}

#[test]
fn newcomers_that_die_at_once_are_tried_less_and_less_often() {
    let mut cluster = training(2, 3);
    cluster.fail("demo.a/0/2", Cause::Crash);
    let mut starts = cluster.sent().iter().filter(|word| word.starts_with("start")).count();
    for _ in 0..60 {
        if let Some(newcomer) =
            cluster.job("demo.a").state.gang().unwrap().members.keys().max().filter(|last| **last > 2)
        {
            cluster.fail(&format!("demo.a/0/{newcomer}"), Cause::Crash);
        }
        cluster.pass(Duration::from_secs(1));
        starts += cluster.sent().iter().filter(|word| word.starts_with("start")).count();
    }
    assert!((5..9).contains(&starts), "{starts} in a minute");
    cluster.expect("demo.a", "running", "");
}

#[test]
fn a_newcomer_that_does_not_come_up_is_stopped() {
    let mut cluster = training(2, 3);
    cluster.fail("demo.a/0/2", Cause::Crash);
    cluster.sent();
    cluster.pass(READY_TIMEOUT);
    assert_eq!(cluster.sent(), ["stop demo.a/0/3"]);
    cluster.pass(STOP_TIMEOUT);
    assert!(cluster.core.workers().all(|worker| worker.lease.worker.as_str() != "w2"), "its worker is given up");
    cluster.expect("demo.a", "running", "");
}

#[test]
fn a_gang_grows_into_slots_that_nobody_needs() {
    let mut cluster = training(2, 5);
    cluster.join("w3", 2);
    assert_eq!(cluster.sent(), ["start demo.a/0/3 w3#0", "start demo.a/0/4 w3#1"]);
    cluster.join("w4", 2);
    assert_eq!(cluster.sent(), [""; 0], "it can use no more");
}

#[test]
fn a_gang_gives_up_what_it_can_do_without_and_no_more() {
    let mut cluster = training(1, 3);
    cluster.submit(pipeline("other", vec![job("b", &[], pretrain(1))]));
    assert_eq!(cluster.sent(), ["stop demo.a/0/2", "join demo.a/0/0 2", "join demo.a/0/1 2"]);
    assert!(!cluster.membership().1, "it leaves at the end of a step");
    cluster.expect("other.b", "waiting", "needs 1 slot at once, 0 of 3 free");
    cluster.stopped("demo.a/0/2");
    assert_eq!(cluster.sent(), ["start other.b/0/0 w2#0"]);
    cluster.expect("demo.a", "running", "");
    cluster.submit(pipeline("third", vec![job("c", &[], pretrain(3))]));
    assert_eq!(cluster.sent(), [""; 0], "all that can be given up would be too little");
    cluster.succeed("other.b/0/0");
    assert_eq!(cluster.sent(), [""; 0], "what comes free is kept for the one that waits, and not grown into");
}

#[test]
fn those_of_higher_priority_give_up_nothing() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 2);
    let spec = pipeline("demo", vec![job("a", &[], elastic(1, 2))]);
    cluster.submit(PipelineSpec { priority: 1, ..spec });
    cluster.ready("demo.a/0/0");
    cluster.ready("demo.a/0/1");
    cluster.progress("demo.a/0/0", 1);
    cluster.sent();
    cluster.submit(pipeline("other", vec![job("b", &[], pretrain(1))]));
    assert_eq!(cluster.sent(), [""; 0]);
}

#[test]
fn quota_that_a_job_waits_for_is_not_grown_into() {
    let mut cluster = training(1, 3);
    let change =
        |cpu| NamespaceChange { quota: PerKind { cpu: Some(Some(cpu)), cuda: None }, ..NamespaceChange::default() };
    cluster.namespace("default", change(4)).unwrap();
    cluster.join("w3", 8);
    // Three are used, and one is left of the quota.
    cluster.submit(pipeline("other", vec![job("b", &[], pretrain(2))]));
    assert_eq!(cluster.sent(), ["stop demo.a/0/2", "join demo.a/0/0 2", "join demo.a/0/1 2"]);
    cluster.stopped("demo.a/0/2");
    assert_eq!(cluster.sent(), ["start other.b/0/0 w3#0", "start other.b/0/1 w2#0"]);
    cluster.pass(Duration::from_secs(5));
    assert_eq!(cluster.sent(), [""; 0], "the quota is used up");
}

#[test]
fn a_rank_that_has_done_the_work_has_done_it_for_all() {
    let mut cluster = training(3, 3);
    cluster.succeed("demo.a/0/0");
    assert_eq!(cluster.sent(), ["stop demo.a/0/1", "stop demo.a/0/2"]);
    cluster.lose("w1");
    assert_eq!(cluster.sent(), [""; 0], "nobody is needed in its place");
    cluster.expect("demo.a", "running", "");
    cluster.succeed("demo.a/0/2");
    cluster.expect("demo.a", "succeeded", "");
}

#[test]
fn a_leaving_worker_costs_the_others_nothing() {
    let mut cluster = training(2, 3);
    cluster.handle(Event::WorkerLeaving(cluster.leases["w1"].clone()));
    cluster.stopped("demo.a/0/1");
    assert_eq!(cluster.sent(), ["join demo.a/0/0 2", "join demo.a/0/2 2"]);
    assert!(!cluster.membership().1);
    let gang = cluster.job("demo.a").state.gang().unwrap();
    assert_eq!((gang.setbacks, gang.members.len()), (0, 2));
}

#[test]
fn a_coordinator_that_takes_over_knows_who_was_in() {
    let mut cluster = training(2, 3);
    cluster.lose("w0");
    let records = cluster.records.clone();
    let mut next = Cluster::new();
    next.now = cluster.now;
    next.core = Coordinator::restore(LEASE, cluster.now, records);
    let held = |task: &str| vec![HeldTask { task: task.parse().unwrap(), slot: 0 }];
    next.come_back("w1", 1, held("demo.a/0/1"));
    assert_eq!(next.sent(), ["join demo.a/0/1 2"]);
    next.come_back("w2", 1, held("demo.a/0/2"));
    assert_eq!(next.sent(), ["join demo.a/0/2 2"]);
    assert_eq!(next.membership(), (vec!["demo.a/0/1".into(), "demo.a/0/2".into()], true));
    // The lost one comes late, with what it had.
    next.come_back("w0", 1, held("demo.a/0/0"));
    next.ready("demo.a/0/0");
    assert_eq!(next.membership().0, ["demo.a/0/1", "demo.a/0/2", "demo.a/0/0"]);
}

#[test]
fn a_crash_beside_a_worker_that_leaves_is_a_crash() {
    let mut cluster = training(1, 3);
    cluster.handle(Event::WorkerLeaving(cluster.leases["w2"].clone()));
    cluster.fail("demo.a/0/1", Cause::Crash);
    assert_eq!(cluster.job("demo.a").state.gang().unwrap().setbacks, 1);
    assert!(cluster.membership().1);
}

#[test]
fn a_rank_that_comes_back_soon_comes_before_its_replacement() {
    let mut cluster = training(2, 3);
    cluster.join("spare", 1);
    cluster.lose("w2");
    assert_eq!(cluster.sent(), ["join demo.a/0/0 2", "join demo.a/0/1 2", "start demo.a/0/3 spare#0"]);
    cluster.come_back("w2", 1, vec![HeldTask { task: "demo.a/0/2".parse().unwrap(), slot: 0 }]);
    assert_eq!(cluster.sent(), ["stop demo.a/0/3"]);
    cluster.ready("demo.a/0/2");
    cluster.progress("demo.a/0/0", 6);
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/1", "demo.a/0/2"]);
    assert!(cluster.is_urgent_for("demo.a/0/2"));
}

#[test]
fn a_rank_that_comes_back_finds_room_only_within_the_quota() {
    let mut cluster = training(2, 3);
    cluster.lose("w2");
    let quota = PerKind { cpu: Some(Some(2)), cuda: None };
    let change = NamespaceChange { quota, borrowing: Some(Borrowing::Never), ..NamespaceChange::default() };
    cluster.namespace("default", change).unwrap();
    cluster.sent();
    cluster.come_back("w2", 1, vec![HeldTask { task: "demo.a/0/2".parse().unwrap(), slot: 0 }]);
    assert_eq!(cluster.sent(), ["stop demo.a/0/2"]);
}

#[test]
fn an_end_that_is_told_after_its_worker_was_lost_counts_once() {
    let mut cluster = training(3, 3);
    cluster.lose("w2");
    assert_eq!(cluster.job("demo.a").state.gang().unwrap().setbacks, 1);
    cluster.come_back("w2", 1, vec![HeldTask { task: "demo.a/0/2".parse().unwrap(), slot: 0 }]);
    cluster.fail("demo.a/0/2", Cause::Crash);
    let gang = cluster.job("demo.a").state.gang().unwrap();
    assert_eq!((gang.setbacks, gang.unlucky), (1, 0));
}
