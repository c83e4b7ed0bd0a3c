//! Why a corpus version could not be read.

use vismae_core::ids::CorpusName;

use super::FORMAT;
use crate::store::StoreError;

/// Why a corpus version could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadManifestError {
    /// There is no such corpus.
    #[error("corpus `{corpus}` does not exist in `{store}`; {}", present_corpora(present))]
    NoCorpus {
        /// The corpus asked for.
        corpus: CorpusName,
        /// URL of the store.
        store: String,
        /// The corpora there are.
        present: Vec<String>,
    },
    /// The corpus has no such version.
    #[error("corpus `{corpus}` has no version {version}, expected one of {present:?}")]
    NoVersion {
        /// The corpus.
        corpus: CorpusName,
        /// The version asked for.
        version: u64,
        /// The versions there are.
        present: Vec<u64>,
    },
    /// The manifest is not what this crate writes.
    #[error("manifest `{path}` cannot be read")]
    Malformed {
        /// The manifest.
        path: String,
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// The manifest is of another format.
    #[error("manifest `{path}` has format {found}, expected {FORMAT}: {}", way_out(*found))]
    Format {
        /// The manifest.
        path: String,
        /// Its format.
        found: u32,
    },
    /// The manifest says of a shard what can't all be true.
    #[error("manifest `{path}` is damaged: shard `{shard}` {fault}")]
    Contradiction {
        /// The manifest.
        path: String,
        /// The shard.
        shard: String,
        /// What was found and what was expected.
        fault: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn way_out(found: u32) -> &'static str {
    if found < FORMAT { "ingest the corpus again" } else { "use a version of vismae that knows it" }
}

fn present_corpora(present: &[String]) -> String {
    if present.is_empty() {
        "it holds no corpus: ingest one first".to_owned()
    } else {
        format!("expected one of `{}`", present.join("`, `"))
    }
}
