//! The commit of a corpus version: which shards it consists of, and how they were made.

mod error;
mod hash;
mod shard;

use serde::{Deserialize, Serialize};
use vismae_core::ids::CorpusName;
use vismae_core::spec::IngestSpec;

pub use error::LoadManifestError;
pub use hash::{ContentHash, ContentHasher};
pub use shard::{RowGroup, Shard};
pub(crate) use shard::{modality_word, modality_words};

use crate::store::Store;

/// The only format written and read. Since 2, row groups have their place and hash in the manifest.
pub const FORMAT: u32 = 2;

/// One committed version of a corpus. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The corpus.
    pub corpus: String,
    /// Counts from 1.
    pub version: u64,
    /// How its frames were made.
    pub recipe: Recipe,
    /// Names of the class labels; a stored label is an index into them.
    pub classes: Vec<String>,
    /// Its shards, by modality, split and number.
    pub shards: Vec<Shard>,
    /// Sums over the shards.
    pub counts: Counts,
    /// Where the list of refused files lies in the store, when there are any.
    pub quarantine: Option<String>,
}

/// What every format has in common.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// What decides the pixels of a frame besides its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Side of a frame in pixels.
    pub image_size: u32,
    /// How an image became a square.
    pub fit: String,
    /// Hounsfield units mapped to black and to white: one range for each frame of a slice.
    pub ct_windows: Vec<[f64; 2]>,
    /// Percentiles mapped to black and to white.
    pub percentiles: [f64; 2],
    /// What was kept of X-ray and ultrasound images deeper than 8 bits.
    pub xray_range: String,
    /// Smallest share of a frame of a volume that differs from the background.
    pub minimum_content: f64,
}

impl From<&IngestSpec> for Recipe {
    fn from(spec: &IngestSpec) -> Self {
        Self {
            image_size: spec.image_size,
            fit: spec.fit.word().to_owned(),
            ct_windows: spec.ct_windows.iter().map(|window| [window.low, window.high]).collect(),
            percentiles: [spec.percentiles.low, spec.percentiles.high],
            xray_range: spec.xray_range.word().to_owned(),
            minimum_content: spec.minimum_content,
        }
    }
}

/// Sums over the shards of a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Frames.
    pub frames: u64,
    /// Frames with a class label.
    pub labels: u64,
    /// Frames with a mask.
    pub masks: u64,
}

impl Manifest {
    /// The folder of a corpus.
    pub fn folder(corpus: &CorpusName) -> String {
        format!("corpora/{corpus}")
    }

    /// Where the manifest of a version lies.
    pub fn path(corpus: &CorpusName, version: u64) -> String {
        format!("{}/manifests/{version:06}.json", Self::folder(corpus))
    }

    /// Every corpus with a version. An ingest that never committed may have left a folder too.
    ///
    /// # Errors
    /// [`LoadManifestError`], when the store fails.
    pub async fn corpora(store: &Store) -> Result<Vec<String>, LoadManifestError> {
        let mut committed = Vec::new();
        for name in store.folders("corpora").await? {
            let Ok(corpus) = CorpusName::new(name.as_str()) else { continue };
            if !Self::versions(store, &corpus).await?.is_empty() {
                committed.push(name);
            }
        }
        Ok(committed)
    }

    /// Reads a version, or the latest one.
    ///
    /// # Errors
    /// [`LoadManifestError`], which names the corpora or versions that there are when the one asked for is not among them.
    pub async fn load(store: &Store, corpus: &CorpusName, version: Option<u64>) -> Result<Self, LoadManifestError> {
        let versions = Self::versions(store, corpus).await?;
        let Some(&latest) = versions.last() else {
            let present = Self::corpora(store).await?;
            return Err(LoadManifestError::NoCorpus { corpus: corpus.clone(), store: store.url().to_owned(), present });
        };
        let version = version.unwrap_or(latest);
        if !versions.contains(&version) {
            return Err(LoadManifestError::NoVersion { corpus: corpus.clone(), version, present: versions });
        }
        let path = Self::path(corpus, version);
        let bytes = store.get(&path).await?;
        let malformed = |source| LoadManifestError::Malformed { path: path.clone(), source };
        // First the format alone: the rest of another format need not read as one of this.
        let Format { format } = serde_json::from_slice(&bytes).map_err(malformed)?;
        if format != FORMAT {
            return Err(LoadManifestError::Format { path, found: format });
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(malformed)?;
        for shard in &manifest.shards {
            if let Some(fault) = shard.contradiction() {
                return Err(LoadManifestError::Contradiction { path, shard: shard.path.clone(), fault });
            }
        }
        Ok(manifest)
    }

    /// The latest version, if there is one in [`FORMAT`]: one of an older format says too little of its shards to go on from.
    ///
    /// # Errors
    /// [`LoadManifestError`].
    pub(crate) async fn latest(store: &Store, corpus: &CorpusName) -> Result<Option<Self>, LoadManifestError> {
        let Some(&version) = Self::versions(store, corpus).await?.last() else { return Ok(None) };
        match Self::load(store, corpus, Some(version)).await {
            Ok(latest) => Ok(Some(latest)),
            Err(LoadManifestError::Format { found, .. }) if found < FORMAT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The committed versions of a corpus, in order; none when there is no such corpus.
    ///
    /// # Errors
    /// [`LoadManifestError::Store`].
    pub async fn versions(store: &Store, corpus: &CorpusName) -> Result<Vec<u64>, LoadManifestError> {
        let listed = store.list(&format!("{}/manifests", Self::folder(corpus))).await?;
        let version = |path: &String| path.rsplit('/').next()?.strip_suffix(".json")?.parse().ok();
        let mut versions: Vec<u64> = listed.iter().filter_map(version).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The name of a label, when it is one of this corpus.
    pub fn class_name(&self, label: i64) -> Option<&str> {
        usize::try_from(label).ok().and_then(|index| self.classes.get(index)).map(String::as_str)
    }

    /// Whether two versions hold the same frames, made the same way.
    pub fn same_content(&self, other: &Self) -> bool {
        self.recipe == other.recipe && self.classes == other.classes && self.shards == other.shards
    }
}

#[cfg(test)]
mod tests;
