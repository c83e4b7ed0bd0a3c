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

/// Most CT windows of one ingest: each multiplies the frames of every CT slice.
pub const CT_WINDOWS_MAX: usize = 8;

/// No scanner gives Hounsfield units beyond, and arithmetic in single precision stays finite.
const HOUNSFIELD_MAX: f64 = 1e6;

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

/// Where the grey range of X-ray and ultrasound images deeper than 8 bits comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum XrayRange {
    /// The display settings of the file, where it has usable ones; percentiles elsewhere.
    #[default]
    Voi,
    /// Percentiles, whatever the file says about its display.
    Percentiles,
}

impl XrayRange {
    /// Every range.
    pub const ALL: [Self; 2] = [Self::Voi, Self::Percentiles];

    /// The word it is written and shown by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Voi => "voi",
            Self::Percentiles => "percentiles",
        }
    }

    /// Reads that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.word() == word)
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
    /// Ranges of Hounsfield units kept of CT: a slice gives one frame for each, in this order.
    pub ct_windows: Vec<Window>,
    /// Lower and upper percentile of a volume kept of MR and PET, in 0 to 100.
    pub percentiles: Window,
    /// What is kept of X-ray and ultrasound images that are deeper than 8 bits.
    pub xray_range: XrayRange,
    /// Smallest share of pixels that differ from the background for a frame of a volume to be kept, in 0 to 1.
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
        self.check_ct_windows(&format!("{field}.ct_windows"), violations);
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

    fn check_ct_windows(&self, field: &str, violations: &mut Violations) {
        let windows = &self.ct_windows;
        violations.require((1..=CT_WINDOWS_MAX).contains(&windows.len()), field, || {
            format!("holds {} windows, expected 1 to {CT_WINDOWS_MAX}", windows.len())
        });
        for (index, window) in windows.iter().enumerate() {
            let (field, Window { low, high }) = (format!("{field}[{index}]"), *window);
            violations.require(low < high, &field, || format!("is [{low}, {high}], expected the lower bound first"));
            violations.require(low.abs().max(high.abs()) <= HOUNSFIELD_MAX, &field, || {
                format!("is [{low}, {high}], expected Hounsfield units from -{HOUNSFIELD_MAX} to {HOUNSFIELD_MAX}")
            });
            let same = windows.iter().take(index).position(|earlier| earlier == window);
            violations.require(same.is_none(), &field, || {
                format!("is [{low}, {high}], as `[{}]` is: expected each window once", same.unwrap_or_default())
            });
        }
    }
}
