//! A pipeline: jobs that one user asked for together.

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use crate::event::RequestId;
use crate::ids::{JobId, JobName, NamespaceName, PipelineId};
use crate::job::{Job, JobState, Outcome};
use crate::spec::PipelineSpec;
use crate::time::MonoTime;

/// An accepted pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// The name it is known by.
    pub id: PipelineId,
    /// Where its corpora and runs live.
    pub store_url: String,
    /// Its jobs, in the order they were written.
    pub jobs: Vec<Job>,
    /// Higher goes first, whatever its place in the queue.
    pub priority: i32,
    /// Whose it is.
    pub namespace: NamespaceName,
    /// Whether it holds no slots until it is resumed.
    pub suspended: bool,
    /// How long after its submission it must be over.
    pub deadline: Option<Duration>,
    /// Its place in the queue: smaller is earlier.
    pub number: u64,
    /// The request that submitted it.
    pub request: Option<RequestId>,
    /// When it was accepted.
    pub created: MonoTime,
    /// Whether it was cancelled.
    pub cancelled: bool,
}

/// A place in the queue: by priority, and by age among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    priority: Reverse<i32>,
    /// That of the pipeline.
    pub(crate) number: u64,
}

/// What a pipeline as a whole is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineState {
    /// No job has started.
    Pending,
    /// Some job has started.
    Running,
    /// It is to hold no slots, and some task has not stopped yet.
    Suspending,
    /// It holds no slots until it is resumed.
    Suspended,
    /// It was cancelled, and some task has not stopped yet.
    Cancelling,
    /// Every job succeeded.
    Succeeded,
    /// Some job failed.
    Failed,
    /// It was cancelled before every job was over.
    Cancelled,
}

impl Pipeline {
    pub(crate) fn new(spec: PipelineSpec, number: u64, request: Option<RequestId>, created: MonoTime) -> Self {
        let PipelineSpec { name: id, store_url, jobs, priority, namespace, suspended, deadline } = spec;
        let jobs = jobs
            .into_iter()
            .map(|job| Job::new(JobId { pipeline: id.clone(), name: job.name.clone() }, job, created))
            .collect();
        Self {
            id,
            store_url,
            jobs,
            priority,
            namespace,
            suspended,
            deadline,
            number,
            request,
            created,
            cancelled: false,
        }
    }

    /// When its turn is among those that wait.
    pub(crate) fn turn(&self) -> Turn {
        Turn { priority: Reverse(self.priority), number: self.number }
    }

    /// When it is ended if it is not over.
    pub(crate) fn due(&self) -> Option<MonoTime> {
        self.deadline.map(|deadline| self.created.after(deadline))
    }

    /// What was asked for, under the name it is known by.
    pub fn spec(&self) -> PipelineSpec {
        PipelineSpec {
            name: self.id.clone(),
            store_url: self.store_url.clone(),
            jobs: self.jobs.iter().map(|job| job.spec.clone()).collect(),
            priority: self.priority,
            namespace: self.namespace.clone(),
            suspended: self.suspended,
            deadline: self.deadline,
        }
    }

    /// One of its jobs.
    pub fn job(&self, name: &JobName) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id.name == *name)
    }

    pub(crate) fn job_mut(&mut self, name: &JobName) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id.name == *name)
    }

    /// What it is doing as a whole.
    pub fn state(&self) -> PipelineState {
        let outcomes: Vec<_> = self.jobs.iter().filter_map(|job| job.state.outcome()).collect();
        if outcomes.len() < self.jobs.len() {
            let begun = self.jobs.iter().any(|job| job.attempts > 0);
            let holds = self.jobs.iter().any(|job| job.state.gang().is_some());
            return match (self.cancelled, self.suspended) {
                (true, _) => PipelineState::Cancelling,
                (false, true) if holds => PipelineState::Suspending,
                (false, true) => PipelineState::Suspended,
                (false, false) if begun => PipelineState::Running,
                (false, false) => PipelineState::Pending,
            };
        }
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Late { .. })) {
            PipelineState::Failed
        } else if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Succeeded { .. })) {
            PipelineState::Succeeded
        } else {
            PipelineState::Cancelled
        }
    }

    /// Whether nothing will happen to it any more.
    pub fn is_over(&self) -> bool {
        self.jobs.iter().all(|job| job.state.is_over())
    }

    /// When its last job ended, once all have.
    pub fn ended(&self) -> Option<MonoTime> {
        let ends = self.jobs.iter().map(|job| match job.state {
            JobState::Over { at, .. } => Some(at),
            _ => None,
        });
        ends.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The jobs that a job needs and that have not succeeded, in the order they were written.
    pub(crate) fn missing(&self, job: &Job) -> Vec<JobName> {
        let has_succeeded = |name: &JobName| {
            self.job(name).is_some_and(|needed| matches!(needed.state.outcome(), Some(Outcome::Succeeded { .. })))
        };
        job.spec.depends_on.iter().filter(|name| !has_succeeded(name)).cloned().collect()
    }

    /// A job that can no longer start, and the job it needs that did not succeed.
    pub(crate) fn abandoned(&self) -> Option<(JobName, JobName)> {
        let waiting = self.jobs.iter().filter(|job| matches!(job.state, JobState::Waiting(_)));
        waiting.into_iter().find_map(|job| {
            let lost = self
                .missing(job)
                .into_iter()
                .find(|name| self.job(name).is_some_and(|needed| needed.state.is_over()))?;
            Some((job.id.name.clone(), lost))
        })
    }
}

impl PipelineState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Running,
        Self::Suspending,
        Self::Suspended,
        Self::Cancelling,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word it is shown by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Suspending => "suspending",
            Self::Suspended => "suspended",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for PipelineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
