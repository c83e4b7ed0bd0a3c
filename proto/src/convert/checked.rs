//! Reading and checking in one pass: what can't be read and what breaks a rule are named in one answer.
//!
//! The rules look at a copy in which whatever can't be read has been replaced by a value that keeps them. Nothing else comes of
//! that copy, and a rule that looks broken only because of such a stand-in is left out.

use std::collections::HashSet;
use std::time::Duration;

use prost::Message as _;
use vismae_core::event::RequestId;
use vismae_core::ids::{CorpusName, JobName, NamespaceName, PipelineId};
use vismae_core::spec::{JOBS_MAX, ModelSpec, PipelineSpec, Violations};

use super::spec_in::pipeline_from_wire;
use super::{request_id_from_wire, spec_out, store_url};
use crate::v1;
use crate::v1::job_spec::Kind;

/// The most bytes of a pipeline.
const SPEC_MAX: usize = 512 << 10;

/// Reads what a user asks for and the name of the request, and checks every rule.
///
/// # Errors
/// Everything that is wrong with either.
pub fn submission_from_wire(
    request: &v1::SubmitPipelineRequest,
) -> Result<(PipelineSpec, Option<RequestId>), Violations> {
    let wire = request.spec.clone().unwrap_or_default();
    check_size(&wire)?;
    let spec = checked_pipeline_from_wire(&wire);
    match (spec, request_id_from_wire(&request.request_id)) {
        (Ok(spec), Ok(request_id)) => Ok((spec, request_id)),
        (Err(mut violations), Err(more)) => {
            violations.append(more);
            Err(violations)
        }
        (Err(violations), _) | (_, Err(violations)) => Err(violations),
    }
}

/// Refuses what is too large to be looked at: the rules take time that grows with it, and what is accepted is kept.
fn check_size(wire: &v1::PipelineSpec) -> Result<(), Violations> {
    let (jobs, bytes) = (wire.jobs.len(), wire.encoded_len());
    if jobs > JOBS_MAX {
        return Err(Violations::of("jobs", format!("are {jobs}, expected at most {JOBS_MAX}")));
    }
    if bytes > SPEC_MAX {
        return Err(Violations::of("spec", format!("has {bytes} bytes, expected at most {SPEC_MAX}")));
    }
    Ok(())
}

/// Reads a pipeline and checks every rule.
///
/// # Errors
/// Every field that can't be read, then every rule that is broken, each as [`pipeline_from_wire`] names it.
pub fn checked_pipeline_from_wire(wire: &v1::PipelineSpec) -> Result<PipelineSpec, Violations> {
    let unreadable = match pipeline_from_wire(wire) {
        Ok(spec) => return spec.validate().map(|()| spec),
        Err(unreadable) => unreadable,
    };
    let mut all = unreadable.clone();
    let copy = with_stand_ins(wire);
    // Something without a stand-in hides the rules, and is named itself.
    let broken = pipeline_from_wire(&copy).ok().and_then(|spec| spec.validate().err()).unwrap_or_default();
    for violation in broken.iter() {
        let field = place(wire, &copy, &violation.field);
        if !is_doubtful(&field, &unreadable) {
            all.add(&field, violation.message.clone());
        }
    }
    Err(all)
}

/// Where a field of the copy stands in what was sent: a job whose name can't be read is known by its place.
fn place(wire: &v1::PipelineSpec, copy: &v1::PipelineSpec, field: &str) -> String {
    let (job, rest) = field.split_at(field.find('.').unwrap_or(field.len()));
    match copy.jobs.iter().position(|stand_in| stand_in.name == job) {
        Some(index) if wire.jobs[index].name != job => format!("jobs[{index}]{rest}"),
        _ => field.to_owned(),
    }
}

/// Whether a rule on the field may look broken because of what could not be read.
fn is_doubtful(field: &str, unreadable: &Violations) -> bool {
    let ends = |ends: &[&str]| unreadable.iter().any(|refused| ends.iter().any(|end| refused.field.ends_with(end)));
    let within =
        |refused: &str| field == refused || field.strip_prefix(refused).is_some_and(|rest| rest.starts_with('.'));
    unreadable.iter().any(|refused| within(&refused.field))
        // Rules between jobs: the job that is meant may be the one that can't be read.
        || field.ends_with(".depends_on") && ends(&["].name"])
        || field.ends_with(".init") && ends(&["].name", ".kind", ".model"])
}

