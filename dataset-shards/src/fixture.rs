//! Corpora that the tests of this crate share.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use vismae_core::ids::CorpusName;
use vismae_core::spec::{Fit, IngestSpec, Window, XrayRange};

use crate::ingest::{Crew, IngestError, IngestOptions, IngestSummary, MEMORY_DEFAULT, PseudonymKey, ingest};
use crate::manifest::Manifest;
use crate::phantom::{self, PhantomOptions};
use crate::store::Store;

static PHANTOM: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    phantom::write(dir.path(), &PhantomOptions { seed: 5, patients_per_modality: 10 }).unwrap();
    dir
});

/// A phantom corpus of ten patients a modality: 246 frames, 190 of them labelled, all with a mask.
pub(crate) fn phantom_folder() -> &'static Path {
    PHANTOM.path()
}

pub(crate) fn corpus() -> CorpusName {
    CorpusName::new("demo").unwrap()
}

pub(crate) fn spec(inputs: &[&Path]) -> IngestSpec {
    IngestSpec {
        corpus: corpus(),
        inputs: inputs.iter().map(|input| input.to_string_lossy().into_owned()).collect(),
        image_size: 32,
        ct_windows: vec![Window { low: -1000.0, high: 1000.0 }],
        percentiles: Window { low: 0.5, high: 99.5 },
        xray_range: XrayRange::Voi,
        fit: Fit::Stretch,
        minimum_content: 0.05,
        workers: 1,
    }
}

pub(crate) fn options(threads: usize) -> IngestOptions {
    let pseudonym_key = PseudonymKey::from_secret("test");
    IngestOptions { threads, memory: MEMORY_DEFAULT, pseudonym_key, crew: Crew::alone() }
}

pub(crate) async fn ingest_all(store: &Store, inputs: &[&Path]) -> Result<IngestSummary, IngestError> {
    ingest(store, &spec(inputs), &options(2), |_| {}, &CancellationToken::new()).await
}

/// The phantom corpus in a store in memory.
pub(crate) async fn phantom_store() -> (Store, Manifest) {
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, &[phantom_folder()]).await.unwrap();
    let manifest = Manifest::load(&store, &corpus(), None).await.unwrap();
    (store, manifest)
}

/// A collection of odd and broken files; none where it is not at hand, which is said. `VISMAE_TEST_DATA` names the folder that
/// holds the collections; `../shared/data` beside the checkout is looked at without it.
pub(crate) fn hard_cases(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("VISMAE_TEST_DATA").map(PathBuf::from);
    let data = data.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let folder = data.join(name);
    if !folder.is_dir() {
        eprintln!("left out: no `{}`", folder.display());
        return None;
    }
    Some(folder)
}
