//! The three parts of a corpus that never share a patient.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a frame may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Val,
    /// To report on.
    Test,
}

impl Split {
    /// Every split, in the order reports show them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The word it is stored and shown by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// Reads a word as manifests write it, in any case; `valid` and `validation` mean [`Split::Val`].
    pub fn from_word(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" => Some(Self::Val),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_reads_back_its_own_word() {
        for split in Split::ALL {
            assert_eq!(Split::from_word(split.word()), Some(split));
        }
        assert_eq!(Split::from_word(" Validation "), Some(Split::Val));
        assert_eq!(Split::from_word("holdout"), None);
    }
}
