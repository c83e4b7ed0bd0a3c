//! Whether a listed file is still what it was when it was listed, by what is known without reading it.

use super::{Item, ModalityHint};
use crate::ingest::PseudonymKey;

/// What stands for an item and the state of its files: equal on every machine that lists the same files under the same key.
///
/// It covers the set, the path in it, every column that the manifest states, what is wrong with the listing, and of the file and
/// its mask whether they exist, their sizes and their times of modification in nanoseconds. Of a member of an archive it covers
/// size and checksum, or time in seconds where the format has no checksum, and size and time of the archive. Contents are not
/// read: a file that was rewritten with its size and its time kept is not told from the old one. Keyed, since it is made of names
/// of patients too.
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
        let columns = [&self.patient, &self.group, &self.label];
        columns.into_iter().for_each(|column| parts.add_stated(column.as_deref()));
        parts.add_stated(self.mask.as_ref().map(|mask| mask.file.as_str()));
        parts.add_stated(self.split.map(crate::split::Split::word));
        parts.add_stated(self.fault.as_ref().map(|fault| fault.code));
        parts.add_stated(self.place().state().as_deref());
        parts.add_stated(self.mask_place().and_then(|mask| mask.state()).as_deref());
        Fingerprint(*parts.0.finalize().as_bytes())
    }
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
