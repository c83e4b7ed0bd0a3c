//! `vismae phantom`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use vismae_shards::phantom::{self, PhantomError, PhantomOptions};

use crate::failure::{Exit, Failure};
use crate::output::Format;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Folder that is written; it must be new or empty
    dir: PathBuf,
    /// The same seed gives the same images
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Patients of each modality, at least 10 [default: as many as the demo learns from]
    #[arg(long = "size", value_name = "PATIENTS")]
    patients: Option<u32>,
}

#[derive(Debug, Serialize)]
struct PhantomView {
    folder: PathBuf,
    patients: u64,
    files: u64,
    frames: u64,
    masks: u64,
    bytes: u64,
}

pub(super) fn run(options: Options, format: Format) -> Result<(), Failure> {
    let demo = PhantomOptions::demo(options.seed);
    let patients_per_modality = options.patients.unwrap_or(demo.patients_per_modality);
    let written = phantom::write(&options.dir, &PhantomOptions { patients_per_modality, ..demo });
    let summary = written.map_err(|error| match error {
        PhantomError::TooFewPatients { .. } | PhantomError::NotEmpty { .. } => Failure::new(Exit::Usage, error),
        PhantomError::Write { .. } | PhantomError::Encode { .. } => Failure::new(Exit::WorkFailed, error),
    })?;
    let view = PhantomView {
        folder: options.dir,
        patients: summary.patients,
        files: summary.files,
        frames: summary.frames,
        masks: summary.masks,
        bytes: summary.bytes,
    };
    format.result(&view, |view| {
        format!(
            "wrote {} images ({} frames, {} masks) of {} patients to {}, {:.1} MB",
            view.files,
            view.frames,
            view.masks,
            view.patients,
            view.folder.display(),
            view.bytes as f64 / 1e6
        )
    })
}
