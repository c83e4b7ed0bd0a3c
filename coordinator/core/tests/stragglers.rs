//! Ranks that are slower than their peers.

mod cluster;

use cluster::*;
use vismae_core::effect::Fact;
use vismae_core::event::TaskReport;
use vismae_core::pace::{REST, SLOW_WINDOWS};
use vismae_core::spec::{JobKind, PretrainSpec};

const SLOW: [f64; 3] = [1.0, 1.9, 1.0];
const LIKE_THE_OTHERS: [f64; 3] = [1.0, 1.1, 1.0];

/// A pre-training of three that may leave out slow ones, and has begun.
fn strict(at_least: u32) -> Cluster {
    let mut cluster = Cluster::new();
    for worker in ["w0", "w1", "w2"] {
        cluster.join(worker, 1);
    }
    let JobKind::Pretrain(spec) = elastic(at_least, 3) else { unreachable!() };
    let kind = JobKind::Pretrain(PretrainSpec { exclude_stragglers: true, ..spec });
    cluster.submit(pipeline("demo", vec![job("a", &[], kind)]));
    for member in 0..3 {
        cluster.ready(&format!("demo.a/0/{member}"));
    }
    cluster.progress("demo.a/0/0", 5);
    cluster.sent();
    cluster
}

fn windows(cluster: &mut Cluster, generation: u64, own_seconds: &[f64]) {
    for _ in 0..SLOW_WINDOWS {
        cluster.pace("demo.a/0/0", generation, own_seconds);
    }
}

#[test]
fn a_slow_rank_is_told_with_numbers_once_it_has_been_slow_for_long() {
    let mut cluster = training(1, 3);
    cluster.pace("demo.a/0/0", 1, &SLOW);
    assert!(cluster.last.facts.contains(&Fact::Paced { job: "demo.a".parse().unwrap(), score: 1.9 }));
    cluster.pace("demo.a/0/0", 1, &SLOW);
    cluster.expect("demo.a", "running", "");
    cluster.pace("demo.a/0/0", 1, &SLOW);
    let told = "`demo.a/0/1` on `w1` takes 1.9 x the median of its peers (1.900 s of its own for a step, they 1.000 s) for 3 windows; \
                `exclude_stragglers` would leave it out";
    cluster.expect("demo.a", "running", told);
    let why = cluster.job("demo.a").state.why().unwrap();
    assert_eq!((why.word, why.facts["score"].as_str(), why.facts["worker"].as_str()), ("straggler", "1.9", "w1"));
    windows(&mut cluster, 1, &SLOW);
    assert_eq!((cluster.notices().len(), cluster.sent()), (1, vec![]), "said once, and nothing is done");
    cluster.pace("demo.a/0/0", 1, &LIKE_THE_OTHERS);
    cluster.expect("demo.a", "running", "");
}

#[test]
fn windows_count_only_in_a_row() {
    let mut cluster = strict(1);
    for _ in 0..5 {
        cluster.pace("demo.a/0/0", 1, &SLOW);
        cluster.pace("demo.a/0/0", 1, &SLOW);
        cluster.pace("demo.a/0/0", 1, &LIKE_THE_OTHERS);
    }
    assert_eq!((cluster.notices(), cluster.sent()), (vec![], vec![]));
}

#[test]
fn it_leaves_at_the_end_of_a_step_where_that_was_asked_for() {
    let mut cluster = strict(2);
    windows(&mut cluster, 1, &SLOW);
    assert_eq!(cluster.sent(), ["join demo.a/0/0 2", "join demo.a/0/2 2"], "its process is not touched");
    assert!(!cluster.membership().1, "nothing is broken");
    assert_eq!(cluster.setbacks(), 0);
    let state = cluster.job("demo.a").state.to_string();
    assert!(state.ends_with("for 3 windows, and was left out for a while"), "{state}");
}

