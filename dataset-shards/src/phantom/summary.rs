//! What a phantom corpus consists of.

/// What a phantom corpus consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PhantomSummary {
    /// Patients, over all modalities.
    pub patients: u64,
    /// Images, without masks.
    pub files: u64,
    /// 2-D frames in them.
    pub frames: u64,
    /// Masks, as files.
    pub masks: u64,
    /// Size of everything written.
    pub bytes: u64,
}
