//! What an ingest reads and how it prepares frames.

use std::fmt;

use super::Violations;
use crate::ids::CorpusName;

/// How an image was made; decides its normalisation and its folder in the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Modality {
    /// Computed tomography.
    Ct,
    /// Magnetic resonance.
    Mr,
    /// Positron emission tomography.
    Pet,
    /// Projection radiography.
    XRay,
    /// Ultrasound.
    Ultrasound,
}

impl Modality {
    /// Every modality, in the order reports show them.
    pub const ALL: [Self; 5] = [Self::Ct, Self::Mr, Self::Pet, Self::XRay, Self::Ultrasound];

    /// The word it is stored and shown by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ct => "CT",
            Self::Mr => "MR",
            Self::Pet => "PET",
            Self::XRay => "XR",
            Self::Ultrasound => "US",
        }
    }

    /// Reads a DICOM modality code or one of our own words, in any case.
    pub fn from_code(code: &str) -> Option<Self> {
        match code.trim().to_ascii_uppercase().as_str() {
            "CT" => Some(Self::Ct),
            "MR" | "MRI" => Some(Self::Mr),
            "PT" | "PET" | "NM" => Some(Self::Pet),
            "XR" | "CR" | "DX" | "RF" | "MG" | "XA" | "IO" | "PX" | "RG" | "CXR" | "XRAY" | "X-RAY" => Some(Self::XRay),
            "US" | "IVUS" | "ULTRASOUND" => Some(Self::Ultrasound),
            _ => None,
        }
    }
}

impl fmt::Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A closed range of source values that is mapped to the full range of grey.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Mapped to black; Hounsfield units for CT.
    pub low: f64,
    /// Mapped to white.
    pub high: f64,
}

/// How an image that is not square becomes a square frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fit {
    /// Both sides are scaled to the side of the frame; shapes change.
    #[default]
    Stretch,
    /// The longer side is scaled to the side of the frame, and the rest is black.
    Pad,
    /// The shorter side is scaled to the side of the frame, and what the longer one has more at both ends is cut off.
    Crop,
}

impl Fit {
    /// Every fit.
    pub const ALL: [Self; 3] = [Self::Stretch, Self::Pad, Self::Crop];

    /// The word it is written and shown by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stretch => "stretch",
            Self::Pad => "pad",
            Self::Crop => "crop",
        }
    }

    /// Reads that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fit| fit.word() == word)
    }
}

/// An ingest: files to a committed corpus version.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestSpec {
    /// The corpus it writes.
    pub corpus: CorpusName,
    /// Folders and CSV manifests, as paths that the worker sees.
    pub inputs: Vec<String>,
    /// Side of the square frames it writes, in pixels.
    pub image_size: u32,
    /// How an image becomes a square.
    pub fit: Fit,
    /// Range of Hounsfield units kept of CT.
    pub ct_window: Window,
    /// Lower and upper percentile of a volume kept of MR and PET, in 0 to 100.
    pub percentiles: Window,
    /// Smallest share of pixels that differ from the background for a slice of a volume to be kept, in 0 to 1.
    pub minimum_content: f64,
    /// Slots that share the files, at most; it starts with as many as are free.
    pub workers: u32,
}

/// Slots that one ingest takes when nothing is said.
pub const INGEST_WORKERS_DEFAULT: u32 = 16;
/// Most slots that one ingest takes.
pub const INGEST_WORKERS_MAX: u32 = 1024;

impl IngestSpec {
    pub(super) fn check(&self, field: &str, violations: &mut Violations) {
        violations.require(!self.inputs.is_empty(), &format!("{field}.inputs"), || {
            "is empty, expected at least one folder or CSV manifest".to_owned()
        });
        violations.require((16..=2048).contains(&self.image_size), &format!("{field}.image_size"), || {
            format!("is {}, expected 16 to 2048 pixels", self.image_size)
        });
        violations.require(self.ct_window.low < self.ct_window.high, &format!("{field}.ct_window"), || {
            format!("is [{}, {}], expected the lower bound first", self.ct_window.low, self.ct_window.high)
        });
        let Window { low, high } = self.percentiles;
        violations.require(0.0 <= low && low < high && high <= 100.0, &format!("{field}.percentiles"), || {
            format!("is [{low}, {high}], expected two percentiles in 0 to 100, the lower first")
        });
        violations.require((0.0..=1.0).contains(&self.minimum_content), &format!("{field}.minimum_content"), || {
            format!("is {}, expected a share in 0 to 1", self.minimum_content)
        });
        violations.require((1..=INGEST_WORKERS_MAX).contains(&self.workers), &format!("{field}.workers"), || {
            format!("is {}, expected 1 to {INGEST_WORKERS_MAX} slots", self.workers)
        });
    }
}
