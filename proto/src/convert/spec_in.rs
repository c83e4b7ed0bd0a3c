//! Specifications from the wire.

use std::time::Duration;

use vismae_core::device::DeviceKind;
use vismae_core::ids::{CorpusName, JobName, NamespaceName, PipelineId};
use vismae_core::spec::{
    CheckpointSpec, FinetuneSpec, FinetuneTask, Fit, INGEST_WORKERS_DEFAULT, IngestSpec, Initialisation, JobKind,
    JobSpec, Modality, ModelSpec, OptimiserSpec, PipelineSpec, Placement, PretrainSpec, Selection, Violations, Window,
    XrayRange,
};

use super::fields::Fields;
use super::store_url;
use crate::v1;
use crate::v1::job_spec::Kind;

/// Reads a pipeline as a user asks for it.
///
/// # Errors
/// Every field that can't be read, under the job's name, or under `jobs[n]` when the name itself can't be read.
pub fn pipeline_from_wire(wire: &v1::PipelineSpec) -> Result<PipelineSpec, Violations> {
    let mut violations = Violations::default();
    let mut fields = Fields::new(&mut violations);
    let name = fields.value("name", PipelineId::new(&wire.name));
    if let Err(problem) = store_url::check(&wire.store_url) {
        fields.refuse::<()>("store_url", problem);
    }
    let namespace = match wire.namespace.as_str() {
        "" => Some(NamespaceName::default()),
        name => fields.value("namespace", NamespaceName::new(name)),
    };
    let deadline = wire.deadline.map(|deadline| fields.value("deadline", Duration::try_from(deadline)));
    let deadline = deadline.map_or(Some(None), |read| read.map(Some));
    let jobs: Vec<_> = wire.jobs.iter().enumerate().map(|(index, spec)| job(&mut fields, index, spec)).collect();
    let jobs = jobs.into_iter().collect::<Option<_>>();
    let read = || {
        Some(PipelineSpec {
            name: name?,
            store_url: wire.store_url.clone(),
            jobs: jobs?,
            priority: wire.priority,
            namespace: namespace?,
            suspended: wire.suspended,
            deadline: deadline?,
        })
    };
    finish(violations, read())
}

/// Reads one job, as an agent passes it to a task.
///
/// # Errors
/// As [`pipeline_from_wire`].
pub fn job_from_wire(wire: &v1::JobSpec) -> Result<JobSpec, Violations> {
    let mut violations = Violations::default();
    let spec = job(&mut Fields::new(&mut violations), 0, wire);
    finish(violations, spec)
}

/// Passes the value when nothing was refused. A value is missing only where something was.
pub(super) fn finish<T>(violations: Violations, value: Option<T>) -> Result<T, Violations> {
    match value {
        Some(value) => violations.into_result().map(|()| value),
        None => Err(violations),
    }
}

fn job(fields: &mut Fields<'_>, index: usize, wire: &v1::JobSpec) -> Option<JobSpec> {
    let place = format!("jobs[{index}]");
    let name = fields.value(&format!("{place}.name"), JobName::new(&wire.name));
    let mut fields = fields.within(name.as_ref().map_or(place.as_str(), JobName::as_str));
    let depends_on: Vec<_> =
        wire.depends_on.iter().map(|needed| fields.value("depends_on", JobName::new(needed))).collect();
    let kind = match &wire.kind {
        Some(Kind::Ingest(spec)) => ingest(&mut fields, spec).map(JobKind::Ingest),
        Some(Kind::Pretrain(spec)) => pretrain(&mut fields, spec).map(JobKind::Pretrain),
        Some(Kind::Finetune(spec)) => finetune(&mut fields, spec).map(JobKind::Finetune),
        None => fields.refuse("kind", "is missing, expected one of `ingest`, `pretrain`, `finetune`"),
    };
    let device = match v1::DeviceKind::try_from(wire.device) {
        Ok(v1::DeviceKind::Unspecified) => Some(None),
        Ok(v1::DeviceKind::Cpu) => Some(Some(DeviceKind::Cpu)),
        Ok(v1::DeviceKind::Cuda) => Some(Some(DeviceKind::Cuda)),
        Err(_) => fields.refuse("device", format!("is {}, expected 0 to 2", wire.device)),
    };
    Some(JobSpec {
        name: name?,
        depends_on: depends_on.into_iter().collect::<Option<_>>()?,
        placement: Placement { device: device?, labels: wire.node_labels.clone().into_iter().collect() },
        kind: kind?,
    })
}

fn ingest(fields: &mut Fields<'_>, wire: &v1::IngestSpec) -> Option<IngestSpec> {
    let corpus = fields.value("corpus", CorpusName::new(&wire.corpus));
    let percentiles = fields.present("percentiles", &wire.percentiles);
    let fit = match v1::Fit::try_from(wire.fit) {
        Ok(v1::Fit::Unspecified | v1::Fit::Stretch) => Some(Fit::Stretch),
        Ok(v1::Fit::Pad) => Some(Fit::Pad),
        Ok(v1::Fit::Crop) => Some(Fit::Crop),
        Err(_) => fields.refuse("fit", format!("is {}, expected a fit from 1 to 3", wire.fit)),
    };
    let xray_range = match v1::XrayRange::try_from(wire.xray_range) {
        Ok(v1::XrayRange::Unspecified | v1::XrayRange::Voi) => Some(XrayRange::Voi),
        Ok(v1::XrayRange::Percentiles) => Some(XrayRange::Percentiles),
        Err(_) => fields.refuse("xray_range", format!("is {}, expected 1 or 2", wire.xray_range)),
    };
    Some(IngestSpec {
        fit: fit?,
        corpus: corpus?,
        inputs: wire.inputs.clone(),
        image_size: wire.image_size,
        ct_windows: wire.ct_windows.iter().map(window).collect(),
        percentiles: window(percentiles?),
        xray_range: xray_range?,
        minimum_content: wire.minimum_content,
        workers: wire.workers.unwrap_or(INGEST_WORKERS_DEFAULT),
    })
}

