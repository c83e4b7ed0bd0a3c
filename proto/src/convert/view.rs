//! The coordinator's state as people see it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use vismae_core::ids::Generation;
use vismae_core::job::{Job, JobState, Outcome, Why};
use vismae_core::pipeline::{Pipeline, PipelineState};
use vismae_core::spec::Demand;
use vismae_core::time::MonoTime;
use vismae_core::worker::{Worker, WorkerState};

use super::etag::fingerprint;
use super::explanation::spent;
use super::spec_out::pipeline_to_wire;
use super::task::write_progress;
use crate::v1;

/// Writes a pipeline with the state of its jobs; [`sealed`](super::sealed) adds what is made of the whole. `clock` tells the date of a
/// moment.
pub fn pipeline_view(pipeline: &Pipeline, clock: impl Fn(MonoTime) -> SystemTime) -> v1::Pipeline {
    v1::Pipeline {
        name: pipeline.id.to_string(),
        spec: Some(pipeline_to_wire(&pipeline.spec())),
        jobs: pipeline.jobs.iter().map(|job| job_view(job, &clock)).collect(),
        state: pipeline_state(pipeline.state()).into(),
        create_time: Some(clock(pipeline.created).into()),
        end_time: pipeline.ended().map(|at| clock(at).into()),
        etag: String::new(),
        cursor: String::new(),
    }
}

/// Writes a worker with its slots and its etag. `clock` tells the date of a moment.
pub fn worker_view(worker: &Worker, clock: impl Fn(MonoTime) -> SystemTime) -> v1::Worker {
    let state = match worker.state {
        WorkerState::Active => v1::WorkerState::Active,
        WorkerState::Leaving => v1::WorkerState::Leaving,
        WorkerState::Drained => v1::WorkerState::Drained,
        WorkerState::Away => v1::WorkerState::Away,
    };
    let slot = |(index, slot): (u32, &vismae_core::worker::Slot)| v1::Slot {
        index,
        device: slot.device.to_string(),
        task: slot.task.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let is_here = worker.state != WorkerState::Away;
    let view = v1::Worker {
        name: worker.lease.worker.to_string(),
        slots: (0..).zip(&worker.slots).map(slot).collect(),
        host: worker.host.clone(),
        version: worker.version.clone(),
        join_time: is_here.then(|| clock(worker.joined).into()),
        state: state.into(),
        labels: worker.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        etag: String::new(),
    };
    v1::Worker { etag: fingerprint(&view), ..view }
}

fn job_view(job: &Job, clock: impl Fn(MonoTime) -> SystemTime) -> v1::Job {
    let end_time = match &job.state {
        JobState::Over { at, .. } => Some(clock(*at).into()),
        _ => None,
    };
    let slots = job.state.gang().map(|gang| gang.live(&job.id).map(|(_, slot)| slot.to_string()).collect());
    v1::Job {
        name: job.id.to_string(),
        kind: job.spec.kind.word().to_owned(),
        state: state_of(job.state.word()).into(),
        reason: job.state.to_string(),
        attempt: job.attempts.saturating_sub(1),
        generation: if matches!(job.demand(), Demand::Group { at_most: 2.., .. }) {
            job.generation
        } else {
            Generation(0)
        }
        .0,
        slots: slots.unwrap_or_default(),
        progress: job.progress.as_ref().map(write_progress),
        figures: figures(&job.state),
        start_time: job.started.map(|at| clock(at).into()),
        end_time,
        spent: spent(&job.ledger),
        goodput_ratio: job.ledger.goodput(),
        why: job.state.why().map(why),
    }
}

/// Why something is in its state, for programs.
pub(super) fn why(why: Why) -> v1::Why {
    let facts = why.facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    v1::Why { word: why.word.to_owned(), facts }
}

fn figures(state: &JobState) -> BTreeMap<String, f64> {
    match state.outcome() {
        Some(Outcome::Succeeded { figures }) => figures.clone(),
        _ => BTreeMap::new(),
    }
}

/// The state that a word names.
fn state_of(word: &str) -> v1::State {
    v1::State::from_str_name(&format!("STATE_{}", word.to_ascii_uppercase())).unwrap_or_default()
}

fn pipeline_state(state: PipelineState) -> v1::State {
    match state {
        PipelineState::Pending => v1::State::Pending,
        PipelineState::Running => v1::State::Running,
        PipelineState::Suspending => v1::State::Suspending,
        PipelineState::Suspended => v1::State::Suspended,
        PipelineState::Cancelling => v1::State::Cancelling,
        PipelineState::Succeeded => v1::State::Succeeded,
        PipelineState::Failed => v1::State::Failed,
        PipelineState::Cancelled => v1::State::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_for_a_state_is_one_on_the_wire() {
        for word in JobState::WORDS {
            assert_eq!(state_of(word).as_str_name().strip_prefix("STATE_"), Some(word.to_uppercase().as_str()));
        }
    }
}
