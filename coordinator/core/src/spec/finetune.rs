//! Fine-tuning of a classifier or a segmenter, and its evaluation on the test split.

use super::{Modality, ModelSpec, OptimiserSpec, Violations};
use crate::ids::{CorpusName, JobName};

/// Which frames of a corpus a job sees. An empty list does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Modalities kept.
    pub modalities: Vec<Modality>,
    /// Sources kept, as the ingest named them.
    pub sources: Vec<String>,
}

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinetuneTask {
    /// One class label for a frame.
    Classify,
    /// One class for each pixel.
    Segment,
}

impl FinetuneTask {
    /// The word it is written and shown by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Segment => "segment",
        }
    }
}

/// Where the first weights come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initialisation {
    /// The model that a pre-training job of the same pipeline wrote.
    Pretrained(JobName),
    /// Random, keyed by the seed.
    Random,
}

/// A supervised run on one slot.
#[derive(Debug, Clone, PartialEq)]
pub struct FinetuneSpec {
    /// What is learned.
    pub task: FinetuneTask,
    /// The corpus it reads.
    pub corpus: CorpusName,
    /// Which frames it sees; `train` to learn, `val` to choose, `test` to report.
    pub selection: Selection,
    /// Share of the training groups that is learned from, above 0 and at most 1.
    pub label_fraction: f64,
    /// The network.
    pub model: ModelSpec,
    /// Where it starts.
    pub initialisation: Initialisation,
    /// The optimiser.
    pub optimiser: OptimiserSpec,
    /// Passes over the training frames.
    pub epochs: u32,
    /// Frames in one step.
    pub batch: u32,
    /// Seed of every random choice.
    pub seed: u64,
}

impl FinetuneSpec {
    pub(super) fn check(&self, field: &str, violations: &mut Violations) {
        self.model.check(field, violations);
        self.optimiser.check(field, self.epochs, violations);
        violations.require(self.epochs > 0, &format!("{field}.epochs"), || "is 0, expected at least 1".to_owned());
        violations.require(
            self.label_fraction > 0.0 && self.label_fraction <= 1.0,
            &format!("{field}.label_fraction"),
            || format!("is {}, expected a share above 0 and at most 1", self.label_fraction),
        );
        violations.require(self.batch > 0, &format!("{field}.batch"), || "is 0, expected at least 1".to_owned());
    }
}
