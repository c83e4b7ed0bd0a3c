use super::*;
use crate::ids::{CorpusName, NamespaceName};

fn ingest() -> IngestSpec {
    IngestSpec {
        corpus: CorpusName::new("phantom").unwrap(),
        inputs: vec!["phantom".into()],
        image_size: 64,
        ct_windows: vec![Window { low: -160.0, high: 240.0 }],
        percentiles: Window { low: 0.5, high: 99.5 },
        xray_range: XrayRange::Voi,
        fit: Fit::Stretch,
        minimum_content: 0.02,
        workers: 16,
    }
}

fn optimiser() -> OptimiserSpec {
    OptimiserSpec { learning_rate: 1e-3, weight_decay: 0.05, warmup_epochs: 1.0, clip_norm: None }
}

fn pretrain() -> PretrainSpec {
    PretrainSpec {
        corpus: CorpusName::new("phantom").unwrap(),
        selection: Selection::default(),
        model: ModelSpec::tiny(),
        optimiser: optimiser(),
        epochs: 2,
        global_batch: 64,
        lanes: 8,
        slots: 2,
        min_slots: 2,
        seed: 0,
        checkpoints: CheckpointSpec::default(),
        exclude_stragglers: false,
    }
}

fn finetune() -> FinetuneSpec {
    FinetuneSpec {
        label_fraction: 1.0,
        task: FinetuneTask::Classify,
        corpus: CorpusName::new("phantom").unwrap(),
        selection: Selection::default(),
        model: ModelSpec::tiny(),
        initialisation: Initialisation::Pretrained(JobName::new("pretrain").unwrap()),
        optimiser: optimiser(),
        epochs: 2,
        batch: 32,
        seed: 0,
    }
}

fn job(name: &str, depends_on: &[&str], kind: JobKind) -> JobSpec {
    JobSpec {
        name: JobName::new(name).unwrap(),
        depends_on: depends_on.iter().map(|needed| JobName::new(*needed).unwrap()).collect(),
        placement: Placement::default(),
        kind,
    }
}

fn pipeline() -> PipelineSpec {
    PipelineSpec {
        name: PipelineId::new("demo").unwrap(),
        store_url: "file:///tmp/store".into(),
        jobs: vec![
            job("ingest", &[], JobKind::Ingest(ingest())),
            job("pretrain", &["ingest"], JobKind::Pretrain(pretrain())),
            job("classify", &["pretrain"], JobKind::Finetune(finetune())),
        ],
        priority: 7,
        namespace: NamespaceName::default(),
        suspended: false,
        deadline: None,
    }
}

fn fields(spec: &PipelineSpec) -> Vec<String> {
    spec.validate().unwrap_err().iter().map(|violation| violation.field.clone()).collect()
}

#[test]
fn a_sound_pipeline_passes() {
    pipeline().validate().unwrap();
    ModelSpec::base().check("base", &mut Violations::default());
}

#[test]
fn every_broken_rule_is_named_at_once() {
    let mut spec = pipeline();
    spec.jobs[0].kind = JobKind::Ingest(IngestSpec { image_size: 4, inputs: vec![], ..ingest() });
    spec.jobs[1].kind = JobKind::Pretrain(PretrainSpec {
        epochs: 0,
        global_batch: 63,
        slots: 9,
        checkpoints: CheckpointSpec { every: 0, latest: 0, ..CheckpointSpec::default() },
        ..pretrain()
    });
    assert_eq!(
        fields(&spec),
        [
            "ingest.inputs",
            "ingest.image_size",
            "pretrain.warmup_epochs",
            "pretrain.checkpoints.every",
            "pretrain.checkpoints.latest",
            "pretrain.epochs",
            "pretrain.global_batch",
            "pretrain.slots"
        ]
    );
}

#[test]
fn ct_windows_are_one_to_eight_ranges_without_a_repetition() {
    let fields_of = |windows: &[[f64; 2]]| {
        let windows = windows.iter().map(|&[low, high]| Window { low, high }).collect();
        let mut violations = Violations::default();
        IngestSpec { ct_windows: windows, ..ingest() }.check("ingest", &mut violations);
        violations.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(fields_of(&[[-160.0, 240.0], [-1350.0, 150.0]]), [""; 0]);
    assert_eq!(fields_of(&[]), ["`ingest.ct_windows` holds 0 windows, expected 1 to 8"]);
    let nine: Vec<[f64; 2]> = (0..9).map(|at| [f64::from(at), 100.0]).collect();
    assert_eq!(fields_of(&nine), ["`ingest.ct_windows` holds 9 windows, expected 1 to 8"]);
    assert_eq!(
        fields_of(&[[0.0, 80.0], [9.0, 1.0], [0.0, 80.0], [0.0, 1e300], [f64::NAN, 1.0]]),
        [
            "`ingest.ct_windows[1]` is [9, 1], expected the lower bound first".to_owned(),
            "`ingest.ct_windows[2]` is [0, 80], as `[0]` is: expected each window once".to_owned(),
            format!("`ingest.ct_windows[3]` is [0, {}], expected Hounsfield units from -1000000 to 1000000", 1e300_f64),
            "`ingest.ct_windows[4]` is [NaN, 1], expected the lower bound first".to_owned(),
        ]
    );
}

#[test]
fn a_dependency_is_an_earlier_job() {
    let mut spec = pipeline();
    spec.jobs.swap(0, 1);
    assert_eq!(fields(&spec), ["pretrain.depends_on"]);
}

#[test]
fn a_fine_tune_starts_from_a_model_of_its_own_shape() {
    let mut spec = pipeline();
    spec.jobs[2].kind =
        JobKind::Finetune(FinetuneSpec { model: ModelSpec { window: 7, ..ModelSpec::tiny() }, ..finetune() });
    assert_eq!(fields(&spec), ["classify.init"]);
}

#[test]
fn a_model_whose_grid_does_not_divide_is_refused() {
    let mut spec = pipeline();
    spec.jobs[1].kind = JobKind::Pretrain(PretrainSpec {
        model: ModelSpec { image_size: 60, heads: vec![5, 4, 8], ..ModelSpec::tiny() },
        ..pretrain()
    });
    assert_eq!(
        fields(&spec),
        ["pretrain.model.heads", "pretrain.model.image_size", "pretrain.model.mask_unit", "classify.init"]
    );
}
