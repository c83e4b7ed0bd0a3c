//! Records read back what they were, and what an earlier version wrote is read for ever.
#![allow(clippy::unwrap_used, reason = "a broken expectation is a failed test")]

use std::collections::BTreeMap;

use vismae_core::device::{Device, PerKind};
use vismae_core::failure::{Cause, Failure};
use vismae_core::gang::{End, Formation, Gang, Member, MemberState, Short, Spent};
use vismae_core::ids::{JobName, SlotId, WorkerId};
use vismae_core::job::{Grounds, JobState, Ledger, Outcome, Stop, StopReason, Use};
use vismae_core::namespace::{Borrowing, Limits, Namespace};
use vismae_core::reason::Reason;
use vismae_core::spec::Demand;

use super::*;

fn at(seconds: u64) -> MonoTime {
    MonoTime::since_origin(Duration::new(1_790_000_000 + seconds, 5_000_007))
}

fn failure(cause: Cause) -> Failure {
    Failure { task: "demo.pretrain/1/0".parse().unwrap(), cause, message: "no route to `10.0.0.1`".into() }
}

fn gang(demand: Demand) -> Gang {
    let member = |worker: &str, index, state| Member {
        slot: SlotId { worker: WorkerId::new(worker).unwrap(), index },
        device: Device::Cpu,
        state,
        seated: at(4),
        since: at(4),
        joined: (index == 0).then(|| at(5)),
        trained: index == 0,
        trial: 0,
        aside: None,
        hangs: 0,
    };
    let figures = BTreeMap::from([("loss".to_owned(), 0.25)]);
    Gang {
        attempt: 1,
        seated: at(3),
        began: None,
        spent: Spent::default(),
        demand,
        members: BTreeMap::from([
            (0, member("w0", 0, MemberState::Starting)),
            (1, member("w0", 1, MemberState::Ready { store_address: Some("10.0.0.1:1".into()), excluded: false })),
            (3, member("w1", 0, MemberState::Ready { store_address: None, excluded: true })),
            (4, member("w1", 1, MemberState::Over(End::Succeeded(figures)))),
            (5, member("w2", 0, MemberState::Over(End::Failed(failure(Cause::Crash))))),
            (7, member("w2", 1, MemberState::Over(End::Stopped))),
            (8, member("w3", 0, MemberState::Leaving { by: None })),
            (9, member("w3", 1, MemberState::Leaving { by: Some("urgent.pretrain".parse().unwrap()) })),
        ]),
        next_member: 12,
        formation: Some(Formation { generation: Generation(4), ranks: vec![3, 1], urgent: true }),
        setbacks: 2,
        furthest: BTreeMap::new(),
        short: Some(Short { since: at(6), why: StopReason::Suspended }),
        broken: None,
        unlucky: 3,
        recruits_after: at(3),
        stalls: BTreeMap::new(),
        formed: at(3),
        ratings: BTreeMap::new(),
        notices: Vec::new(),
    }
}

fn states() -> Vec<JobState> {
    let stopping = |why| JobState::Stopping { gang: gang(Demand::group(6)), why, since: at(9) };
    let over = |outcome| JobState::Over { outcome, at: at(10) };
    let grounds = Some(Grounds { priority: 5, own_priority: -3, needed: 4, held: 2 });
    let backoff =
        Reason::Backoff { until: at(5), pause: Duration::from_secs(4), left: 1, failure: failure(Cause::WorkerLost) };
    vec![
        JobState::Waiting(Reason::Queued),
        JobState::Waiting(backoff),
        JobState::Running(gang(Demand::Crew { at_most: 16 })),
        JobState::Running(gang(Demand::Group { at_least: 2, at_most: 6 })),
        JobState::Running(Gang { formation: None, short: None, ..gang(Demand::group(6)) }),
        stopping(StopReason::Failed(failure(Cause::Environment))),
        stopping(StopReason::Failed(failure(Cause::Stalled))),
        stopping(StopReason::WorkerLeaves(WorkerId::new("w2").unwrap())),
        stopping(StopReason::Preempted { by: "urgent.pretrain".parse().unwrap(), grounds }),
        stopping(StopReason::Preempted { by: "urgent.pretrain".parse().unwrap(), grounds: None }),
        stopping(StopReason::Reclaimed { by: "urgent.pretrain".parse().unwrap(), grounds }),
        stopping(StopReason::Suspended),
        stopping(StopReason::Late { after: Duration::from_millis(1500) }),
        stopping(StopReason::Cancelled),
        over(Outcome::Succeeded { figures: BTreeMap::from([("auc".to_owned(), 0.5)]) }),
        over(Outcome::Failed(failure(Cause::Input))),
        over(Outcome::Late { after: Duration::from_secs(3600) }),
        over(Outcome::Cancelled),
        over(Outcome::Abandoned { because: JobName::new("ingest").unwrap() }),
    ]
}

