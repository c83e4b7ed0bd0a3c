//! How far an ingest is.

/// A snapshot after each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IngestProgress {
    /// Files done, whatever became of them.
    pub files_done: u64,
    /// Files listed.
    pub files_total: u64,
    /// Frames kept so far.
    pub frames: u64,
    /// Files quarantined so far.
    pub quarantined: u64,
}
