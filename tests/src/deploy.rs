//! The files under `deploy/`, read so that tests can hold them against Kubernetes, and against what is exported.

pub mod exported;
pub mod manifests;
pub mod promql;
pub mod shown;

use std::path::{Path, PathBuf};

/// The folder they lie in.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// A file under that folder.
///
/// # Panics
/// When it can't be read.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = folder().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}` can't be read: {error}", path.display()))
}
