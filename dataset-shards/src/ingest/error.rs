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
    /// A thread of the ingest died, which a fault in this program can cause and a file cannot.
    #[error("a thread of the ingest ended early")]
    Thread(#[source] tokio::task::JoinError),
}
