//! Why a phantom corpus could not be written.

use std::io;

/// Why a phantom corpus could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PhantomError {
    /// Too few patients for three splits.
    #[error("{found} patients a modality are too few, expected at least 10 so that every split has some")]
    TooFewPatients {
        /// As asked for.
        found: u32,
    },
    /// The folder holds something already.
    #[error("folder `{dir}` is not empty, expected a new or an empty one")]
    NotEmpty {
        /// The folder.
        dir: String,
    },
    /// A file could not be written.
    #[error("`{path}` could not be written")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An image could not be encoded.
    #[error("`{path}` could not be encoded as {format}")]
    Encode {
        /// The file.
        path: String,
        /// The format.
        format: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
