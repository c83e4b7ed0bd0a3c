//! What the time of the steps of a group went to.

use std::time::Duration;

/// Added up step by step, and told when the group ends, however it does.
#[derive(Debug, Default)]
pub(super) struct Account {
    steps: u64,
    /// Seconds of all steps.
    whole: f64,
    /// Of them, spent on waiting for samples.
    waiting: f64,
    /// Of them, spent in the network, its gradients and their exchange, and the optimiser.
    training: f64,
}

impl Account {
    /// Adds a step: its seconds, those of them it has waited for samples, and how long it has trained.
    pub(super) fn add(&mut self, whole: f64, waiting: f64, training: Duration) {
        self.steps += 1;
        self.whole += whole;
        self.waiting += waiting;
        self.training += training.as_secs_f64();
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.steps > 0 {
            let Self { steps, whole, waiting, training } = *self;
            // Checking samples, agreeing, keeping books, reporting, and copying for checkpoints.
            let rest = whole - waiting - training;
            tracing::info!(steps, whole, waiting, training, rest, "seconds of the steps of this group");
        }
    }
}
