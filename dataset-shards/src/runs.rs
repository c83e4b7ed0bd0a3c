//! What a training run leaves in the store: written by the trainer, read by reports.

mod audit;
mod checkpoints;
mod ledger;
mod paths;
mod publish;
mod results;
mod steps;

pub use audit::{Audit, AuditError, EpochAudit, Finding, audit};
pub use checkpoints::{Kept, Retention, committed, orphans, remove, surplus, tidy, verify};
pub use ledger::{Begin, Checkpoint, CommittedFile, Damage, End, Entry, Group, Ledger, LedgerError, Record, Retire};
pub use paths::{RunNumber, RunPaths};
pub use publish::{Artefact, publish};
pub use results::{
    ClassCurve, ClassifyResults, EpochLoss, Overlay, PretrainResults, Reconstruction, Results, SegmentResults,
};
pub use steps::{StepRow, epoch_loss, mean_loss, read_steps, write_steps};
