//! Specifications to the wire.

use vismae_core::spec::{
    CheckpointSpec, FinetuneSpec, FinetuneTask, Fit, IngestSpec, Initialisation, JobKind, JobSpec, Modality, ModelSpec,
    OptimiserSpec, PipelineSpec, PretrainSpec, Selection, Window, XrayRange,
};

use super::explanation::device;
use crate::v1;
use crate::v1::job_spec::Kind;

/// Writes a pipeline as [`pipeline_from_wire`](super::pipeline_from_wire) reads it.
pub fn pipeline_to_wire(spec: &PipelineSpec) -> v1::PipelineSpec {
    v1::PipelineSpec {
        name: spec.name.to_string(),
        store_url: spec.store_url.clone(),
        jobs: spec.jobs.iter().map(job_to_wire).collect(),
        priority: spec.priority,
        namespace: spec.namespace.to_string(),
        suspended: spec.suspended,
        deadline: spec.deadline.and_then(|deadline| deadline.try_into().ok()),
    }
}

/// Writes a job as [`job_from_wire`](super::job_from_wire) reads it.
pub fn job_to_wire(spec: &JobSpec) -> v1::JobSpec {
    let kind = match &spec.kind {
        JobKind::Ingest(spec) => Kind::Ingest(ingest(spec)),
        JobKind::Pretrain(spec) => Kind::Pretrain(pretrain(spec)),
        JobKind::Finetune(spec) => Kind::Finetune(finetune(spec)),
    };
    v1::JobSpec {
        name: spec.name.to_string(),
        depends_on: spec.depends_on.iter().map(ToString::to_string).collect(),
        kind: Some(kind),
        device: device(spec.placement.device).into(),
        node_labels: spec.placement.labels.clone().into_iter().collect(),
    }
}

fn ingest(spec: &IngestSpec) -> v1::IngestSpec {
    v1::IngestSpec {
        corpus: spec.corpus.to_string(),
        inputs: spec.inputs.clone(),
        image_size: spec.image_size,
        ct_windows: spec.ct_windows.iter().copied().map(window).collect(),
        percentiles: Some(window(spec.percentiles)),
        minimum_content: spec.minimum_content,
        fit: match spec.fit {
            Fit::Stretch => v1::Fit::Stretch,
            Fit::Pad => v1::Fit::Pad,
            Fit::Crop => v1::Fit::Crop,
        }
        .into(),
        workers: Some(spec.workers),
        xray_range: match spec.xray_range {
            XrayRange::Voi => v1::XrayRange::Voi,
            XrayRange::Percentiles => v1::XrayRange::Percentiles,
        }
        .into(),
    }
}

fn window(window: Window) -> v1::Window {
    v1::Window { low: window.low, high: window.high }
}

fn pretrain(spec: &PretrainSpec) -> v1::PretrainSpec {
    v1::PretrainSpec {
        corpus: spec.corpus.to_string(),
        selection: Some(selection(&spec.selection)),
        model: Some(model(&spec.model)),
        optimiser: Some(optimiser(&spec.optimiser)),
        epochs: spec.epochs,
        global_batch: spec.global_batch,
        lanes: spec.lanes,
        slots: spec.slots,
        min_slots: Some(spec.min_slots),
        seed: spec.seed,
        checkpoints: Some(checkpoints(&spec.checkpoints)),
        exclude_stragglers: spec.exclude_stragglers,
    }
}

fn checkpoints(spec: &CheckpointSpec) -> v1::CheckpointSpec {
    let &CheckpointSpec { every, latest, best, younger_than } = spec;
    let younger_than = younger_than.and_then(|time| time.try_into().ok());
    v1::CheckpointSpec { every: Some(every), latest: Some(latest), best, younger_than }
}

fn finetune(spec: &FinetuneSpec) -> v1::FinetuneSpec {
    let task = match spec.task {
        FinetuneTask::Classify => v1::FinetuneTask::Classify,
        FinetuneTask::Segment => v1::FinetuneTask::Segment,
    };
    let pretrained_job = match &spec.initialisation {
        Initialisation::Pretrained(job) => Some(job.to_string()),
        Initialisation::Random => None,
    };
    v1::FinetuneSpec {
        task: task.into(),
        corpus: spec.corpus.to_string(),
        selection: Some(selection(&spec.selection)),
        model: Some(model(&spec.model)),
        pretrained_job,
        optimiser: Some(optimiser(&spec.optimiser)),
        epochs: spec.epochs,
        batch: spec.batch,
        seed: spec.seed,
        label_fraction: Some(spec.label_fraction),
    }
}

fn selection(selection: &Selection) -> v1::Selection {
    v1::Selection {
        modalities: selection.modalities.iter().map(|&one| modality(one).into()).collect(),
        sources: selection.sources.clone(),
    }
}

fn modality(modality: Modality) -> v1::Modality {
    match modality {
        Modality::Ct => v1::Modality::Ct,
        Modality::Mr => v1::Modality::Mr,
        Modality::Pet => v1::Modality::Pet,
        Modality::XRay => v1::Modality::Xray,
        Modality::Ultrasound => v1::Modality::Ultrasound,
    }
}

pub(super) fn model(spec: &ModelSpec) -> v1::ModelSpec {
    v1::ModelSpec {
        image_size: spec.image_size,
        patch_size: spec.patch_size,
        embed_dim: spec.embed_dim,
        depths: spec.depths.clone(),
        heads: spec.heads.clone(),
        window: spec.window,
        mask_unit: spec.mask_unit,
        mask_ratio: spec.mask_ratio,
        drop_path: spec.drop_path,
        normalise_targets: spec.normalise_targets,
    }
}

fn optimiser(spec: &OptimiserSpec) -> v1::OptimiserSpec {
    v1::OptimiserSpec {
        learning_rate: spec.learning_rate,
        weight_decay: spec.weight_decay,
        warmup_epochs: spec.warmup_epochs,
        clip_norm: spec.clip_norm,
    }
}
