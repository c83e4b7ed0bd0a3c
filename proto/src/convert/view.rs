//! The coordinator's state as people see it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use vismae_core::ids::Generation;
use vismae_core::job::{Job, JobState, Outcome, StopReason};
use vismae_core::pipeline::{Pipeline, PipelineState};
use vismae_core::reason::Reason;
use vismae_core::spec::Demand;
use vismae_core::time::MonoTime;
use vismae_core::worker::{Worker, WorkerState};

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

/// Writes a worker with its slots. `clock` tells the date of a moment.
pub fn worker_view(worker: &Worker, clock: impl Fn(MonoTime) -> SystemTime) -> v1::Worker {
    let state = match worker.state {
        WorkerState::Active => v1::WorkerState::Active,
        WorkerState::Leaving => v1::WorkerState::Leaving,
    };
    let slot = |(index, slot): (u32, &vismae_core::worker::Slot)| v1::Slot {
        index,
        device: slot.device.to_string(),
        task: slot.task.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    v1::Worker {
        name: worker.lease.worker.to_string(),
        slots: (0..).zip(&worker.slots).map(slot).collect(),
        host: worker.host.clone(),
        version: worker.version.clone(),
        join_time: Some(clock(worker.joined).into()),
        state: state.into(),
        labels: worker.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

fn job_view(job: &Job, clock: impl Fn(MonoTime) -> SystemTime) -> v1::Job {
    let (state, end_time) = match &job.state {
        JobState::Waiting(Reason::Suspended) => (v1::State::Suspended, None),
        JobState::Waiting(_) => (v1::State::Pending, None),
        JobState::Running(_) => (v1::State::Running, None),
        JobState::Stopping { why: StopReason::Suspended, .. } => (v1::State::Suspending, None),
        JobState::Stopping { .. } => (v1::State::Cancelling, None),
        JobState::Over { outcome, at } => (outcome_state(outcome), Some(clock(*at).into())),
    };
    let slots = job.state.gang().map(|gang| gang.live(&job.id).map(|(_, slot)| slot.to_string()).collect());
    v1::Job {
        name: job.id.to_string(),
        kind: job.spec.kind.word().to_owned(),
        state: state.into(),
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
    }
}

fn figures(state: &JobState) -> BTreeMap<String, f64> {
    match state.outcome() {
        Some(Outcome::Succeeded { figures }) => figures.clone(),
        _ => BTreeMap::new(),
    }
}

fn outcome_state(outcome: &Outcome) -> v1::State {
    match outcome {
        Outcome::Succeeded { .. } => v1::State::Succeeded,
        Outcome::Failed(_) | Outcome::Late { .. } => v1::State::Failed,
        Outcome::Cancelled | Outcome::Abandoned { .. } => v1::State::Cancelled,
    }
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
