//! Pre-training of the masked autoencoder.

use std::time::Duration;

use super::{ModelSpec, Selection, Violations};
use crate::ids::CorpusName;

/// AdamW with a linear warm-up and a half cosine to zero, per step.
#[derive(Debug, Clone, PartialEq)]
pub struct OptimiserSpec {
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Epochs of linear warm-up from zero.
    pub warmup_epochs: f64,
    /// Largest norm of the whole gradient; no clipping when absent.
    pub clip_norm: Option<f64>,
}

impl OptimiserSpec {
    pub(super) fn check(&self, field: &str, epochs: u32, violations: &mut Violations) {
        violations.require(
            self.learning_rate.is_finite() && self.learning_rate > 0.0,
            &format!("{field}.learning_rate"),
            || format!("is {}, expected a number above 0", self.learning_rate),
        );
        violations.require(
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            &format!("{field}.weight_decay"),
            || format!("is {}, expected 0 or more", self.weight_decay),
        );
        violations.require(
            (0.0..=f64::from(epochs)).contains(&self.warmup_epochs),
            &format!("{field}.warmup_epochs"),
            || format!("is {}, expected 0 to the number of epochs, {epochs}", self.warmup_epochs),
        );
        violations.require(
            self.clip_norm.is_none_or(|norm| norm.is_finite() && norm > 0.0),
            &format!("{field}.clip_norm"),
            || "is not above 0, expected a positive norm or no such key".to_owned(),
        );
    }
}

/// How often everything that a run has come to is kept in the store, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointSpec {
    /// Steps from one to the next.
    pub every: u32,
    /// So many of the latest are kept.
    pub latest: u32,
    /// So many of those with the lowest loss are kept besides.
    pub best: u32,
    /// Those that are not older are kept besides.
    pub younger_than: Option<Duration>,
}

impl Default for CheckpointSpec {
    fn default() -> Self {
        Self { every: 500, latest: 3, best: 0, younger_than: None }
    }
}

impl CheckpointSpec {
    fn check(&self, field: &str, violations: &mut Violations) {
        let positive = |value: u32| move || format!("is {value}, expected at least 1");
        violations.require(self.every > 0, &format!("{field}.every"), positive(self.every));
        violations.require(self.latest > 0, &format!("{field}.latest"), positive(self.latest));
    }
}

/// A data-parallel pre-training run.
#[derive(Debug, Clone, PartialEq)]
pub struct PretrainSpec {
    /// The corpus it reads.
    pub corpus: CorpusName,
    /// Which frames it sees; the split is always `train`.
    pub selection: Selection,
    /// The network.
    pub model: ModelSpec,
    /// The optimiser.
    pub optimiser: OptimiserSpec,
    /// Passes over the selected frames.
    pub epochs: u32,
    /// Frames in one step, over all ranks.
    pub global_batch: u32,
    /// Streams that the global batch is drawn from, dealt to the ranks in contiguous blocks.
    pub lanes: u32,
    /// Slots that train together, where so many are free.
    pub slots: u32,
    /// With fewer it does not go on.
    pub min_slots: u32,
    /// Seed of every random choice.
    pub seed: u64,
    /// What is kept of it while it goes on.
    pub checkpoints: CheckpointSpec,
    /// Whether ranks that are slower than their peers for long are left out for a while, where the others are enough.
    pub exclude_stragglers: bool,
}

impl PretrainSpec {
    pub(super) fn check(&self, field: &str, violations: &mut Violations) {
        self.model.check(field, violations);
        self.optimiser.check(field, self.epochs, violations);
        self.checkpoints.check(&format!("{field}.checkpoints"), violations);
        violations.require(self.epochs > 0, &format!("{field}.epochs"), || "is 0, expected at least 1".to_owned());
        violations.require(
            self.lanes > 0 && self.global_batch > 0 && self.global_batch.is_multiple_of(self.lanes.max(1)),
            &format!("{field}.global_batch"),
            || format!("is {}, expected a multiple of `lanes` = {}", self.global_batch, self.lanes),
        );
        violations.require((1..=self.lanes.max(1)).contains(&self.slots), &format!("{field}.slots"), || {
            format!("is {}, expected 1 to `lanes` = {}", self.slots, self.lanes)
        });
        violations.require((1..=self.slots.max(1)).contains(&self.min_slots), &format!("{field}.min_slots"), || {
            format!("is {}, expected 1 to `slots` = {}", self.min_slots, self.slots)
        });
    }
}
