mod specs;

use std::time::Duration;

use proptest::prelude::*;
use vismae_core::device::{DeviceKind, PerKind};
use vismae_core::effect::{Command, Membership};
use vismae_core::event::TaskReport;
use vismae_core::ids::{CorpusName, Generation, JobName, NamespaceName, PipelineId};
use vismae_core::namespace::{Borrowing, NamespaceChange, NamespaceUpdate};
use vismae_core::spec::{
    CheckpointSpec, FinetuneSpec, FinetuneTask, Fit, IngestSpec, Initialisation, JobKind, JobSpec, Modality, ModelSpec,
    OptimiserSpec, PipelineSpec, Placement, PretrainSpec, Selection, Violations, Window, XrayRange,
};
use vismae_core::stall::{Phase, Stall};

use super::*;
use crate::v1;

fn ingest() -> IngestSpec {
    IngestSpec {
        corpus: CorpusName::new("phantom").unwrap(),
        inputs: vec!["a".into(), "b.csv".into()],
        image_size: 64,
        ct_windows: vec![Window { low: -160.0, high: 240.0 }, Window { low: -1350.0, high: 150.0 }],
        percentiles: Window { low: 0.5, high: 99.5 },
        xray_range: XrayRange::Percentiles,
        fit: Fit::Stretch,
        minimum_content: 0.02,
        workers: 3,
    }
}

fn optimiser(clip_norm: Option<f64>) -> OptimiserSpec {
    OptimiserSpec { learning_rate: 1e-3, weight_decay: 0.05, warmup_epochs: 1.0, clip_norm }
}

fn selection() -> Selection {
    Selection { modalities: Modality::ALL.to_vec(), sources: vec!["lidc".into()] }
}

fn pretrain() -> PretrainSpec {
    PretrainSpec {
        corpus: CorpusName::new("phantom").unwrap(),
        selection: selection(),
        model: ModelSpec::tiny(),
        optimiser: optimiser(None),
        epochs: 2,
        global_batch: 64,
        lanes: 8,
        slots: 2,
        min_slots: 1,
        seed: u64::MAX,
        checkpoints: CheckpointSpec::default(),
        exclude_stragglers: false,
    }
}

fn finetune(task: FinetuneTask, initialisation: Initialisation) -> FinetuneSpec {
    FinetuneSpec {
        label_fraction: 1.0,
        task,
        corpus: CorpusName::new("phantom").unwrap(),
        selection: Selection::default(),
        model: ModelSpec::tiny(),
        initialisation,
        optimiser: optimiser(Some(1.0)),
        epochs: 3,
        batch: 32,
        seed: 7,
    }
}

fn job(name: &str, depends_on: &[&str], kind: JobKind) -> JobSpec {
    JobSpec {
        name: JobName::new(name).unwrap(),
        depends_on: depends_on.iter().map(|needed| JobName::new(*needed).unwrap()).collect(),
        placement: Placement { device: Some(DeviceKind::Cuda), labels: [("zone".to_owned(), "a".to_owned())].into() },
        kind,
    }
}

fn pipeline() -> PipelineSpec {
    let pretrained = Initialisation::Pretrained(JobName::new("pretrain").unwrap());
    PipelineSpec {
        name: PipelineId::new("demo").unwrap(),
        store_url: "file:///tmp/store".into(),
        jobs: vec![
            job("ingest", &[], JobKind::Ingest(ingest())),
            job("pretrain", &["ingest"], JobKind::Pretrain(pretrain())),
            job("classify", &["pretrain"], JobKind::Finetune(finetune(FinetuneTask::Classify, pretrained))),
            job("segment", &["ingest"], JobKind::Finetune(finetune(FinetuneTask::Segment, Initialisation::Random))),
        ],
        priority: 7,
        namespace: NamespaceName::new("radiology").unwrap(),
        suspended: true,
        deadline: Some(std::time::Duration::from_millis(1500)),
    }
}

#[track_caller]
fn fields<T: std::fmt::Debug>(result: Result<T, Violations>) -> Vec<String> {
    result.unwrap_err().iter().map(|violation| violation.field.clone()).collect()
}

