//! What earlier ingests made of each file, so that what has not changed is not read again.
//!
//! A cache beside the manifests: without it every file is read again, and the same version comes out. It holds no pixels, no
//! names of files and no identities; its keys are made with the pseudonym key, so that under another key nothing is found.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vismae_core::ids::CorpusName;
use vismae_core::spec::IngestSpec;

use super::outcome::{Digest, Outcome, digest};
use super::sealed::{seal, unseal};
use super::series::Unit;
use super::{IngestError, IngestOptions};
use crate::manifest::{Manifest, Recipe, Shard};
use crate::store::{Store, StoreError};

/// Raised whenever the same file under the same recipe gives other frames than before.
const PREPARATION: u32 = 2;

/// What a unit is called: by its files, as they are now, and by everything that decides what comes of them.
pub(super) type UnitKey = Digest;

/// What is known from earlier ingests.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Catalogue {
    /// What became of the files of each unit.
    pub(super) units: BTreeMap<UnitKey, Vec<Outcome>>,
    /// The digest of every row of the shards of a version, by the hash of the shard.
    pub(super) shards: BTreeMap<String, Vec<Digest>>,
}

impl Catalogue {
    fn path(corpus: &CorpusName) -> String {
        format!("{}/catalogue", Manifest::folder(corpus))
    }

    /// The catalogue of a corpus, if there is one that goes with its latest version: it must know the rows of all its shards.
    pub(super) async fn load(
        store: &Store,
        corpus: &CorpusName,
        latest: Option<&Manifest>,
    ) -> Result<Self, IngestError> {
        let bytes = match store.get(&Self::path(corpus)).await {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound { .. }) => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let unsealed =
            tokio::task::spawn_blocking(move || unseal::<Self>(&bytes)).await.map_err(IngestError::Thread)?;
        let Ok(catalogue) = unsealed else {
            tracing::warn!(%corpus, "the catalogue of earlier ingests cannot be read: every file is read again");
            return Ok(Self::default());
        };
        let complete = |manifest: &Manifest| {
            let known = |shard: &Shard| {
                catalogue.shards.get(&shard.blake3.to_string()).is_some_and(|rows| rows.len() as u64 == shard.rows)
            };
            manifest.shards.iter().all(known)
        };
        Ok(if latest.is_some_and(complete) { catalogue } else { Self::default() })
    }

    /// Replaces the catalogue of a corpus.
    pub(super) async fn save(self, store: &Store, corpus: &CorpusName) -> Result<(), IngestError> {
        let sealed = tokio::task::spawn_blocking(move || seal(&self)).await.map_err(IngestError::Thread)?;
        store.put(&Self::path(corpus), sealed.map_err(IngestError::Seal)?).await?;
        Ok(())
    }
}

/// The key of every unit. Two units of the same files have one key, and the same becomes of both.
pub(super) fn unit_keys(
    units: &[Arc<Unit>],
    spec: &IngestSpec,
    options: &IngestOptions,
) -> Result<Vec<UnitKey>, serde_json::Error> {
    let (recipe, key) = (serde_json::to_vec(&Recipe::from(spec))?, &options.pseudonym_key);
    let of = |unit: &Arc<Unit>| {
        let mut hasher = key.hasher();
        hasher.update(b"unit").update(&PREPARATION.to_le_bytes());
        // More of it refuses fewer files.
        hasher.update(&options.memory.to_le_bytes());
        hasher.update(&(recipe.len() as u64).to_le_bytes()).update(&recipe);
        for item in &unit.items {
            hasher.update(item.fingerprint(key).as_bytes());
        }
        digest(&hasher)
    };
    Ok(units.iter().map(of).collect())
}
