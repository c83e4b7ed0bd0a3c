//! Whether a listed file is still what it was when it was listed, by what is known without reading it.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{Item, ModalityHint};
use crate::ingest::PseudonymKey;

/// What stands for an item and the state of its files: equal on every machine that lists the same files under the same key.
///
/// It covers the set, the path in it, every column that the manifest states, what is wrong with the listing, and of the file and
/// its mask whether they exist, their sizes and their times of modification in nanoseconds. Contents are not read: a file that was
/// rewritten with its size and its time kept is not told from the old one. Keyed, since it is made of names of patients too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::ingest) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The bytes, to be stored or sent.
    pub(in crate::ingest) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Item {
    /// The fingerprint of the item under a key. Reads metadata only; what cannot be read counts as absent.
    pub(in crate::ingest) fn fingerprint(&self, key: &PseudonymKey) -> Fingerprint {
        let modality = match &self.modality {
            ModalityHint::Stated(modality) => format!("stated {modality}"),
            ModalityHint::Folder(modality) => format!("folder {modality}"),
            ModalityHint::Unknown => "unknown".to_owned(),
            ModalityHint::None => String::new(),
        };
        let mut parts = Parts(key.hasher());
        parts.add("item fingerprint").add(&self.source).add(&self.file).add(&modality);
        let columns = [&self.patient, &self.group, &self.label, &self.mask];
        columns.into_iter().for_each(|column| parts.add_stated(column.as_deref()));
        parts.add_stated(self.split.map(crate::split::Split::word));
        parts.add_stated(self.fault.as_ref().map(|fault| fault.code));
        parts.add_stated(state(&self.path()).as_deref());
        parts.add_stated(self.mask.as_ref().and_then(|mask| state(&self.root.join(mask))).as_deref());
        Fingerprint(*parts.0.finalize().as_bytes())
    }
}

/// Size and time of modification; none for what is not there.
fn state(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let modified = metadata.modified().ok()?;
    // Before 1970 the distance counts backwards, which is as good.
    let nanoseconds = modified.duration_since(UNIX_EPOCH).unwrap_or_else(|before| before.duration()).as_nanos();
    Some(format!("{} bytes at {nanoseconds}", metadata.len()))
}

/// Texts that are hashed apart: `("ab", "c")` is not `("a", "bc")`, and absent is not empty.
struct Parts(blake3::Hasher);

impl Parts {
    fn add(&mut self, text: &str) -> &mut Self {
        self.0.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        self
    }

    fn add_stated(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.add("stated").add(text),
            None => self.add("absent"),
        };
    }
}