#[test]
fn a_specification_comes_back_as_it_was_sent() {
    let spec = pipeline();
    assert_eq!(pipeline_from_wire(&pipeline_to_wire(&spec)).unwrap(), spec);
    for job in &spec.jobs {
        assert_eq!(job_from_wire(&job_to_wire(job)).unwrap(), *job);
    }
}

#[test]
fn every_unreadable_field_is_named_at_once() {
    let mut wire = pipeline_to_wire(&pipeline());
    wire.name = "Demo".into();
    wire.store_url.clear();
    wire.jobs[0].name = String::new();
    if let Some(v1::job_spec::Kind::Ingest(ingest)) = &mut wire.jobs[0].kind {
        ingest.percentiles = None;
        ingest.xray_range = 7;
    }
    if let Some(v1::job_spec::Kind::Pretrain(pretrain)) = &mut wire.jobs[1].kind {
        pretrain.corpus = "no such/corpus".into();
        pretrain.model = None;
        let younger_than = Some(prost_types::Duration { seconds: -5, nanos: 0 });
        pretrain.checkpoints = Some(v1::CheckpointSpec { younger_than, ..Default::default() });
        pretrain.selection.as_mut().unwrap().modalities = vec![0, 1, 99];
    }
    if let Some(v1::job_spec::Kind::Finetune(finetune)) = &mut wire.jobs[2].kind {
        finetune.task = 0;
        finetune.pretrained_job = Some("UP".into());
    }
    wire.jobs[3].kind = None;
    assert_eq!(
        fields(pipeline_from_wire(&wire)),
        [
            "name",
            "store_url",
            "jobs[0].name",
            "jobs[0].percentiles",
            "jobs[0].xray_range",
            "pretrain.corpus",
            "pretrain.selection.modalities",
            "pretrain.selection.modalities",
            "pretrain.model",
            "pretrain.checkpoints.younger_than",
            "classify.task",
            "classify.pretrained_job",
            "segment.kind"
        ]
    );
}

#[test]
fn what_cant_be_read_hides_no_broken_rule_and_invents_none() {
    let checked = |wire: &v1::PipelineSpec| fields(checked_pipeline_from_wire(wire));
    let mut wire = pipeline_to_wire(&pipeline());
    wire.name = "Demo".into();
    wire.priority = 5000;
    assert_eq!(checked(&wire), ["name", "priority"]);
    let mut odd = wire.clone();
    odd.deadline = Some(prost_types::Duration { seconds: -5, nanos: 0 });
    odd.jobs[0].device = 77;
    assert_eq!(checked(&odd), ["name", "deadline", "ingest.device", "priority"]);
    // A rule that the stand-in for an unreadable field keeps or breaks says nothing of what was sent.
    if let Some(v1::job_spec::Kind::Pretrain(pretrain)) = &mut wire.jobs[1].kind {
        (pretrain.model, pretrain.slots) = (None, 99);
    }
    assert_eq!(checked(&wire), ["name", "pretrain.model", "priority", "pretrain.slots"]);
    wire.jobs[1].name = "Pretrain".into();
    assert_eq!(checked(&wire), ["name", "jobs[1].name", "jobs[1].model", "priority", "jobs[1].slots"]);
    wire = pipeline_to_wire(&pipeline());
    wire.jobs[1].kind = None;
    wire.jobs[2].depends_on.push("classfy".into());
    assert_eq!(checked(&wire), ["pretrain.kind", "classify.depends_on"]);
    assert_eq!(checked_pipeline_from_wire(&pipeline_to_wire(&pipeline())), Ok(pipeline()));
}

#[test]
fn a_default_message_is_refused_and_never_a_panic() {
    assert_eq!(fields(job_from_wire(&v1::JobSpec::default())), ["jobs[0].name", "jobs[0].kind"]);
    assert_eq!(fields(pipeline_from_wire(&v1::PipelineSpec::default())), ["name", "store_url"]);
    assert_eq!(fields(arrival_from_wire(&v1::Hello::default())), ["worker"]);
    assert_eq!(fields(report_from_wire(v1::TaskEvent::default())), ["task.task"]);
}