#[test]
fn it_comes_back_after_a_rest_and_is_judged_anew() {
    let mut cluster = strict(2);
    windows(&mut cluster, 1, &SLOW);
    cluster.progress("demo.a/0/0", 6);
    cluster.sent();
    cluster.pass(REST - std::time::Duration::from_secs(1));
    assert_eq!(cluster.sent(), [""; 0]);
    cluster.pass(std::time::Duration::from_secs(1));
    assert_eq!(cluster.sent(), ["join demo.a/0/0 3", "join demo.a/0/2 3", "join demo.a/0/1 3"]);
    cluster.expect("demo.a", "running", "");
    cluster.progress("demo.a/0/0", 7);
    cluster.progress("demo.a/0/0", 8);
    windows(&mut cluster, 3, &[1.0, 1.0, 1.9]);
    assert_eq!(cluster.sent(), ["join demo.a/0/0 4", "join demo.a/0/2 4"]);
}

#[test]
fn the_others_never_become_too_few_by_it() {
    let mut cluster = strict(3);
    windows(&mut cluster, 1, &SLOW);
    assert_eq!(cluster.sent(), [""; 0]);
    let state = cluster.job("demo.a").state.to_string();
    assert!(state.ends_with("without it the others would be too few"), "{state}");

    // Where they become too few without it later, a slow one is better than none.
    let mut cluster = strict(2);
    windows(&mut cluster, 1, &SLOW);
    cluster.sent();
    cluster.lose("w2");
    assert_eq!(cluster.membership(), (vec!["demo.a/0/0".into(), "demo.a/0/1".into()], true));
    cluster.expect("demo.a", "running", "");
}

#[test]
fn one_goes_at_a_time_and_the_slowest_first() {
    let mut cluster = strict(1);
    windows(&mut cluster, 1, &[1.0, 4.0, 4.0]);
    assert_eq!(cluster.sent(), [""; 0], "of three, two are no exception");
    windows(&mut cluster, 1, &[1.0, 1.0, 9.0]);
    assert_eq!(cluster.membership().0, ["demo.a/0/0", "demo.a/0/1"]);
}

#[test]
fn while_it_rests_another_may_have_its_place() {
    let mut cluster = strict(2);
    windows(&mut cluster, 1, &SLOW);
    cluster.sent();
    cluster.join("w3", 1);
    assert_eq!(cluster.sent(), ["start demo.a/0/3 w3#0"]);
    cluster.ready("demo.a/0/3");
    for step in 6..10 {
        cluster.progress("demo.a/0/0", step);
    }
    cluster.sent();
    cluster.pass(REST);
    assert_eq!(cluster.sent(), ["stop demo.a/0/1"], "there is no room for it any more");
}

#[test]
fn only_the_first_rank_of_the_last_membership_is_heard() {
    let strange: [(&str, u64, &[f64]); 4] = [
        ("demo.a/0/1", 1, &SLOW),
        ("demo.a/0/0", 7, &SLOW),
        ("demo.a/0/0", 1, &SLOW[..2]),
        ("demo.a/0/0", 1, &[f64::NAN, 1.0, f64::INFINITY]),
    ];
    for (task, generation, own_seconds) in strange {
        let mut cluster = strict(1);
        (0..SLOW_WINDOWS).for_each(|_| cluster.pace(task, generation, own_seconds));
        assert_eq!((cluster.notices(), cluster.sent()), (vec![], vec![]), "{task} {generation} {own_seconds:?}");
    }
}

#[test]
fn a_new_membership_is_looked_at_anew() {
    let mut cluster = strict(1);
    cluster.pace("demo.a/0/0", 1, &SLOW);
    cluster.pace("demo.a/0/0", 1, &SLOW);
    cluster.lose("w2");
    cluster.progress("demo.a/0/0", 6);
    cluster.sent();
    cluster.pace("demo.a/0/0", 2, &SLOW[..2]);
    assert_eq!(cluster.sent(), [""; 0]);
}

#[test]
fn silence_of_one_that_rests_changes_nothing() {
    let mut cluster = strict(2);
    windows(&mut cluster, 1, &SLOW);
    cluster.sent();
    cluster.silence("demo.a/0/1", false);
    cluster.silence("demo.a/0/1", true);
    cluster.part("demo.a/0/1", 1, &[]);
    cluster.report("demo.a/0/1", TaskReport::GotOn);
    assert_eq!(cluster.sent(), [""; 0]);
}
