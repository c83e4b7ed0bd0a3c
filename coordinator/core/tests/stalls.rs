//! Ranks whose processes run and do not get on.

mod cluster;

use std::time::Duration;

use cluster::*;
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::{Fact, FormReason};
use vismae_core::event::TaskReport;
use vismae_core::failure::Cause;
use vismae_core::job::{JobState, REJOIN_TIMEOUT, SETBACKS};
use vismae_core::stall::Phase::{self, Collective, Compute, Data, Store};
use vismae_core::worker::HeldTask;

/// Three ranks are stuck in these places of step 5.
fn stuck(cluster: &mut Cluster, generation: u64, phases: [Phase; 3], seconds: u64) {
    for (member, phase) in phases.into_iter().enumerate() {
        cluster.stall(&format!("demo.a/0/{member}"), generation, (phase, 5), seconds);
    }
}

#[test]
fn the_others_go_on_without_one_that_they_wait_for() {
    let mut cluster = training(2, 3);
    cluster.stall("demo.a/0/1", 1, (Data, 5), 31);
    assert_eq!(cluster.sent(), [""; 0], "its own word is not enough");
    cluster.expect("demo.a", "running", "a task on `w1` is in `data` of step 5 for 31 s (bound 30 s)");
    cluster.stall("demo.a/0/0", 1, (Collective, 5), 31);
    assert_eq!(cluster.sent(), [""; 0], "nobody knows what the third one does");
    cluster.stall("demo.a/0/2", 1, (Collective, 5), 31);
    assert_eq!(cluster.sent(), ["join demo.a/0/0 2", "join demo.a/0/2 2"], "it is not told anything");
    assert!(cluster.membership().1, "they leave the collective at once");
    let found = "`demo.a/0/1` on `w1` was left out: it was in `data` of step 5 for 31 s (bound 30 s), and 2 others waited for it";
    cluster.expect("demo.a", "running", found);
    let why = cluster.job("demo.a").state.why().unwrap();
    assert_eq!((why.word, why.facts["phase"].as_str(), why.facts["waiting"].as_str()), ("stalled", "data", "2"));
    let told = cluster.core.explain(cluster.now, &"demo.a".parse().unwrap()).unwrap();
    assert_eq!(told.notices.iter().map(|notice| notice.finding.to_string()).collect::<Vec<_>>(), [found]);
    assert_eq!(cluster.setbacks(), 1);
}

#[test]
fn who_gets_on_comes_back_on_trial() {
    let mut cluster = training(2, 3);
    stuck(&mut cluster, 1, [Collective, Data, Collective], 31);
    cluster.progress("demo.a/0/0", 6);
    cluster.sent();
    cluster.report("demo.a/0/1", TaskReport::GotOn);
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/2", "demo.a/0/1"]);
    cluster.expect("demo.a", "running", "");
    assert!(cluster.is_urgent_for("demo.a/0/1"), "nobody else is in its group");
    assert!(!cluster.is_urgent_for("demo.a/0/0"));
    // It does it again before it has taken steps with them.
    cluster.sent();
    cluster.stall("demo.a/0/0", 3, (Collective, 6), 31);
    cluster.stall("demo.a/0/2", 3, (Collective, 6), 31);
    cluster.stall("demo.a/0/1", 3, (Data, 6), 31);
    assert_eq!(cluster.sent(), ["stop demo.a/0/1", "join demo.a/0/0 4", "join demo.a/0/2 4"]);
}

#[test]
fn who_loses_its_group_meanwhile_comes_back_as_well() {
    let mut cluster = training(2, 3);
    stuck(&mut cluster, 1, [Collective, Compute, Collective], 31);
    cluster.progress("demo.a/0/0", 6);
    cluster.part("demo.a/0/1", 1, &[]);
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/2", "demo.a/0/1"]);
    cluster.expect("demo.a", "running", "");
}

