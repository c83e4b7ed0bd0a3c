//! Why a report was not written.

use vismae_shards::frame::pgm::PgmError;
use vismae_shards::manifest::LoadManifestError;
use vismae_shards::quarantine::QuarantineError;
use vismae_shards::store::StoreError;

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No job of the pipeline left results.
    #[error(
        "no job of pipeline `{pipeline}` has results in `{store}`, expected at least one of `{}`",
        expected.join("`, `")
    )]
    NoResults {
        /// The pipeline.
        pipeline: String,
        /// URL of the store.
        store: String,
        /// Where results were looked for.
        expected: Vec<String>,
    },
    /// The results of a job are not what a trainer writes.
    #[error("results `{path}` cannot be read: run the job again")]
    Results {
        /// Path in the store.
        path: String,
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// The record of steps is not what a trainer writes.
    #[error("step record `{path}` cannot be read: run the job again")]
    Steps {
        /// Path in the store.
        path: String,
        /// Where it breaks.
        source: csv::Error,
    },
    /// A figure is not what a trainer writes.
    #[error("figure `{path}` cannot be read: run the job again")]
    Figure {
        /// Path in the store.
        path: String,
        /// What is wrong with it.
        source: PgmError,
    },
    /// The list of refused files cannot be read.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// The manifest of the corpus cannot be read.
    #[error(transparent)]
    Manifest(#[from] LoadManifestError),
    /// The store failed, or a figure that results name is gone.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chart could not be drawn.
    #[error("the chart `{chart}` could not be drawn")]
    Chart {
        /// What it shows.
        chart: String,
        /// The plotting library's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An image could not be encoded for the page.
    #[error("an image could not be encoded as PNG")]
    Image(#[from] png::EncodingError),
    /// A table could not be encoded.
    #[error("a table could not be encoded as CSV")]
    Table(#[from] csv::Error),
}
