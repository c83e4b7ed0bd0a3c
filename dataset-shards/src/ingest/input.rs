//! From the inputs of a specification to a list of files: folders, archives, which are read as folders, and CSV manifests.

#[cfg_attr(not(test), expect(dead_code, reason = "for an ingest whose members each list the inputs"))]
mod fingerprint;
mod shelf;
mod table;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vismae_core::spec::Modality;

use super::quarantine::Refusal;
use crate::archive::{self, Archive, ArchiveError};
use crate::place::Place;
use crate::split::Split;
use shelf::Shelf;
use table::Base;

/// Names of a manifest in a folder.
const MANIFEST_NAMES: [&str; 2] = ["MANIFEST.csv", "manifest.csv"];

/// Why an input cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// There is nothing at this path.
    #[error("input `{input}` does not exist, expected a folder, an archive or a CSV manifest")]
    Missing {
        /// The input.
        input: String,
    },
    /// It is a file, but neither a manifest nor an archive.
    #[error(
        "input `{input}` is a file, expected a folder, an archive (`.zip`, `.tar`, `.tar.gz`, `.tgz` or `.tar.zst`), or a \
         manifest whose name ends in `.csv`"
    )]
    NotAnInput {
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
    /// The archive cannot be used.
    #[error("input `{input}` cannot be used: {fault}")]
    Archive {
        /// The input.
        input: String,
        /// What is wrong with it, and what to do.
        fault: String,
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

/// Where a file of the listing lies.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Below this folder, under its path in the set.
    Folder(Arc<Path>),
    /// In an archive, as the member of this number.
    Member(Arc<Archive>, usize),
    /// In an archive that has no such member, or nowhere at all.
    Nowhere,
}

impl Origin {
    /// The place of a file of this path in its set.
    fn place(&self, file: &str) -> Place {
        match self {
            Self::Folder(folder) => Place::Disk(folder.join(file)),
            Self::Member(archive, at) => Place::Member(Arc::clone(archive), *at),
            Self::Nowhere => Place::Nowhere,
        }
    }
}

/// The mask of a file.
#[derive(Debug, Clone)]
pub(super) struct Mask {
    /// Its path in the set.
    file: String,
    origin: Origin,
}

/// One file to be read.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The set it came with: the name of the folder or archive that was given or that holds the manifest.
    pub(super) source: Arc<str>,
    pub(super) origin: Origin,
    /// Path of the file in its set; an archive in a set counts as a folder.
    pub(super) file: String,
    pub(super) modality: ModalityHint,
    /// The patient of this id, wherever else the id occurs.
    pub(super) patient: Option<String>,
    /// Look-alikes and relatives that belong together; the name means something in its own set only.
    pub(super) group: Option<String>,
    pub(super) label: Option<String>,
    pub(super) mask: Option<Mask>,
    /// Stated by the manifest.
    pub(super) split: Option<Split>,
    /// What is wrong with the listing itself; such a file is not opened.
    pub(super) fault: Option<Refusal>,
}

impl Item {
    /// A file of which nothing is stated.
    fn new(source: &Arc<str>, file: String, origin: Origin) -> Self {
        Self {
            source: Arc::clone(source),
            origin,
            file,
            modality: ModalityHint::None,
            patient: None,
            group: None,
            label: None,
            mask: None,
            split: None,
            fault: None,
        }
    }

    /// Where its bytes lie.
    pub(super) fn place(&self) -> Place {
        self.origin.place(&self.file)
    }

    /// Where those of its mask lie, if it has one.
    pub(super) fn mask_place(&self) -> Option<Place> {
        self.mask.as_ref().map(|mask| mask.origin.place(&mask.file))
    }
}

/// Lists every input, in the order given; files of a folder or of an archive are sorted by path.
pub(super) fn list(inputs: &[String]) -> Result<Vec<Item>, ListError> {
    let mut shelf = Shelf::default();
    let listed: Vec<Vec<Item>> = inputs.iter().map(|input| list_one(input, &mut shelf)).collect::<Result<_, _>>()?;
    Ok(listed.concat())
}

fn list_one(input: &str, shelf: &mut Shelf) -> Result<Vec<Item>, ListError> {
    let path = Path::new(input);
    let kind = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ListError::Missing { input: input.to_owned() },
        _ => ListError::Folder { input: input.to_owned(), source: error },
    })?;
    if kind.is_file() {
        return match archive::kind_of(path) {
            Some(_) => list_archive(path, shelf),
            None if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) => {
                table::read(path, shelf)
            }
            None => Err(ListError::NotAnInput { input: input.to_owned() }),
        };
    }
    if let Some(manifest) = manifest_in(path) {
        return table::read(&manifest, shelf);
    }
    let manifests = manifests_below(path).map_err(|source| ListError::Folder { input: input.to_owned(), source })?;
    if manifests.is_empty() {
        return tree::walk(path, shelf);
    }
    let listed: Vec<Vec<Item>> =
        manifests.iter().map(|manifest| table::read(manifest, shelf)).collect::<Result<_, _>>()?;
    Ok(listed.concat())
}

/// Lists an archive as the folder that it would unpack to.
fn list_archive(path: &Path, shelf: &mut Shelf) -> Result<Vec<Item>, ListError> {
    let input = path.display().to_string();
    let archive =
        shelf.open(path).map_err(|fault| ListError::Archive { input: input.clone(), fault: fault.message })?;
    let source: Arc<str> = archive::stem(&source_name(path)).into();
    let manifest_at = |folder: &str| MANIFEST_NAMES.iter().find_map(|name| archive.find(&format!("{folder}{name}")));
    let mut manifests: Vec<(String, usize)> = manifest_at("").map(|at| (String::new(), at)).into_iter().collect();
    if manifests.is_empty() {
        let mut folders: Vec<&str> =
            archive.members().iter().filter_map(|member| member.name.split_once('/')).map(|(top, _)| top).collect();
        folders.dedup();
        let below = folders.into_iter().map(|folder| format!("{folder}/"));
        manifests = below.filter_map(|below| manifest_at(&below).map(|at| (below, at))).collect();
    }
    let mut items = Vec::new();
    for (below, at) in &manifests {
        let source = if below.is_empty() { Arc::clone(&source) } else { below.trim_end_matches('/').into() };
        let name = format!("{input}/{}", archive.members()[*at].name);
        let bytes = Place::Member(Arc::clone(&archive), *at).open();
        let (bytes, _) = bytes.map_err(|error| ListError::Archive { input: name.clone(), fault: error.to_string() })?;
        let base = Base::Archive { archive: Arc::clone(&archive), below: below.clone() };
        items.extend(table::read_from(bytes, &name, &base, &source, shelf)?);
    }
    if manifests.is_empty() {
        items = tree::members(&archive, &source, "");
    } else {
        items.extend(shelf::damage(&archive, &source, ""));
    }
    Ok(items)
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
