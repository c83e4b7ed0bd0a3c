//! Making a version visible, once.

use vismae_core::ids::CorpusName;
use vismae_core::spec::IngestSpec;

use super::IngestError;
use super::quarantine::Quarantined;
use crate::manifest::{ContentHash, Counts, FORMAT, Manifest, Recipe, Shard};
use crate::quarantine::{self, RefusedFile};
use crate::store::{PutOutcome, Store};

/// What a commit came to.
pub(super) struct Committed {
    pub(super) version: u64,
    /// Whether this commit made the version, or found it made before with the same frames.
    pub(super) new: bool,
    /// Where the quarantine of the version lies, when it has one.
    pub(super) quarantine: Option<String>,
}

/// Writes the quarantine and then the manifest of the next version, unless the latest version holds the same frames.
pub(super) async fn commit(
    store: &Store,
    spec: &IngestSpec,
    classes: Vec<String>,
    shards: Vec<Shard>,
    sums: (Counts, &[Quarantined]),
) -> Result<Committed, IngestError> {
    let (counts, refused) = sums;
    let corpus = &spec.corpus;
    let mut manifest = Manifest {
        format: FORMAT,
        corpus: corpus.to_string(),
        version: 0,
        recipe: Recipe::from(spec),
        classes,
        shards,
        counts,
        quarantine: write_quarantine(store, corpus, refused).await?,
    };
    loop {
        let latest = Manifest::versions(store, corpus).await?.last().copied();
        if let Some(Manifest { version, .. }) =
            Manifest::latest(store, corpus).await?.filter(|latest| latest.same_content(&manifest))
        {
            // What is refused now, though the version says what was refused when it was made.
            return Ok(Committed { version, new: false, quarantine: manifest.quarantine });
        }
        manifest.version = latest.unwrap_or(0) + 1;
        let bytes = serde_json::to_vec_pretty(&manifest)?;
        match store.put_if_absent(&Manifest::path(corpus, manifest.version), bytes).await? {
            // A manifest equal to this one is this one, unless two ingests make the same version at once: then either's.
            PutOutcome::Created | PutOutcome::AlreadyWritten => {
                return Ok(Committed { version: manifest.version, new: true, quarantine: manifest.quarantine });
            }
            // Another ingest of this corpus was faster: look at what it committed, and take the number after it.
            PutOutcome::AlreadyExists => {}
        }
    }
}

/// Writes the list of refused files, under a name made of its content, so that no ingest takes another's place; none when
/// nothing was refused.
pub(super) async fn write_quarantine(
    store: &Store,
    corpus: &CorpusName,
    refused: &[Quarantined],
) -> Result<Option<String>, IngestError> {
    if refused.is_empty() {
        return Ok(None);
    }
    let list: Vec<RefusedFile> = refused.iter().map(RefusedFile::from).collect();
    let bytes = quarantine::encode(&list)?;
    let path = quarantine::path(corpus.as_str(), &ContentHash::of(&bytes));
    store.put(&path, bytes).await?;
    Ok(Some(path))
}
