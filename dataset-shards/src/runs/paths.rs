//! Where the files of a run lie.

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
        for path in [paths.metrics(), paths.results(), paths.model(), paths.config(), paths.figure("ct-0-original")] {
            assert!(path.starts_with("runs/demo.pretrain/"), "{path}");
        }
        assert_eq!(paths.figure("ct-0-original"), "runs/demo.pretrain/figures/ct-0-original.pgm");
    }
}
