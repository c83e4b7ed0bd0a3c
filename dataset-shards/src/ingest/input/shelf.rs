//! The archives of one listing, each opened once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Archive, ArchiveError, Item, Origin, Refusal, archive};
use crate::archive::{Kind, Spill};

/// The archives of one listing.
#[derive(Default)]
pub(super) struct Shelf {
    spill: Spill,
    opened: HashMap<PathBuf, Result<Arc<Archive>, ArchiveError>>,
}

impl Shelf {
    /// The archive in a file whose name says that it is one.
    pub(super) fn open(&mut self, path: &Path) -> Result<Arc<Archive>, Refusal> {
        if archive::kind_of(path) == Some(Kind::Other) {
            let message =
                "the archive is of a kind that is not read, expected zip, or tar, plain or packed with gzip or zstd";
            return Err(Refusal::new("list", "archive_unsupported", message));
        }
        let spill = &self.spill;
        let opened = self.opened.entry(path.to_owned()).or_insert_with(|| Archive::open(path, spill).map(Arc::new));
        opened.as_ref().map(Arc::clone).map_err(refusal)
    }
}

fn refusal(error: &ArchiveError) -> Refusal {
    Refusal::new("list", error.code(), error.to_string())
}

/// What is wrong with an archive as a whole, as a row of the list under its path in the set.
pub(super) fn damage(archive: &Archive, source: &Arc<str>, path: &str) -> Option<Item> {
    let damage = archive.damage()?;
    let fault = Some(Refusal::new("list", damage.code(), damage.to_string()));
    Some(Item { fault, ..Item::new(source, path.to_owned(), Origin::Nowhere) })
}

/// A member as an item of its path in the set.
pub(super) fn member(archive: &Arc<Archive>, at: usize, source: &Arc<str>, file: String) -> Item {
    let fault = archive.members().get(at).and_then(|member| member.fault);
    let fault = fault.map(|fault| Refusal::new("list", fault.code(), fault.to_string()));
    Item { fault, ..Item::new(source, file, Origin::Member(Arc::clone(archive), at)) }
}