/// A copy in which everything can be read, as far as stand-ins go.
fn with_stand_ins(wire: &v1::PipelineSpec) -> v1::PipelineSpec {
    let mut copy = wire.clone();
    if PipelineId::new(&copy.name).is_err() {
        copy.name = "stand-in".to_owned();
    }
    if NamespaceName::new(copy.namespace.as_str()).is_err() {
        copy.namespace.clear();
    }
    if store_url::check(&copy.store_url).is_err() {
        copy.store_url = "memory:///".to_owned();
    }
    copy.deadline.take_if(|deadline| Duration::try_from(*deadline).is_err());
    let taken: HashSet<&str> = wire.jobs.iter().map(|job| job.name.as_str()).collect();
    let mut free = (0..).map(|number| format!("stand-in-{number}")).filter(|name| !taken.contains(name.as_str()));
    for index in 0..copy.jobs.len() {
        if JobName::new(&copy.jobs[index].name).is_err() {
            copy.jobs[index].name = free.next().unwrap_or_default();
        }
        stand_in_for(&mut copy.jobs[index]);
    }
    copy
}

fn stand_in_for(job: &mut v1::JobSpec) {
    job.depends_on.retain(|needed| JobName::new(needed).is_ok());
    if v1::DeviceKind::try_from(job.device).is_err() {
        job.device = v1::DeviceKind::Unspecified.into();
    }
    match &mut job.kind {
        Some(Kind::Ingest(spec)) => {
            stand_in_for_corpus(&mut spec.corpus);
            spec.percentiles.get_or_insert(v1::Window { low: 0.0, high: 100.0 });
            if v1::Fit::try_from(spec.fit).is_err() {
                spec.fit = v1::Fit::Unspecified.into();
            }
            if v1::XrayRange::try_from(spec.xray_range).is_err() {
                spec.xray_range = v1::XrayRange::Unspecified.into();
            }
        }
        Some(Kind::Pretrain(spec)) => {
            stand_in_for_corpus(&mut spec.corpus);
            stand_in_for_training(&mut spec.selection, &mut spec.model, &mut spec.optimiser);
        }
        Some(Kind::Finetune(spec)) => {
            stand_in_for_corpus(&mut spec.corpus);
            stand_in_for_training(&mut spec.selection, &mut spec.model, &mut spec.optimiser);
            if spec.task() == v1::FinetuneTask::Unspecified {
                spec.task = v1::FinetuneTask::Classify.into();
            }
            spec.pretrained_job.take_if(|job| JobName::new(job.as_str()).is_err());
        }
        None => {
            let stand_in = v1::IngestSpec {
                corpus: "stand-in".to_owned(),
                inputs: vec!["/".to_owned()],
                image_size: 64,
                percentiles: Some(v1::Window { low: 0.0, high: 100.0 }),
                ct_windows: vec![v1::Window { low: 0.0, high: 1.0 }],
                ..v1::IngestSpec::default()
            };
            job.kind = Some(Kind::Ingest(stand_in));
        }
    }
}

fn stand_in_for_corpus(corpus: &mut String) {
    if CorpusName::new(corpus.as_str()).is_err() {
        *corpus = "stand-in".to_owned();
    }
}

fn stand_in_for_training(
    selection: &mut Option<v1::Selection>,
    model: &mut Option<v1::ModelSpec>,
    optimiser: &mut Option<v1::OptimiserSpec>,
) {
    if let Some(selection) = selection {
        let known = |code: &i32| v1::Modality::try_from(*code).is_ok_and(|known| known != v1::Modality::Unspecified);
        selection.modalities.retain(known);
    }
    model.get_or_insert_with(|| spec_out::model(&ModelSpec::base()));
    optimiser.get_or_insert(v1::OptimiserSpec { learning_rate: 1.0, ..v1::OptimiserSpec::default() });
}
