//! What an ingest did.

use std::collections::BTreeMap;

use vismae_core::spec::Modality;

use crate::split::Split;

/// What an ingest did, for people and for the job's record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IngestSummary {
    /// Files listed.
    pub files: u64,
    /// Files that were not read, since an earlier ingest did and nothing about them has changed.
    pub unchanged: u64,
    /// Frames in the version, by modality and split.
    pub frames: BTreeMap<(Modality, Split), u64>,
    /// Frames with a label.
    pub labels: u64,
    /// Frames with a mask.
    pub masks: u64,
    /// Files refused, by the code of the reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Files that hold no image, which is no fault.
    pub not_images: u64,
    /// Frames left out because their pixels are in the version already.
    pub duplicates: u64,
    /// Frames of volumes left out because they show little but background.
    pub nearly_empty: u64,
    /// Files that are unusual in a way that is no fault, by the code of the note.
    pub notes: BTreeMap<&'static str, u64>,
    /// Wall-clock time.
    pub seconds: f64,
    /// The version that holds these frames.
    pub version: u64,
    /// Whether this run committed it; not when the latest version held the same frames.
    pub committed: bool,
    /// Where the list of refused files lies in the store, when there are any.
    pub quarantine: Option<String>,
}

impl IngestSummary {
    /// Frames in the version.
    pub fn total_frames(&self) -> u64 {
        self.frames.values().sum()
    }

    /// Files refused.
    pub fn total_quarantined(&self) -> u64 {
        self.quarantined.values().sum()
    }
}
