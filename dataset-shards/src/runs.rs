//! What a training run leaves in the store: written by the trainer, read by reports.

mod paths;
mod results;
mod steps;

pub use paths::RunPaths;
pub use results::{
    ClassCurve, ClassifyResults, EpochLoss, Overlay, PretrainResults, Reconstruction, Results, SegmentResults,
};
pub use steps::{StepRow, epoch_loss, read_steps, write_steps};
