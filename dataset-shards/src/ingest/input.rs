//! From the inputs of a specification to a list of files.

#[cfg_attr(not(test), expect(dead_code, reason = "for an ingest whose members each list the inputs"))]
mod fingerprint;
mod table;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vismae_core::spec::Modality;

use super::quarantine::Refusal;
use crate::split::Split;

/// Names of a manifest in a folder.
const MANIFEST_NAMES: [&str; 2] = ["MANIFEST.csv", "manifest.csv"];

/// Why an input cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// There is nothing at this path.
    #[error("input `{input}` does not exist, expected a folder or a CSV manifest")]
    Missing {
        /// The input.
        input: String,
    },
    /// It is a file, but no manifest.
    #[error("input `{input}` is a file, expected a folder or a manifest whose name ends in `.csv`")]
    NotAManifest {
        /// The input.
        input: String,
    },
    /// The manifest has no column `file`.
    #[error("manifest `{manifest}` names {columns} columns, expected `file` among them: is its first line a header?")]
    NoFileColumn {
        /// The manifest.
        manifest: String,
        /// How many there are; what a file without a header has in their place may name patients.
        columns: usize,
    },
    /// The manifest is not CSV, or cannot be read.
    #[error("manifest `{manifest}` cannot be read")]
    Manifest {
        /// The manifest.
        manifest: String,
        /// Where it breaks.
        source: csv::Error,
    },
    /// A folder cannot be read.
    #[error("input `{input}` cannot be listed")]
    Folder {
        /// The input.
        input: String,
        /// Why.
        source: std::io::Error,
    },
}

/// What the listing says of the modality.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ModalityHint {
    /// By the manifest.
    Stated(Modality),
    /// By the manifest, and none of ours. A fault only if the file turns out to hold an image.
    Unknown,
    /// By the name of a folder, which a header overrides.
    Folder(Modality),
    None,
}

/// One file to be read.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The set it came with: the name of the folder that was given or that holds the manifest.
    pub(super) source: Arc<str>,
    /// The folder that `file` and `mask` are relative to.
    pub(super) root: Arc<Path>,
    /// Path of the file in its set.
    pub(super) file: String,
    pub(super) modality: ModalityHint,
    /// The patient of this id, wherever else the id occurs.
    pub(super) patient: Option<String>,
    /// Look-alikes and relatives that belong together; the name means something in its own set only.
    pub(super) group: Option<String>,
    pub(super) label: Option<String>,
    /// Path of the mask in its set.
    pub(super) mask: Option<String>,
    /// Stated by the manifest.
    pub(super) split: Option<Split>,
    /// What is wrong with the listing itself; such a file is not opened.
    pub(super) fault: Option<Refusal>,
}

impl Item {
    pub(super) fn path(&self) -> PathBuf {
        self.root.join(&self.file)
    }
}

/// Lists every input, in the order given; files of a folder are sorted by path.
pub(super) fn list(inputs: &[String]) -> Result<Vec<Item>, ListError> {
    let listed: Vec<Vec<Item>> = inputs.iter().map(|input| list_one(input)).collect::<Result<_, _>>()?;
    Ok(listed.concat())
}

fn list_one(input: &str) -> Result<Vec<Item>, ListError> {
    let path = Path::new(input);
    let kind = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ListError::Missing { input: input.to_owned() },
        _ => ListError::Folder { input: input.to_owned(), source: error },
    })?;
    if kind.is_file() {
        let csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        return if csv { table::read(path) } else { Err(ListError::NotAManifest { input: input.to_owned() }) };
    }
    if let Some(manifest) = manifest_in(path) {
        return table::read(&manifest);
    }
    let manifests = manifests_below(path).map_err(|source| ListError::Folder { input: input.to_owned(), source })?;
    if manifests.is_empty() {
        return tree::walk(path);
    }
    let listed: Vec<Vec<Item>> = manifests.iter().map(|manifest| table::read(manifest)).collect::<Result<_, _>>()?;
    Ok(listed.concat())
}

fn manifest_in(folder: &Path) -> Option<PathBuf> {
    MANIFEST_NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The manifests of the folders directly below, sorted.
fn manifests_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    folders.sort_unstable();
    Ok(folders.iter().filter(|path| path.is_dir()).filter_map(|path| manifest_in(path)).collect())
}

/// The name of a folder, resolved so that `.` has one too.
fn source_name(folder: &Path) -> Arc<str> {
    let resolved = folder.canonicalize();
    let name = resolved.as_deref().unwrap_or(folder).file_name();
    name.map_or_else(|| "input".into(), |name| name.to_string_lossy().into())
}

#[cfg(test)]
mod tests;
