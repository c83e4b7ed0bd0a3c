//! What a user asks for: a pipeline of jobs, checked as a whole before anything starts.

mod finetune;
mod ingest;
mod model;
mod placement;
mod pretrain;
mod violation;

pub use finetune::{FinetuneSpec, FinetuneTask, Initialisation, Selection};
pub use ingest::{
    CT_WINDOWS_MAX, Fit, INGEST_WORKERS_DEFAULT, INGEST_WORKERS_MAX, IngestSpec, Modality, Window, XrayRange,
};
pub use model::ModelSpec;
pub use placement::{LABEL_MAX, LABELS_MAX, Labels, Placement, label_fault};
pub use pretrain::{CheckpointSpec, OptimiserSpec, PretrainSpec};
pub use violation::{Violation, Violations};

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::ids::{JobName, NamespaceName, PipelineId};
use crate::spelling;

/// The most jobs of a pipeline: checking and placing them takes time that others wait for.
pub const JOBS_MAX: usize = 1000;

/// The highest priority of a pipeline, and the lowest below zero.
pub const PRIORITY_MAX: i32 = 1000;

/// How soon a pipeline may have to be over: long enough to be seen, and short enough to be a date.
const DEADLINES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(1000 * 86_400);

/// A DAG of jobs over one object store.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSpec {
    /// Its name; the coordinator adds a number when the name is taken.
    pub name: PipelineId,
    /// Where corpora and runs live, as an `object_store` URL.
    pub store_url: String,
    /// Its jobs, in the order they were written.
    pub jobs: Vec<JobSpec>,
    /// Higher goes first, and may stop what is lower; up to [`PRIORITY_MAX`] either way.
    pub priority: i32,
    /// Whose it is. Names of pipelines are unique over all namespaces.
    pub namespace: NamespaceName,
    /// Whether it waits to be resumed before it begins.
    pub suspended: bool,
    /// How long after its submission it must be over; it is ended as failed then. For ever when absent.
    pub deadline: Option<Duration>,
}

/// One job of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// Its name in the pipeline.
    pub name: JobName,
    /// The jobs that must have succeeded before it starts.
    pub depends_on: Vec<JobName>,
    /// Which slots it may use.
    pub placement: Placement,
    /// What it does.
    pub kind: JobKind,
}

/// How many slots a job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Some at once, all of one kind of device: ranks of one group, which meet before they begin.
    Group {
        /// With fewer it does not start.
        at_least: u32,
        /// More it can't use.
        at_most: u32,
    },
    /// As many as are free, at least one: a crew, whose members share out the work among themselves and need not meet.
    Crew {
        /// More would find nothing to do.
        at_most: u32,
    },
}

impl Demand {
    /// A group of just so many.
    pub fn group(size: u32) -> Self {
        Self::Group { at_least: size, at_most: size }
    }

    /// The fewest slots that the job can start with.
    pub fn at_least(self) -> u32 {
        match self {
            Self::Group { at_least, .. } => at_least,
            Self::Crew { .. } => 1,
        }
    }

    /// The most slots that the job can use.
    pub fn at_most(self) -> u32 {
        match self {
            Self::Group { at_most, .. } | Self::Crew { at_most } => at_most,
        }
    }
}

/// What a job does.
#[derive(Debug, Clone, PartialEq)]
pub enum JobKind {
    /// Turns files into a corpus.
    Ingest(IngestSpec),
    /// Pre-trains a Swin masked autoencoder.
    Pretrain(PretrainSpec),
    /// Trains and evaluates a classifier or a segmenter.
    Finetune(FinetuneSpec),
}

impl JobKind {
    /// How many slots it asks for.
    pub fn demand(&self) -> Demand {
        match self {
            Self::Ingest(ingest) => Demand::Crew { at_most: ingest.workers },
            Self::Pretrain(pretrain) => Demand::Group { at_least: pretrain.min_slots, at_most: pretrain.slots },
            Self::Finetune(_) => Demand::group(1),
        }
    }

