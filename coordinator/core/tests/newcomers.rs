//! Whose fault it is when a group breaks: members that come, or come back, must not cost the others what they have come to.

mod cluster;

use std::time::Duration;

use cluster::*;
use vismae_core::effect::{Fact, FormReason};
use vismae_core::event::{Event, Progress, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::job::{REJOIN_TIMEOUT, SETBACKS};

/// A pre-training of two, which a third member has just joined: the third membership, after that of three and of two.
fn joined(at_least: u32) -> Cluster {
    let mut cluster = training(at_least, 3);
    cluster.fail("demo.a/0/2", Cause::Crash);
    cluster.progress("demo.a/0/0", 6);
    cluster.ready("demo.a/0/3");
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/1", "demo.a/0/3"]);
    cluster.sent();
    cluster
}

#[test]
fn a_machine_that_dies_with_many_ranks_is_one_setback() {
    for at_least in [1, 6] {
        let mut cluster = Cluster::new();
        cluster.join("w0", 1);
        cluster.join("w1", 5);
        cluster.submit(pipeline("demo", vec![job("a", &[], elastic(at_least, 6))]));
        for member in 0..6 {
            cluster.ready(&format!("demo.a/0/{member}"));
        }
        cluster.progress("demo.a/0/0", 1);
        let here = cluster.core.workers().find(|worker| worker.lease.worker.as_str() == "w1").unwrap();
        let dies: Vec<String> = here.tasks().map(ToString::to_string).collect();
        // All processes of a machine that is out of memory, one after the other, or the machine itself.
        match at_least {
            1 => dies.iter().for_each(|task| cluster.fail(task, Cause::Crash)),
            _ => cluster.lose("w1"),
        }
        cluster.expect(
            "demo.a",
            "running",
            if at_least == 1 { "" } else { "1 of at least 6 tasks are there, and wait for others in memory" },
        );
        let gang = cluster.job("demo.a").state.gang().unwrap();
        assert_eq!((gang.setbacks, gang.unlucky), (1, 0), "at least {at_least}");
    }
}

#[test]
fn a_newcomer_that_the_others_can_not_join_goes_and_the_next_comes_later() {
    let mut cluster = joined(2);
    cluster.part("demo.a/0/0", 3, &["demo.a/0/3"]);
    assert_eq!(cluster.sent(), ["stop demo.a/0/3", "join demo.a/0/0 4", "join demo.a/0/1 4"]);
    assert_eq!(cluster.setbacks(), 0);
    cluster.part("demo.a/0/3", 3, &["demo.a/0/0"]);
    assert_eq!(cluster.sent(), [""; 0], "it may say what it likes");
    cluster.stopped("demo.a/0/3");
    assert_eq!(cluster.sent(), [""; 0], "not at once");
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.sent(), ["start demo.a/0/4 w2#0"]);
}

#[test]
fn a_newcomer_accuses_nobody_but_itself() {
    let mut cluster = joined(2);
    cluster.part("demo.a/0/3", 3, &["demo.a/0/0", "demo.a/0/1"]);
    assert_eq!(cluster.sent(), ["stop demo.a/0/3", "join demo.a/0/0 4", "join demo.a/0/1 4"]);
    assert_eq!(cluster.setbacks(), 0);
    let unlucky = cluster.job("demo.a").state.gang().unwrap().unlucky;
    assert_eq!(unlucky, 1);
}

#[test]
fn a_newcomer_is_believed_about_another_one() {
    let mut cluster = training(2, 4);
    cluster.fail("demo.a/0/2", Cause::Crash);
    cluster.progress("demo.a/0/0", 6);
    cluster.ready("demo.a/0/3");
    cluster.join("w3", 1);
    cluster.ready("demo.a/0/4");
    cluster.sent();
    cluster.part("demo.a/0/4", 4, &["demo.a/0/3", "demo.a/0/0"]);
    assert_eq!(cluster.sent(), ["stop demo.a/0/3", "join demo.a/0/0 5", "join demo.a/0/1 5", "join demo.a/0/4 5"]);
    cluster.part("demo.a/0/4", 5, &["demo.a/0/0"]);
    assert_eq!(cluster.sent(), ["stop demo.a/0/4", "join demo.a/0/0 6", "join demo.a/0/1 6"]);
}

#[test]
fn a_group_that_breaks_before_a_newcomer_has_taken_steps_broke_by_it() {
    let mut cluster = joined(2);
    cluster.part("demo.a/0/1", 3, &[]);
    assert_eq!(cluster.sent(), ["stop demo.a/0/3", "join demo.a/0/0 4", "join demo.a/0/1 4"]);

    // The first report is of the step in which the others were.
    let mut cluster = joined(2);
    cluster.progress("demo.a/0/0", 7);
    cluster.part("demo.a/0/1", 3, &[]);
    assert_eq!(cluster.sent()[0], "stop demo.a/0/3");

    let mut cluster = joined(2);
    cluster.progress("demo.a/0/0", 7);
    cluster.progress("demo.a/0/0", 8);
    cluster.part("demo.a/0/1", 3, &[]);
    assert_eq!(
        cluster.sent(),
        ["join demo.a/0/0 4", "join demo.a/0/1 4", "join demo.a/0/3 4"],
        "it is one of them now"
    );
    assert_eq!(cluster.setbacks(), 1);
}