#[test]
fn a_pipeline_that_names_no_namespace_is_in_the_default_one() {
    let mut wire = pipeline_to_wire(&pipeline());
    assert_eq!(wire.namespace, "radiology");
    wire.namespace.clear();
    assert_eq!(pipeline_from_wire(&wire).unwrap().namespace, NamespaceName::default());
    wire.namespace = "No".into();
    assert_eq!(fields(pipeline_from_wire(&wire)), ["namespace"]);
}

#[test]
fn an_update_changes_what_its_mask_names_and_nothing_else() {
    let update = |paths: &[&str]| {
        let namespace = v1::Namespace {
            name: "left".into(),
            quota: Some(v1::Quota { cpu: Some(4), cuda: None }),
            borrowing: Some(v1::Borrowing { limit: Some(2) }),
            etag: "3".into(),
            ..v1::Namespace::default()
        };
        let paths = paths.iter().map(ToString::to_string).collect();
        let update_mask = Some(prost_types::FieldMask { paths });
        let request = v1::UpdateNamespaceRequest { namespace: Some(namespace), update_mask, ..Default::default() };
        namespace_update_from_wire(&request)
    };
    let change = |paths| match update(paths).unwrap() {
        NamespaceUpdate { change, create: false, revision: Some(3), .. } => change,
        other => panic!("{other:?}"),
    };
    let quota = |cpu, cuda| PerKind { cpu, cuda };
    let none = NamespaceChange::default();
    assert_eq!(change(&["quota.cpu"]), NamespaceChange { quota: quota(Some(Some(4)), None), ..none.clone() });
    assert_eq!(change(&["quota.cuda"]), NamespaceChange { quota: quota(None, Some(None)), ..none.clone() });
    assert_eq!(change(&["max_pending"]), NamespaceChange { max_pending: Some(None), ..none });
    let all = change(&[]);
    assert_eq!((all.quota, all.borrowing), (quota(Some(Some(4)), Some(None)), Some(Borrowing::UpTo(2))));
    assert_eq!(fields(update(&["usage", "quota"])), ["update_mask"]);
    assert_eq!(fields(update(&["*", "quota"])), ["update_mask"]);
    assert_eq!(change(&["*"]), change(&[]), "all of it");
    assert_eq!(
        fields(namespace_deletion_from_wire(&v1::DeleteNamespaceRequest {
            name: "A".into(),
            etag: "x".into(),
            ..Default::default()
        })),
        ["name", "etag"]
    );
}

#[test]
fn a_hello_with_an_unknown_device_names_it() {
    let hello = v1::Hello {
        worker: "w0".into(),
        devices: vec!["cpu".into(), "tpu:0".into()],
        host: "127.0.0.1".into(),
        version: "0.1.0".into(),
        labels: [("zone".to_owned(), "a b".to_owned())].into(),
        ..v1::Hello::default()
    };
    let violations = arrival_from_wire(&hello).unwrap_err().to_string();
    assert!(violations.contains("`devices`") && violations.contains("`tpu:0`"), "{violations}");
    assert!(violations.contains("`labels` holds `zone=a b`, expected a key and a value"), "{violations}");
}

