//! Why a corpus could not be read.

use object_store::Error as StoreError;
use parquet::errors::ParquetError;

use crate::manifest::ContentHash;

/// Why a selection of a corpus gives no dataset.
#[derive(Debug, thiserror::Error)]
pub enum OpenDatasetError {
    /// Nothing matches.
    #[error("no frame of corpus `{corpus}` version {version} matches {wanted}; it holds {present}")]
    Empty {
        /// The corpus.
        corpus: String,
        /// Its version.
        version: u64,
        /// What was selected.
        wanted: String,
        /// What there is.
        present: String,
    },
    /// A shard could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Why a batch could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store failed.
    #[error("row group {row_group} of shard `{shard}` cannot be read")]
    Store {
        /// The shard.
        shard: String,
        /// The row group in it.
        row_group: usize,
        /// Why.
        source: StoreError,
    },
    /// The store gave other bytes than were committed, each time it was asked.
    #[error(
        "row group {row_group} of shard `{shard}` came as {got} bytes with hash `{found}`, expected {wanted} with hash \
         `{expected}`: look for the damage with `vismae corpora verify`"
    )]
    WrongBytes {
        /// The shard.
        shard: String,
        /// The row group in it.
        row_group: usize,
        /// The hash of what came last.
        found: ContentHash,
        /// The hash in the manifest.
        expected: ContentHash,
        /// Bytes that came last.
        got: u64,
        /// Bytes asked for.
        wanted: u64,
    },
    /// The bytes are those that were committed, and no row group of ours.
    #[error("row group {row_group} of shard `{shard}` cannot be decoded")]
    Undecodable {
        /// The shard.
        shard: String,
        /// The row group in it.
        row_group: usize,
        /// Why.
        source: ParquetError,
    },
    /// The shard is not the one that its manifest describes.
    #[error("shard `{shard}` has {found}, expected {expected}: the corpus was changed after it was committed")]
    Changed {
        /// The shard.
        shard: String,
        /// What the file holds.
        found: String,
        /// What the manifest says.
        expected: String,
    },
    /// A row is not what an ingest writes.
    #[error("row {row} of row group {row_group} of shard `{shard}` is damaged: {fault}")]
    Row {
        /// The shard.
        shard: String,
        /// The row group in it.
        row_group: usize,
        /// The row in that.
        row: u32,
        /// What is wrong with it.
        fault: String,
    },
    /// A row outside the dataset was asked for.
    #[error(
        "row {row} of row group {group} was asked for, but the dataset has {groups} row groups, and that one fewer rows"
    )]
    OutOfRange {
        /// The row group in the dataset.
        group: u32,
        /// The row in it.
        row: u32,
        /// Row groups of the dataset.
        groups: usize,
    },
    /// The columns of shards have no form in Parquet, which a fault in this program can cause and a corpus cannot.
    #[error("the columns of shards cannot be described")]
    Schema(#[source] ParquetError),
    /// The reading thread could not be started.
    #[error("the loader's thread could not be started")]
    Thread(#[source] std::io::Error),
    /// A reading thread died.
    #[error("a thread of the loader panicked")]
    Panicked,
}

impl LoadError {
    /// Whether another read may go well: what is missing or forbidden stays so.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::WrongBytes { .. } => true,
            Self::Store { source, .. } => !matches!(
                source,
                StoreError::NotFound { .. }
                    | StoreError::InvalidPath { .. }
                    | StoreError::NotSupported { .. }
                    | StoreError::PermissionDenied { .. }
                    | StoreError::Unauthenticated { .. }
            ),
            _ => false,
        }
    }
}