    /// The word the kind is shown by.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ingest(_) => "ingest",
            Self::Pretrain(_) => "pretrain",
            Self::Finetune(finetune) => finetune.task.word(),
        }
    }
}

impl PipelineSpec {
    /// Checks every rule and names everything that is broken at once.
    ///
    /// # Errors
    /// [`Violations`], in the order of the jobs, each with the path of its field.
    pub fn validate(&self) -> Result<(), Violations> {
        let mut violations = Violations::default();
        if self.jobs.len() > JOBS_MAX {
            let count = self.jobs.len();
            return Err(Violations::of("jobs", format!("are {count}, expected at most {JOBS_MAX}")));
        }
        violations.require(!self.jobs.is_empty(), "jobs", || "is empty, expected at least one job".to_owned());
        violations.require(self.priority.unsigned_abs() <= PRIORITY_MAX.unsigned_abs(), "priority", || {
            format!("is {}, expected -{PRIORITY_MAX} to {PRIORITY_MAX}", self.priority)
        });
        violations.require(self.deadline.is_none_or(|deadline| DEADLINES.contains(&deadline)), "deadline", || {
            let seconds = self.deadline.unwrap_or_default().as_secs_f64();
            format!(
                "is {seconds} s, expected from {} s to {} days",
                DEADLINES.start().as_secs(),
                DEADLINES.end().as_secs() / 86_400
            )
        });
        self.check_graph(&mut violations);
        for job in &self.jobs {
            let field = job.name.as_str();
            job.placement.check(field, &mut violations);
            match &job.kind {
                JobKind::Ingest(ingest) => ingest.check(field, &mut violations),
                JobKind::Pretrain(pretrain) => pretrain.check(field, &mut violations),
                JobKind::Finetune(finetune) => {
                    finetune.check(field, &mut violations);
                    self.check_initialisation(field, finetune, &mut violations);
                }
            }
        }
        violations.into_result()
    }

    /// Names are unique, every dependency exists, and nothing waits for itself.
    fn check_graph(&self, violations: &mut Violations) {
        for (index, job) in self.jobs.iter().enumerate() {
            violations.require(
                self.jobs[..index].iter().all(|earlier| earlier.name != job.name),
                job.name.as_str(),
                || format!("job name `{}` is used twice, expected a name of its own for each job", job.name),
            );
            for needed in &job.depends_on {
                violations.require(
                    self.jobs[..index].iter().any(|earlier| earlier.name == *needed),
                    &format!("{}.depends_on", job.name),
                    || {
                        let earlier = self.jobs[..index].iter().map(|job| job.name.as_str());
                        let hint = spelling::hint(needed.as_str(), earlier);
                        format!(
                            "`{needed}` is not a job written before `{}`, expected the name of an earlier job{hint}",
                            job.name
                        )
                    },
                );
            }
        }
    }

    /// A job that starts from a pre-trained model names a pre-training it depends on, of the same shape.
    fn check_initialisation(&self, field: &str, finetune: &FinetuneSpec, violations: &mut Violations) {
        let Initialisation::Pretrained(source) = &finetune.initialisation else { return };
        let pretrain = self.jobs.iter().find_map(|job| match &job.kind {
            JobKind::Pretrain(pretrain) if job.name == *source => Some(pretrain),
            _ => None,
        });
        let at = format!("{field}.init");
        match pretrain {
            None => {
                let pretrains = self.jobs.iter().filter(|job| matches!(job.kind, JobKind::Pretrain(_)));
                let hint = spelling::hint(source.as_str(), pretrains.map(|job| job.name.as_str()));
                violations.add(&at, format!("`{source}` is not a pre-training of this pipeline{hint}"));
            }
            Some(pretrain) => violations.require(pretrain.model == finetune.model, &at, || {
                format!("model differs from that of `{source}`, expected the same shape")
            }),
        }
    }
}

#[cfg(test)]
mod tests;
