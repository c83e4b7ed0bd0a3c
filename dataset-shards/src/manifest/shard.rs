//! One Parquet file of a version, and where its row groups lie.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use vismae_core::spec::Modality;

use super::ContentHash;
use crate::split::Split;

/// One Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its path in the store.
    pub path: String,
    /// The modality of all its frames.
    #[serde(with = "modality_word")]
    pub modality: Modality,
    /// The split of all its frames.
    pub split: Split,
    /// Frames in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Hash of its bytes.
    pub blake3: ContentHash,
    /// Its row groups, in the order they lie in it.
    pub row_groups: Vec<RowGroup>,
}

/// Where a row group lies in its file, so that one ranged read brings it and its hash vouches for it: a reader needs no footer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowGroup {
    /// Frames in it.
    pub rows: u32,
    /// Where its first column chunk begins, in bytes.
    pub offset: u64,
    /// Bytes of each column chunk. They are those of the leaves of the [schema](crate::schema), in its order, and lie end to end.
    pub columns: Vec<u64>,
    /// Hash of its bytes, from the first column chunk to the end of the last.
    pub blake3: ContentHash,
    /// Hash of all but the first column chunk, which holds the pixels: what an index is read from.
    pub index_blake3: ContentHash,
}

impl RowGroup {
    /// Bytes of all its column chunks.
    pub fn bytes(&self) -> u64 {
        self.columns.iter().fold(0, |sum, &bytes| sum.saturating_add(bytes))
    }

    /// Where it lies in the file.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.bytes())
    }

    /// Where all but its first column chunk lie in the file.
    pub fn index_range(&self) -> Range<u64> {
        let pixels = self.columns.first().copied().unwrap_or(0);
        self.offset.saturating_add(pixels)..self.range().end
    }
}

impl Shard {
    /// What in this entry contradicts itself, in words; nothing when it is sound.
    pub(super) fn contradiction(&self) -> Option<String> {
        let rows = self.row_groups.iter().map(|group| u64::from(group.rows)).sum::<u64>();
        if rows != self.rows {
            return Some(format!("has row groups of {rows} rows together, expected {}", self.rows));
        }
        let mut end = 0;
        for (number, group) in self.row_groups.iter().enumerate() {
            let range = group.range();
            if range.start < end || range.end > self.bytes {
                let found = format!("has row group {number} at bytes {} to {}", range.start, range.end);
                return Some(format!("{found}, expected it between {end} and {}", self.bytes));
            }
            end = range.end;
        }
        None
    }
}

/// Modalities in JSON are the words that reports show.
pub(crate) mod modality_word {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use vismae_core::spec::Modality;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(modality: &Modality, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(modality.word())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Modality, D::Error> {
        let word = String::deserialize(deserializer)?;
        Modality::from_code(&word).ok_or_else(|| de::Error::custom(format!("`{word}` is not a modality")))
    }
}

/// Several of them.
pub(crate) mod modality_words {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use vismae_core::spec::Modality;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Word(#[serde(with = "super::modality_word")] Modality);

    #[expect(clippy::ptr_arg, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(modalities: &Vec<Modality>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(modalities.iter().map(|modality| Word(*modality)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Modality>, D::Error> {
        let words = Vec::<Word>::deserialize(deserializer)?;
        Ok(words.into_iter().map(|Word(modality)| modality).collect())
    }
}