fn job(state: JobState) -> Record {
    let job = "demo.pretrain".parse().unwrap();
    Record::Job {
        job,
        attempts: 2,
        failures: 1,
        fruitless: 0,
        generation: Generation(4),
        started: Some(at(2)),
        since: None,
        ledger: Ledger::default(),
        stops: Vec::new(),
        state,
    }
}

fn back(record: &Record) -> Record {
    let Change::Put(key, bytes) = encode(record) else { panic!("nothing is put") };
    assert_eq!(Key::parse(&key.path()).unwrap(), key);
    decode(key, &bytes).unwrap()
}

#[test]
fn every_state_of_a_job_reads_back_as_it_was() {
    for record in states().into_iter().map(job) {
        assert_eq!(back(&record), record);
    }
}

#[test]
fn what_a_job_has_spent_and_how_it_was_stopped_reads_back_as_it_was() {
    let mut spent = Ledger::default();
    spent.add(Use::Productive, Duration::from_millis(1500));
    spent.add(Use::WaitSlots, Duration::from_secs(7));
    let stop = |attempt, why| Stop { attempt, at: at(8), why };
    let all = vec![stop(0, StopReason::Suspended), stop(1, StopReason::Failed(failure(Cause::Crash)))];
    let times = Spent { starting: Duration::from_secs(3), working: Duration::from_millis(4500) };
    let gang = Gang {
        seated: at(1),
        recruits_after: at(1),
        formed: at(1),
        began: Some(at(4)),
        spent: times,
        ..gang(Demand::group(6))
    };
    let mut record = job(JobState::Running(gang));
    if let Record::Job { since, ledger, stops, .. } = &mut record {
        (*since, *ledger, *stops) = (Some(at(6)), spent, all);
    }
    assert_eq!(back(&record), record);
}

#[test]
fn a_gang_that_an_earlier_version_wrote_has_all_its_members_as_ranks() {
    let member = |worker: &str| state::Member {
        worker: worker.to_owned(),
        state: Some(state::member::State::Ready(state::Ready::default())),
        ..state::Member::default()
    };
    let gang = state::Gang {
        attempt: 1,
        place_time: Some(date(at(3))),
        demand: Some(state::gang::Demand::Group(2)),
        members: vec![member("w0"), member("w1")],
        generation: Some(4),
        ..state::Gang::default()
    };
    let gang = super::gang::read_gang(gang).unwrap();
    assert_eq!((gang.demand, gang.seated, gang.next_member), (Demand::group(2), at(3), 2));
    assert_eq!(gang.formation, Some(Formation { generation: Generation(4), ranks: vec![0, 1], urgent: false }));
    assert_eq!(gang.members[&1].slot, SlotId { worker: WorkerId::new("w1").unwrap(), index: 0 });
}

#[test]
fn why_a_job_waits_is_found_out_again() {
    let waiting = job(JobState::Waiting(Reason::Slots { needed: 4, free: 1, present: 2 }));
    assert_eq!(back(&waiting), job(JobState::Waiting(Reason::Queued)));
}

#[test]
fn the_other_records_read_back_as_they_were() {
    let membership = Membership {
        generation: Generation(4),
        ranks: vec!["demo.pretrain/1/0".parse().unwrap(), "demo.pretrain/1/1".parse().unwrap()],
        store_address: Some("10.0.0.1:1".into()),
        urgent: true,
    };
    let pipeline = PipelineId::new("demo").unwrap();
    for record in [
        Record::Generation { job: "demo.pretrain".parse().unwrap(), membership },
        Record::Suspended { pipeline: pipeline.clone(), suspended: true },
        Record::Suspended { pipeline: pipeline.clone(), suspended: false },
        Record::Cancelled { pipeline },
        drained(),
        golden_pipeline(),
        namespace(Borrowing::Never),
        namespace(Borrowing::UpTo(0)),
        namespace(Borrowing::Unlimited),
        Record::Namespace(Namespace { name: NamespaceName::default(), limits: Limits::default(), revision: 1 }),
    ] {
        assert_eq!(back(&record), record);
    }
}