#[test]
fn who_does_it_again_and_again_gets_a_new_process() {
    let mut cluster = training(2, 3);
    let mut generation = 1;
    for hang in 1..=3 {
        for task in ["demo.a/0/0", "demo.a/0/2"] {
            cluster.stall(task, generation, (Collective, 5), 31);
        }
        cluster.sent();
        cluster.stall("demo.a/0/1", generation, (Data, 5), 31);
        let is_stopped = cluster.sent().contains(&"stop demo.a/0/1".to_owned());
        assert_eq!(is_stopped, hang == 3, "after {hang}");
        generation += 2;
        for step in 1..=4 {
            cluster.progress("demo.a/0/0", hang * 10 + step);
            if step == 1 && hang < 3 {
                cluster.report("demo.a/0/1", TaskReport::GotOn);
            }
        }
    }
    cluster.stopped("demo.a/0/1");
    cluster.pass(Duration::from_secs(2));
    assert!(cluster.sent().contains(&"start demo.a/0/3 w1#0".to_owned()), "another takes its place");
}

#[test]
fn too_few_wait_for_who_is_stuck_and_then_stop() {
    let mut cluster = training(3, 3);
    stuck(&mut cluster, 1, [Collective, Data, Collective], 31);
    assert_eq!(cluster.sent(), [""; 0]);
    cluster.expect("demo.a", "running", "2 of at least 3 tasks are there, and wait for others in memory");
    let mut back = training(3, 3);
    stuck(&mut back, 1, [Collective, Data, Collective], 31);
    back.report("demo.a/0/1", TaskReport::GotOn);
    back.expect("demo.a", "running", "");
    assert_eq!(back.sent(), [""; 0], "the group was never broken");
    cluster.pass(REJOIN_TIMEOUT);
    let why = "stops because `demo.a/0/1`: was in `data` of step 5 for 31 s (bound 30 s), and 2 others waited for it";
    cluster.expect("demo.a", "stopping", why);
    let why = cluster.job("demo.a").state.why().unwrap();
    assert_eq!(why.word, "stalled");
}

#[test]
fn too_few_get_another_in_its_place() {
    let mut cluster = training(3, 3);
    cluster.handle(vismae_core::event::Event::Tick);
    cluster.join("spare", 1);
    stuck(&mut cluster, 1, [Collective, Data, Collective], 31);
    assert_eq!(cluster.sent(), ["start demo.a/0/3 spare#0"]);
    cluster.ready("demo.a/0/3");
    assert_eq!(cluster.membership(), (["demo.a/0/0", "demo.a/0/2", "demo.a/0/3"].map(String::from).into(), true));
}

#[test]
fn a_slow_store_costs_nobody_its_place() {
    let mut cluster = training(1, 3);
    for seconds in (31..300).step_by(10) {
        stuck(&mut cluster, 1, [Data, Data, Data], seconds);
    }
    assert_eq!((cluster.sent(), cluster.notices()), (vec![], vec![]));
    for member in 0..3 {
        cluster.report(&format!("demo.a/0/{member}"), TaskReport::GotOn);
    }
    cluster.expect("demo.a", "running", "");
}

#[test]
fn what_ranks_said_before_they_got_on_is_no_evidence() {
    let mut cluster = training(2, 3);
    cluster.stall("demo.a/0/0", 1, (Collective, 5), 31);
    cluster.stall("demo.a/0/2", 1, (Collective, 5), 31);
    cluster.report("demo.a/0/0", TaskReport::GotOn);
    cluster.report("demo.a/0/2", TaskReport::GotOn);
    cluster.stall("demo.a/0/1", 1, (Data, 6), 31);
    assert_eq!(cluster.sent(), [""; 0]);
    // Nor is what they say of a membership that is over: not what was on its way, and not what comes from one that is there still.
    cluster.lose("w2");
    cluster.sent();
    cluster.stall("demo.a/0/0", 1, (Collective, 6), 31);
    cluster.stall("demo.a/0/1", 1, (Data, 6), 31);
    assert_eq!(cluster.sent(), [""; 0]);
    cluster.pass(Duration::from_secs(11));
    cluster.sent();
    cluster.stall("demo.a/0/0", 2, (Collective, 6), 31);
    cluster.stall("demo.a/0/1", 1, (Data, 6), 42);
    assert_eq!(
        (cluster.sent(), cluster.notices()),
        (vec![], vec![]),
        "nobody waits in a collective for one that has not met the others"
    );
}

