//! Where the files of a run lie.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use vismae_core::ids::Generation;

/// Tells runs apart that have one name in one store: when it was submitted, in milliseconds since 1970, so that a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunNumber(pub u64);

/// In as many digits as all of them have, so that names sort as numbers.
impl fmt::Display for RunNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014}", self.0)
    }
}

impl FromStr for RunNumber {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// The paths of one run in its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPaths {
    folder: String,
}

impl RunPaths {
    /// The paths of the run of a job, named as [`vismae_core::ids::JobId`] shows it.
    pub fn new(job_id: &str) -> Self {
        Self { folder: format!("runs/{job_id}") }
    }

    /// The folder that holds all of them.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// One line for each step: [`super::StepRow`] as CSV.
    pub fn metrics(&self) -> String {
        format!("{}/metrics/steps.csv", self.folder)
    }

    /// What came of the run: [`super::Results`] as JSON.
    pub fn results(&self) -> String {
        format!("{}/results.json", self.folder)
    }

    /// The weights.
    pub fn model(&self) -> String {
        format!("{}/model/model.safetensors", self.folder)
    }

    /// The shape of the network that the weights belong to.
    pub fn config(&self) -> String {
        format!("{}/model/config.json", self.folder)
    }

    /// The folder of the ledgers of every run of this name.
    pub fn ledgers(&self) -> String {
        format!("{}/ledger", self.folder)
    }

    /// The folder of the ledger of one of them.
    pub fn ledger(&self, run: RunNumber) -> String {
        format!("{}/{run}", self.ledgers())
    }

    /// The folder that a generation commits the weights in, which nobody else writes to.
    pub fn commit(&self, run: RunNumber, generation: Generation) -> String {
        format!("{}/commits/{run}-g{generation}", self.folder)
    }

    /// The folder of all commits of every run of this name.
    pub fn commits(&self) -> String {
        format!("{}/commits", self.folder)
    }

    /// The folder of all checkpoints of every run of this name.
    pub fn checkpoints(&self) -> String {
        format!("{}/checkpoints", self.folder)
    }

    /// The folder of all checkpoints of one of them.
    pub fn checkpoints_of(&self, run: RunNumber) -> String {
        format!("{}/{run}", self.checkpoints())
    }

    /// The folder of the checkpoint that a generation makes after so many steps.
    pub fn checkpoint(&self, run: RunNumber, step: u64, generation: Generation) -> String {
        format!("{}/{step:010}-g{generation}", self.checkpoints_of(run))
    }

    /// A figure, as PGM.
    pub fn figure(&self, name: &str) -> String {
        format!("{}/figures/{name}.pgm", self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_a_run_lies_under_one_folder() {
        let paths = RunPaths::new("demo.pretrain");
        assert_eq!(paths.ledger(RunNumber(7)), "runs/demo.pretrain/ledger/00000000000007");
        for path in [paths.metrics(), paths.results(), paths.model(), paths.config(), paths.figure("ct-0-original")] {
            assert!(path.starts_with("runs/demo.pretrain/"), "{path}");
        }
        assert_eq!(paths.figure("ct-0-original"), "runs/demo.pretrain/figures/ct-0-original.pgm");
    }
}