fn namespace(borrowing: Borrowing) -> Record {
    let limits = Limits { quota: PerKind { cpu: Some(8), cuda: None }, borrowing, max_pending: Some(100) };
    Record::Namespace(Namespace { name: NamespaceName::new("radiology").unwrap(), limits, revision: 3 })
}

fn drained() -> Record {
    Record::Drained { worker: WorkerId::new("w0").unwrap(), until: at(11) }
}

/// As the first version wrote them: when this breaks, coordinators forget jobs on an update.
#[test]
fn what_the_first_form_holds_is_still_read() {
    let hex = |text: &str| -> Vec<u8> {
        let digits = text.split_whitespace().collect::<String>();
        digits
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let pipeline = Key::parse("pipeline/demo").unwrap();
    assert_eq!(decode(pipeline, &hex(include_str!("form_1_pipeline.hex"))).unwrap(), golden_pipeline());
    let running = Key::parse("job/demo.pretrain").unwrap();
    let expected = job(JobState::Running(first_gang()));
    assert_eq!(decode(running, &hex(include_str!("form_1_job.hex"))).unwrap(), expected);
    let kept = Key::parse("namespace/radiology").unwrap();
    assert_eq!(decode(kept, &hex("0808 2004 2864 3003")).unwrap(), namespace(Borrowing::UpTo(4)));
    let kept = Key::parse("drained/w0").unwrap();
    assert_eq!(decode(kept, &hex("0a0b 088b f7c4 d506 10c7 96b1 02")).unwrap(), drained());
}

/// What the first version could say of [`gang`]: members came and went all together.
fn first_gang() -> Gang {
    let gang = gang(Demand::group(6));
    let then = |member: Member| Member {
        state: match member.state {
            MemberState::Ready { store_address, .. } => MemberState::Ready { store_address, excluded: false },
            state => state,
        },
        seated: at(3),
        since: at(3),
        joined: None,
        trained: false,
        ..member
    };
    Gang {
        members: (0..6).zip(gang.members.into_values().map(then)).collect(),
        next_member: 6,
        formation: Some(Formation { generation: Generation(4), ranks: (0..6).collect(), urgent: false }),
        setbacks: 0,
        short: None,
        unlucky: 0,
        ..gang
    }
}

fn golden_pipeline() -> Record {
    let wire = vismae_proto::v1::PipelineSpec {
        name: "demo".into(),
        store_url: "s3://bucket/prefix".into(),
        priority: 0,
        namespace: String::new(),
        suspended: false,
        deadline: None,
        jobs: vec![vismae_proto::v1::JobSpec {
            name: "ingest".into(),
            depends_on: Vec::new(),
            device: 0,
            node_labels: Default::default(),
            kind: Some(vismae_proto::v1::job_spec::Kind::Ingest(vismae_proto::v1::IngestSpec {
                corpus: "phantom".into(),
                inputs: vec!["phantom".into()],
                image_size: 64,
                percentiles: Some(vismae_proto::v1::Window { low: 0.5, high: 99.5 }),
                minimum_content: 0.02,
                ct_windows: vec![vismae_proto::v1::Window { low: -160.0, high: 240.0 }],
                workers: Some(2),
                ..Default::default()
            })),
        }],
    };
    let spec = convert::pipeline_from_wire(&wire).unwrap();
    Record::Pipeline { spec, request: Some(RequestId(7)), number: 3, created: at(0) }
}

#[test]
fn damage_is_told_with_the_key_and_never_a_panic() {
    let corrupt = |key: &str, bytes: &[u8]| Key::parse(key).and_then(|key| decode(key, bytes)).unwrap_err();
    for (key, bytes) in [
        ("nothing", &b""[..]),
        ("worker/w0", b""),
        ("job/demo", b""),
        ("pipeline/UPPER", b""),
        ("pipeline/demo", b""),
        ("pipeline/demo", b"\xff\xff"),
        ("drained/w 0", b""),
        ("drained/w0", b""),
        ("job/demo.a", b""),
        ("job/demo.a", b"\x2a\x02\x0a\x00"),
        ("generation/demo.a", b"\x12\x01x"),
    ] {
        assert_eq!(corrupt(key, bytes).key, key);
    }
    for record in states().into_iter().map(job) {
        let Change::Put(key, bytes) = encode(&record) else { continue };
        for length in 0..bytes.len() {
            // Some prefixes are records of their own.
            let _read = decode(key.clone(), &bytes[..length]);
        }
    }
}

#[test]
fn a_pipeline_that_is_forgotten_takes_no_other_with_it() {
    let key = |path: &str| Key::parse(path).unwrap().path();
    assert!(!key("job/demo-2.a").starts_with("job/demo."));
}