#[test]
fn all_that_wait_for_each_other_meet_anew_and_not_for_ever() {
    let mut cluster = training(2, 3);
    for generation in 1..u64::from(SETBACKS) {
        stuck(&mut cluster, generation, [Collective; 3], 31);
        assert_eq!(cluster.sent().len(), 3, "all of them");
        assert!(cluster.membership().1, "at once");
        let found = "3 tasks waited for each other, in `collective` of step 5 for 31 s (bound 30 s), and met anew";
        cluster.expect("demo.a", "running", found);
    }
    stuck(&mut cluster, SETBACKS.into(), [Collective; 3], 31);
    assert_eq!(cluster.sent(), ["stop demo.a/0/0", "stop demo.a/0/1", "stop demo.a/0/2"]);
    let JobState::Stopping { why, .. } = &cluster.job("demo.a").state else { panic!("it goes on") };
    assert_eq!(why.why().word, "stalled");
}

#[test]
fn steps_make_up_for_a_release() {
    let mut cluster = training(2, 3);
    for generation in 1..20 {
        stuck(&mut cluster, generation, [Collective; 3], 31);
        cluster.progress("demo.a/0/0", 5 + generation);
        let recovered = cluster.last.facts.iter().find_map(|fact| match fact {
            Fact::Recovered { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(recovered, Some(FormReason::Stalled));
    }
    cluster.expect("demo.a", "running", "");
}

#[test]
fn a_group_that_hangs_with_a_newcomer_hangs_by_it() {
    let mut cluster = training(2, 3);
    cluster.fail("demo.a/0/2", Cause::Crash);
    cluster.progress("demo.a/0/0", 6);
    cluster.ready("demo.a/0/3");
    cluster.sent();
    for task in ["demo.a/0/0", "demo.a/0/1", "demo.a/0/3"] {
        cluster.stall(task, 3, (Collective, 6), 31);
    }
    assert_eq!(cluster.sent(), ["stop demo.a/0/3", "join demo.a/0/0 4", "join demo.a/0/1 4"]);
    assert_eq!(cluster.setbacks(), 0);
}

#[test]
fn the_first_rank_may_take_long_to_write_what_all_have_come_to() {
    let mut cluster = training(2, 3);
    stuck(&mut cluster, 1, [Store, Collective, Collective], 31);
    stuck(&mut cluster, 1, [Store, Collective, Collective], 299);
    assert_eq!(cluster.sent(), [""; 0]);
    cluster.expect("demo.a", "running", "a task on `w0` is in `store` of step 5 for 299 s (bound 30 s)");
    stuck(&mut cluster, 1, [Store, Collective, Collective], 300);
    assert_eq!(cluster.sent(), ["join demo.a/0/1 2", "join demo.a/0/2 2"]);
}

#[test]
fn one_that_is_alone_is_tried_again_with_a_new_process() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(pipeline("demo", vec![job("a", &[], pretrain(1))]));
    cluster.ready("demo.a/0/0");
    cluster.progress("demo.a/0/0", 5);
    cluster.sent();
    cluster.stall("demo.a/0/0", 1, (Data, 5), 299);
    assert_eq!(cluster.sent(), [""; 0]);
    cluster.stall("demo.a/0/0", 1, (Data, 5), 309);
    assert_eq!(cluster.sent(), ["stop demo.a/0/0"]);
    cluster.stopped("demo.a/0/0");
    let why = "tries again after 1 s (2 tries left): `demo.a/0/0`: was in `data` of step 5 for 309 s (bound 30 s)";
    cluster.expect("demo.a", "waiting", why);
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.sent(), ["start demo.a/1/0 w0#0"]);
}

#[test]
fn a_task_that_meets_nobody_is_tried_again_too() {
    let mut cluster = Cluster::new();
    cluster.join("w0", 1);
    cluster.submit(pipeline("demo", vec![job("a", &[], finetune())]));
    cluster.progress("demo.a/0/0", 5);
    cluster.sent();
    cluster.stall("demo.a/0/0", 0, (Collective, 5), 3000);
    assert_eq!(cluster.sent(), [""; 0], "it has nobody to wait for");
    cluster.stall("demo.a/0/0", 0, (Data, 5), 300);
    assert_eq!(cluster.sent(), ["stop demo.a/0/0"]);
}

#[test]
fn a_coordinator_that_takes_over_is_told_again() {
    let mut cluster = training(2, 3);
    cluster.stall("demo.a/0/0", 1, (Collective, 5), 31);
    cluster.stall("demo.a/0/2", 1, (Collective, 5), 31);
    let mut next = Cluster::new();
    next.now = cluster.now;
    next.core = Coordinator::restore(LEASE, cluster.now, cluster.records.clone());
    for member in 0..3 {
        let task = format!("demo.a/0/{member}");
        next.come_back(&format!("w{member}"), 1, vec![HeldTask { task: task.parse().unwrap(), slot: 0 }]);
        next.ready(&task);
    }
    next.sent();
    next.stall("demo.a/0/1", 1, (Data, 5), 41);
    assert_eq!(next.sent(), [""; 0], "it has not heard of the others");
    next.stall("demo.a/0/0", 1, (Collective, 5), 41);
    next.stall("demo.a/0/2", 1, (Collective, 5), 41);
    assert_eq!(next.sent(), ["join demo.a/0/0 2", "join demo.a/0/2 2"]);
}

#[test]
fn ranks_of_a_gang_that_stops_are_left_in_peace() {
    let mut cluster = training(2, 3);
    cluster.cancel("demo").unwrap();
    cluster.sent();
    stuck(&mut cluster, 1, [Collective, Data, Collective], 31);
    assert_eq!(cluster.sent(), [""; 0]);
}

#[test]
fn one_that_is_stuck_in_a_group_before_is_left_out_by_the_word_of_a_newcomer() {
    let mut cluster = training(2, 4);
    cluster.fail("demo.a/0/2", Cause::Crash);
    cluster.progress("demo.a/0/0", 6);
    cluster.ready("demo.a/0/3");
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/1", "demo.a/0/3"]);
    cluster.sent();
    // It has not come to this membership, and its agent says why.
    cluster.pass(Duration::from_secs(10));
    cluster.stall("demo.a/0/1", 2, (Data, 6), 31);
    assert_eq!(cluster.sent(), [""; 0]);
    cluster.part("demo.a/0/3", 3, &["demo.a/0/1"]);
    assert_eq!(cluster.sent(), ["join demo.a/0/0 4", "join demo.a/0/3 4"], "the newcomer is right");
    let found = "`demo.a/0/1` on `w1` was left out: it was in `data` of step 6 for 31 s (bound 30 s), and 2 others waited for it";
    cluster.expect("demo.a", "running", found);
}

#[test]
fn the_last_one_left_is_given_up_where_it_does_not_get_on() {
    let mut cluster = training(1, 3);
    cluster.stall("demo.a/0/0", 1, (Data, 5), 31);
    cluster.fail("demo.a/0/1", Cause::Crash);
    cluster.fail("demo.a/0/2", Cause::Crash);
    assert_eq!(cluster.membership().0, ["demo.a/0/0"]);
    cluster.sent();
    cluster.stall("demo.a/0/0", 1, (Data, 5), 3000);
    assert_eq!(cluster.sent(), [""; 0], "it may be on its way out");
    cluster.pass(Duration::from_secs(10));
    cluster.sent();
    cluster.stall("demo.a/0/0", 1, (Data, 5), 299);
    assert_eq!(cluster.sent(), [""; 0]);
    cluster.stall("demo.a/0/0", 1, (Data, 5), 304);
    assert!(cluster.sent().contains(&"stop demo.a/0/0".to_owned()));
}
