//! Why an ingest committed nothing.

use parquet::errors::ParquetError;

use super::input::ListError;
use crate::manifest::LoadManifestError;
use crate::store::StoreError;

/// Why an ingest committed nothing.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// An input is no folder and no manifest, or cannot be listed.
    #[error(transparent)]
    Input(#[from] ListError),
    /// Not one frame came out.
    #[error("no frame came out of {files} files in `{}`: {refused}", inputs.join("`, `"))]
    NoFrames {
        /// The inputs.
        inputs: Vec<String>,
        /// Files listed.
        files: u64,
        /// What became of them, and where the quarantine lies.
        refused: String,
    },
    /// It was cancelled.
    #[error("the ingest was cancelled before it committed anything")]
    Cancelled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The latest version could not be read.
    #[error(transparent)]
    Manifest(#[from] LoadManifestError),
    /// A shard could not be encoded.
    #[error("a shard could not be encoded")]
    Encode(#[from] ParquetError),
    /// The manifest could not be encoded.
    #[error("the manifest could not be encoded")]
    EncodeManifest(#[from] serde_json::Error),
    /// Members of a crew do not see the same files.
    #[error(
        "member {member} of the crew lists other files than the first to come: expected the inputs to hold the same on every worker"
    )]
    OtherFiles {
        /// The member that came later.
        member: u32,
    },
    /// A file is no longer what it was when it was listed.
    #[error("a file has changed since it was listed: run the ingest again when the inputs are at rest")]
    FilesChanged,
    /// What another member prepared is not as it was put away.
    #[error("`{path}` is damaged: it was not written by this version of vismae, or has changed since")]
    Staged {
        /// Path in the store.
        path: String,
    },
    /// What was prepared could not be put away.
    #[error("what was prepared could not be encoded")]
    Seal(#[source] std::io::Error),
    /// A shard of the version before is not as it was written.
    #[error("shard `{shard}` is not the one that its manifest names: see `vismae corpora verify`")]
    DamagedShard {
        /// Path in the store.
        shard: String,
    },
    /// A thread of the ingest died, which a fault in this program can cause and a file cannot.
    #[error("a thread of the ingest ended early")]
    Thread(#[source] tokio::task::JoinError),
}

impl IngestError {
    /// Whether the same ingest may succeed when it is tried again, as after a fault of the store or of a neighbour.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Store(_) | Self::OtherFiles { .. } | Self::FilesChanged | Self::Staged { .. } => true,
            Self::Input(_)
            | Self::NoFrames { .. }
            | Self::Cancelled
            | Self::Manifest(_)
            | Self::Encode(_)
            | Self::EncodeManifest(_)
            | Self::Seal(_)
            | Self::DamagedShard { .. }
            | Self::Thread(_) => false,
        }
    }
}
