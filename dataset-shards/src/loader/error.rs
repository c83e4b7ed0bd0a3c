//! Why a corpus could not be read.

use parquet::errors::ParquetError;

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
    /// The store failed, or the file is not Parquet.
    #[error("shard `{shard}` cannot be read")]
    Shard {
        /// The shard.
        shard: String,
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
        row_group: u32,
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
    /// The reading thread could not be started.
    #[error("the loader's thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The reading thread died.
    #[error("the loader's thread panicked")]
    Panicked,
}