#[test]
fn reports_of_tasks_are_read() {
    use v1::task_event::Event;
    let read = |event| {
        report_from_wire(v1::TaskEvent { task: "demo.pretrain/0/1".into(), event: Some(event) })
            .map(|(_, report)| report)
    };
    let ready = |address: &str| Event::Ready(v1::Ready { store_address: address.into() });
    assert_eq!(read(ready("")), Ok(TaskReport::Ready { store_address: None }));
    assert_eq!(read(ready("h:1")), Ok(TaskReport::Ready { store_address: Some("h:1".into()) }));
    assert_eq!(read(Event::Stopped(v1::Stopped {})), Ok(TaskReport::Stopped));
    let unspecified = Event::Failed(v1::Failed { cause: 0, message: "?".into() });
    assert_eq!(fields(read(unspecified)), ["task.failed.cause"]);
    let input = Event::Failed(v1::Failed { cause: v1::Cause::Input.into(), message: "bad".into() });
    assert!(matches!(read(input), Ok(TaskReport::Failed { message, .. }) if message == "bad"));
    assert_eq!(read(Event::Stalled(v1::Stalled { over: true, ..v1::Stalled::default() })), Ok(TaskReport::GotOn));
    let (millis, bound_millis) = (31_000, 30_000);
    let stalled = v1::Stalled { over: false, generation: 3, phase: 1, step: 9, millis, bound_millis, collectives: 18 };
    let (time, bound) = (Duration::from_secs(31), Duration::from_secs(30));
    let stall = Stall { phase: Phase::Data, step: 9, collectives: 18, time, bound };
    assert_eq!(read(Event::Stalled(stalled)), Ok(TaskReport::Stalled { generation: Generation(3), stall }));
    assert_eq!(fields(read(Event::Stalled(v1::Stalled { phase: 0, ..stalled }))), ["task.stalled.phase"]);
    assert_eq!(fields(read(Event::Pulse(v1::Pulse::default()))), ["task.pulse"]);
    let rank = v1::paced::RankPace { own_seconds: 0.5, share: 2.0 };
    let paced = v1::Paced { generation: 3, step_seconds: 0.75, ranks: vec![rank; 2] };
    let Ok(TaskReport::Paced(pace)) = read(Event::Paced(paced)) else { panic!("it is not read") };
    assert_eq!((pace.generation, pace.step_seconds, pace.ranks.len()), (Generation(3), 0.75, 2));
    assert_eq!((pace.ranks[0].own_seconds, pace.ranks[0].share), (0.5, 2.0));
}

#[test]
fn a_membership_keeps_the_order_of_its_ranks() {
    let ranks: Vec<_> = ["demo.pretrain/1/0", "demo.pretrain/1/1"].map(|task| task.parse().unwrap()).to_vec();
    let membership = Membership {
        generation: Generation(4),
        ranks: ranks.clone(),
        store_address: Some("10.0.0.1:4000".into()),
        urgent: true,
    };
    let wire = command_to_wire(&ranks[1], &Command::Membership(membership));
    assert_eq!(wire.task, "demo.pretrain/1/1");
    let Some(v1::task_command::Command::Membership(sent)) = wire.command else { panic!("{wire:?}") };
    assert_eq!((sent.generation, sent.store_address.as_str(), sent.urgent), (4, "10.0.0.1:4000", true));
    assert_eq!(sent.ranks, ["demo.pretrain/1/0", "demo.pretrain/1/1"]);
}

#[test]
fn a_request_id_is_a_uuid_or_nothing() {
    assert_eq!(request_id_from_wire(""), Ok(None));
    assert!(request_id_from_wire("6ba7b810-9dad-11d1-80b4-00c04fd430c8").unwrap().is_some());
    assert_eq!(fields(request_id_from_wire("again")), ["request_id"]);
}

proptest! {
    #[test]
    fn any_specification_comes_back_from_the_wire_as_it_was(spec in specs::pipelines()) {
        let bytes = prost::Message::encode_to_vec(&pipeline_to_wire(&spec));
        let wire = <v1::PipelineSpec as prost::Message>::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(pipeline_from_wire(&wire), Ok(spec.clone()));
        prop_assert_eq!(checked_pipeline_from_wire(&wire), spec.validate().map(|()| spec));
    }

    #[test]
    fn bytes_from_a_stranger_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let Ok(wire) = <v1::PipelineSpec as prost::Message>::decode(bytes.as_slice()) else { return Ok(()) };
        if let Ok(spec) = pipeline_from_wire(&wire) {
            let again = pipeline_from_wire(&pipeline_to_wire(&spec)).unwrap();
            prop_assert_eq!(format!("{again:?}"), format!("{spec:?}"));
        }
    }
}