fn window(wire: &v1::Window) -> Window {
    Window { low: wire.low, high: wire.high }
}

fn pretrain(fields: &mut Fields<'_>, wire: &v1::PretrainSpec) -> Option<PretrainSpec> {
    let corpus = fields.value("corpus", CorpusName::new(&wire.corpus));
    let selection = selection(fields, wire.selection.as_ref());
    let model = fields.present("model", &wire.model);
    let optimiser = fields.present("optimiser", &wire.optimiser);
    let checkpoints = checkpoints(fields, wire.checkpoints.as_ref());
    Some(PretrainSpec {
        corpus: corpus?,
        selection: selection?,
        model: self::model(model?),
        optimiser: self::optimiser(optimiser?),
        epochs: wire.epochs,
        global_batch: wire.global_batch,
        lanes: wire.lanes,
        slots: wire.slots,
        min_slots: wire.min_slots.unwrap_or(wire.slots),
        seed: wire.seed,
        checkpoints: checkpoints?,
        exclude_stragglers: wire.exclude_stragglers,
    })
}

fn checkpoints(fields: &mut Fields<'_>, wire: Option<&v1::CheckpointSpec>) -> Option<CheckpointSpec> {
    let usual = CheckpointSpec::default();
    let Some(wire) = wire else { return Some(usual) };
    let younger_than = match &wire.younger_than {
        None => None,
        Some(time) => Some(fields.value("checkpoints.younger_than", Duration::try_from(*time))?),
    };
    Some(CheckpointSpec {
        every: wire.every.unwrap_or(usual.every),
        latest: wire.latest.unwrap_or(usual.latest),
        best: wire.best,
        younger_than,
    })
}

fn finetune(fields: &mut Fields<'_>, wire: &v1::FinetuneSpec) -> Option<FinetuneSpec> {
    let task = match wire.task() {
        v1::FinetuneTask::Classify => Some(FinetuneTask::Classify),
        v1::FinetuneTask::Segment => Some(FinetuneTask::Segment),
        v1::FinetuneTask::Unspecified => {
            fields.refuse("task", format!("is {}, expected classify or segment", wire.task))
        }
    };
    let corpus = fields.value("corpus", CorpusName::new(&wire.corpus));
    let selection = selection(fields, wire.selection.as_ref());
    let model = fields.present("model", &wire.model);
    let initialisation = match &wire.pretrained_job {
        None => Some(Initialisation::Random),
        Some(job) => fields.value("pretrained_job", JobName::new(job)).map(Initialisation::Pretrained),
    };
    let optimiser = fields.present("optimiser", &wire.optimiser);
    Some(FinetuneSpec {
        task: task?,
        corpus: corpus?,
        selection: selection?,
        label_fraction: wire.label_fraction.unwrap_or(1.0),
        model: self::model(model?),
        initialisation: initialisation?,
        optimiser: self::optimiser(optimiser?),
        epochs: wire.epochs,
        batch: wire.batch,
        seed: wire.seed,
    })
}

/// A selection that is left out does not restrict.
fn selection(fields: &mut Fields<'_>, wire: Option<&v1::Selection>) -> Option<Selection> {
    let Some(wire) = wire else { return Some(Selection::default()) };
    let modalities: Vec<_> = wire.modalities.iter().map(|&code| modality(fields, code)).collect();
    Some(Selection { modalities: modalities.into_iter().collect::<Option<_>>()?, sources: wire.sources.clone() })
}

fn modality(fields: &mut Fields<'_>, code: i32) -> Option<Modality> {
    match v1::Modality::try_from(code) {
        Ok(v1::Modality::Ct) => Some(Modality::Ct),
        Ok(v1::Modality::Mr) => Some(Modality::Mr),
        Ok(v1::Modality::Pet) => Some(Modality::Pet),
        Ok(v1::Modality::Xray) => Some(Modality::XRay),
        Ok(v1::Modality::Ultrasound) => Some(Modality::Ultrasound),
        Ok(v1::Modality::Unspecified) | Err(_) => {
            fields.refuse("selection.modalities", format!("holds {code}, expected a modality from 1 to 5"))
        }
    }
}

fn model(wire: &v1::ModelSpec) -> ModelSpec {
    ModelSpec {
        image_size: wire.image_size,
        patch_size: wire.patch_size,
        embed_dim: wire.embed_dim,
        depths: wire.depths.clone(),
        heads: wire.heads.clone(),
        window: wire.window,
        mask_unit: wire.mask_unit,
        mask_ratio: wire.mask_ratio,
        drop_path: wire.drop_path,
        normalise_targets: wire.normalise_targets,
    }
}

fn optimiser(wire: &v1::OptimiserSpec) -> OptimiserSpec {
    OptimiserSpec {
        learning_rate: wire.learning_rate,
        weight_decay: wire.weight_decay,
        warmup_epochs: wire.warmup_epochs,
        clip_norm: wire.clip_norm,
    }
}