#[test]
fn a_rank_that_is_missed_beside_a_newcomer_is_left_out_and_the_newcomer_stays() {
    let mut cluster = joined(2);
    cluster.part("demo.a/0/0", 3, &["demo.a/0/1"]);
    assert_eq!(cluster.sent(), ["join demo.a/0/0 4", "join demo.a/0/3 4"]);
}

#[test]
fn newcomers_that_can_never_be_joined_end_an_attempt_that_needs_them() {
    let mut cluster = training(2, 2);
    cluster.fail("demo.a/0/1", Cause::Crash);
    for newcomer in 2..20 {
        let task = format!("demo.a/0/{newcomer}");
        if !cluster.job("demo.a").state.gang().unwrap().members.contains_key(&newcomer) {
            break;
        }
        cluster.ready(&task);
        let generation = cluster.job("demo.a").generation.0;
        cluster.part("demo.a/0/0", generation, &[&task]);
        cluster.stopped(&task);
        cluster.pass(REJOIN_TIMEOUT - Duration::from_secs(1));
    }
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.job("demo.a").stops.len() + cluster.sent.len().min(1), 1, "it has stopped or is told to");
    assert!(cluster.job("demo.a").state.to_string().contains("was not met by its peers"));
}

#[test]
fn newcomers_that_crash_as_soon_as_they_have_joined_are_tried_less_and_less_often() {
    let mut cluster = training(2, 3);
    cluster.fail("demo.a/0/2", Cause::Crash);
    let mut starts = 0;
    for second in 0..60 {
        let gang = cluster.job("demo.a").state.gang().unwrap();
        if let Some(newcomer) = gang.members.keys().max().copied().filter(|last| *last > 2) {
            cluster.ready(&format!("demo.a/0/{newcomer}"));
            cluster.fail(&format!("demo.a/0/{newcomer}"), Cause::Crash);
        }
        cluster.progress("demo.a/0/0", 6 + second);
        cluster.pass(Duration::from_secs(1));
        starts += cluster.sent().iter().filter(|word| word.starts_with("start")).count();
    }
    assert!((4..9).contains(&starts), "{starts} in a minute");
    assert_eq!(cluster.setbacks(), 0);
}

#[test]
fn newcomers_that_have_learned_nothing_do_not_go_on_alone() {
    let mut cluster = training(1, 2);
    cluster.fail("demo.a/0/1", Cause::Crash);
    cluster.ready("demo.a/0/2");
    cluster.sent();
    cluster.fail("demo.a/0/0", Cause::Crash);
    assert_eq!(cluster.sent(), ["stop demo.a/0/2"]);
    cluster.stopped("demo.a/0/2");
    cluster.expect("demo.a", "waiting", "tries again after 1 s (2 tries left): `demo.a/0/0`: crash trouble");
}

#[test]
fn what_was_done_before_is_no_progress() {
    let mut cluster = training(1, 3);
    let say = |cluster: &mut Cluster, phase: &str, done| {
        let progress = Progress { phase: phase.to_owned(), done, ..Progress::default() };
        cluster.report("demo.a/0/0", TaskReport::Progress(progress));
    };
    say(&mut cluster, "training", 100);
    for generation in 1..u64::from(SETBACKS) {
        say(&mut cluster, "training", 100 - generation);
        say(&mut cluster, "training", 100);
        say(&mut cluster, "publishing", 0);
        cluster.part("demo.a/0/1", generation, &[]);
    }
    assert_eq!(cluster.setbacks(), SETBACKS - 1);
    cluster.part("demo.a/0/1", u64::from(SETBACKS), &[]);
    cluster.expect("demo.a", "stopping", "stops because `demo.a/0/1`: the ranks do not meet: no answer");
}

#[test]
fn a_recovery_is_over_with_the_next_step_wherever_that_is() {
    let mut cluster = training(1, 3);
    cluster.progress("demo.a/0/0", 100);
    cluster.part("demo.a/0/1", 1, &[]);
    cluster.progress("demo.a/0/0", 90);
    cluster.pass(Duration::from_secs(1));
    cluster.progress("demo.a/0/0", 91);
    let recovered = cluster.last.facts.iter().find(|fact| matches!(fact, Fact::Recovered { .. }));
    let time = Duration::from_secs(1);
    let job = "demo.a".parse().unwrap();
    assert_eq!(recovered, Some(&Fact::Recovered { job, reason: FormReason::Broken, time }));
    assert_eq!(cluster.setbacks(), 1, "it has been further");
}

#[test]
fn a_member_that_dies_with_its_machine_while_it_leaves_is_cut_off() {
    let mut cluster = training(1, 3);
    cluster.submit(pipeline("other", vec![job("b", &[], pretrain(1))]));
    assert_eq!(cluster.sent(), ["stop demo.a/0/2", "join demo.a/0/0 2", "join demo.a/0/1 2"]);
    cluster.cancel("other").unwrap();
    cluster.lose("w2");
    assert_eq!(cluster.sent(), ["join demo.a/0/0 3", "join demo.a/0/1 3"]);
    assert!(cluster.membership().1, "they may wait for it in the group before the last");
    assert_eq!(cluster.setbacks(), 0);

    let mut cluster = training(1, 3);
    cluster.handle(Event::WorkerLeaving(cluster.leases["w2"].clone()));
    cluster.lose("w2");
    assert_eq!(cluster.sent(), ["join demo.a/0/0 2", "join demo.a/0/1 2"]);
    assert!(cluster.membership().1, "it closed none of its connections");
    assert_eq!(cluster.setbacks(), 0);
}
