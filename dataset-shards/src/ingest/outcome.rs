//! What became of the files of a unit: what tasks hand over, and what later ingests need not find out again.
//!
//! Nothing in here names a patient: identities are pseudonyms by the time an outcome exists.

use serde::{Deserialize, Serialize};
use vismae_core::spec::Modality;

use super::quarantine::Refusal;
use crate::decode::Note;
use crate::manifest::modality_word;
use crate::sample::SampleId;

/// The first 16 bytes of a BLAKE3 hash.
pub(super) type Digest = [u8; 16];

/// The first 16 bytes of a finished hash.
pub(super) fn digest(hasher: &blake3::Hasher) -> Digest {
    let mut digest = [0; 16];
    hasher.finalize_xof().fill(&mut digest);
    digest
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// It gave frames, perhaps none worth keeping.
    Prepared(Prepared),
    /// It holds no image, which is no fault.
    NotAnImage,
    /// It cannot be used.
    Refused(Refused),
}

/// Why a file cannot be used, as [`Refusal`] says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) stage: String,
    pub(super) code: String,
    pub(super) message: String,
}

/// The frames of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Prepared {
    #[serde(with = "modality_word")]
    pub(super) modality: Modality,
    /// Pseudonym of the patient that the file's header names.
    pub(super) patient: Option<String>,
    /// Pseudonym of what keeps files together that name no patient.
    pub(super) study: Option<String>,
    /// Of the stored frames.
    pub(super) spacing_mm: Option<[f32; 2]>,
    pub(super) frames: Vec<PreparedFrame>,
    /// Frames left out because they show little but background.
    pub(super) nearly_empty: u64,
    /// What is unusual about the file.
    pub(super) notes: Vec<Note>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PreparedFrame {
    pub(super) id: SampleId,
    /// Of the source values and the CT window: the same image scaled within another volume has another id, and the same source.
    pub(super) source: Digest,
    /// Of the encoded mask.
    pub(super) mask: Option<Digest>,
    pub(super) pixels: Pixels,
}

/// Where the pixels of a frame are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Pixels {
    /// At hand, as PGM.
    Encoded { image: Vec<u8>, mask: Option<Vec<u8>> },
    /// In a shard that was written before, if it is still there.
    Stored,
}

impl From<Refusal> for Refused {
    fn from(Refusal { stage, code, message }: Refusal) -> Self {
        Self { stage: stage.to_owned(), code: code.to_owned(), message }
    }
}

/// Reasons that lie in the disk or the network, perhaps, and not in the file.
const PASSING: [&str; 4] = ["missing_file", "unreadable", "mask_missing", "mask_unreadable"];

impl Outcome {
    /// Whether the same file may be used the next time.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Refused(refused) if PASSING.contains(&refused.code.as_str()))
    }

    /// The same without pixels.
    pub(super) fn without_pixels(mut self) -> Self {
        if let Self::Prepared(prepared) = &mut self {
            for frame in &mut prepared.frames {
                frame.pixels = Pixels::Stored;
            }
        }
        self
    }
}

/// Bytes of the pixels at hand.
pub(super) fn pixel_bytes(outcomes: &[Outcome]) -> usize {
    let frames = outcomes.iter().flat_map(|outcome| match outcome {
        Outcome::Prepared(prepared) => prepared.frames.as_slice(),
        Outcome::NotAnImage | Outcome::Refused(_) => &[],
    });
    let bytes = frames.map(|frame| match &frame.pixels {
        Pixels::Encoded { image, mask } => image.len() + mask.as_ref().map_or(0, Vec::len),
        Pixels::Stored => 0,
    });
    bytes.sum()
}
