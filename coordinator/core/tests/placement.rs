//! Jobs that may use some slots only, and groups that start with fewer than they could use.

mod cluster;

use cluster::*;
use vismae_core::device::DeviceKind;
use vismae_core::spec::{JobKind, JobSpec, Labels, Placement, PretrainSpec};

fn labels(zone: &str) -> Labels {
    Labels::from([("zone".to_owned(), zone.to_owned())])
}

fn within(job: JobSpec, zone: &str) -> JobSpec {
    JobSpec { placement: Placement { device: None, labels: labels(zone) }, ..job }
}

/// Two slots in zone a, two in zone b, two nowhere.
fn zones() -> Cluster {
    let mut cluster = Cluster::new();
    for zone in ["a", "b"] {
        cluster.labels = labels(zone);
        cluster.join(zone, 2);
    }
    cluster.labels = Labels::new();
    cluster.join("c", 2);
    cluster
}

#[test]
fn a_job_runs_where_the_labels_are_that_it_asks_for() {
    let mut cluster = zones();
    cluster.submit(pipeline("here", vec![within(job("a", &[], pretrain(2)), "b")]));
    assert_eq!(cluster.sent(), ["start here.a/0/0 b#0", "start here.a/0/1 b#1"]);
    cluster.submit(pipeline("nowhere", vec![within(job("a", &[], pretrain(2)), "z")]));
    cluster.expect("nowhere.a", "waiting", "needs 2 slots at once, 0 of 6 slots match `zone=z`");
    cluster.submit(pipeline("large", vec![within(job("a", &[], pretrain(3)), "b")]));
    cluster.expect("large.a", "waiting", "needs 3 slots at once, 2 of 6 slots match `zone=b`");
}

#[test]
fn a_job_that_waits_for_some_slots_keeps_nobody_from_the_others() {
    let mut cluster = zones();
    for name in ["first", "second", "third"] {
        cluster.submit(pipeline(name, vec![within(job("a", &[], pretrain(2)), "b")]));
    }
    cluster.sent();
    cluster.expect("second.a", "waiting", "needs 2 slots at once, 0 of 2 free");
    cluster.expect("third.a", "waiting", "waits behind `second.a`, which has the next claim on free slots");
    cluster.submit(pipeline("other", vec![within(job("a", &[], pretrain(1)), "a")]));
    cluster.submit(pipeline("any", vec![job("a", &[], pretrain(3))]));
    assert_eq!(
        cluster.sent(),
        ["start other.a/0/0 a#0", "start any.a/0/0 c#0", "start any.a/0/1 a#1", "start any.a/0/2 c#1"]
    );
}

#[test]
fn a_kind_of_device_that_is_not_there_is_named() {
    let mut cluster = zones();
    let placement = Placement { device: Some(DeviceKind::Cuda), labels: Labels::new() };
    cluster.submit(pipeline("gpu", vec![JobSpec { placement, ..job("a", &[], finetune()) }]));
    cluster.expect("gpu.a", "waiting", "needs 1 slot at once, 0 of 6 slots match `device=cuda`");
}

#[test]
fn a_group_starts_with_as_many_slots_as_there_are_between_its_bounds() {
    let JobKind::Pretrain(spec) = pretrain(4) else { panic!("another kind") };
    let elastic = || vec![job("a", &[], JobKind::Pretrain(PretrainSpec { min_slots: 2, ..spec.clone() }))];
    let mut cluster = Cluster::new();
    cluster.join("w0", 3);
    cluster.submit(pipeline("three", elastic()));
    assert_eq!(cluster.sent().len(), 3);
    for member in 0..3 {
        cluster.ready(&format!("three.a/0/{member}"));
    }
    assert_eq!(cluster.sent(), ["join three.a/0/0 1", "join three.a/0/1 1", "join three.a/0/2 1"], "all of them meet");
    cluster.join("w1", 1);
    cluster.submit(pipeline("waits", elastic()));
    cluster.expect("waits.a", "waiting", "needs 2 slots at once, 1 of 4 free");
    cluster.join("w2", 4);
    assert_eq!(cluster.sent().len(), 4, "no more than it can use");
}
