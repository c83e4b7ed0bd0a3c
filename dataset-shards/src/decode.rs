//! From a file of any known format to values in source units, without a crash whatever the bytes.
//!
//! The format is told by magic bytes, never by the name; the name only decides whether an unknown file was meant to be an
//! image. What a header claims is checked before anything is allocated for it, and decoders run under a guard: a panic in one
//! is an error of the file.

mod dicom;
mod error;
mod guard;
mod jpeg;
mod labels;
mod nifti;
mod raster;
mod sniff;

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vismae_core::spec::Modality;

use crate::memory::Claim;
use crate::place::Place;

pub use dicom::Voi;
pub(crate) use dicom::{Slice, Stack};
pub use error::DecodeError;
pub use guard::UNLOGGED;
pub(crate) use guard::guarded;
pub(crate) use labels::decode_labels_of;
pub use labels::{LabelError, LabelVolume, decode_labels};
pub(crate) use nifti::Grid;
use sniff::Format;

/// Largest file read.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// Bytes of a file that its place in a series is looked for in: headers in front of the pixels are far shorter.
const START_BYTES: u64 = 1 << 16;
/// Bytes that say what a file is.
const MAGIC_BYTES: u64 = 1 << 12;
/// Bytes of a voxel.
const VOXEL_BYTES: u64 = 4;
/// Most pixels in one plane.
pub const PLANE_PIXELS_MAX: u64 = 64 << 20;
/// Most voxels in one volume.
pub const VOLUME_VOXELS_MAX: u64 = 256 << 20;

/// Planes of equal shape, in source units.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    /// Columns of a plane.
    pub width: u32,
    /// Rows of a plane.
    pub height: u32,
    /// Plane by plane, row by row from the top. May hold values that are not finite.
    pub voxels: Vec<f32>,
    /// Distance of rows and of columns, when the file says it.
    pub spacing_mm: Option<[f32; 2]>,
}

impl Volume {
    /// Pixels of a plane, at least 1.
    pub fn plane_pixels(&self) -> usize {
        (self.width as usize * self.height as usize).max(1)
    }

    /// The planes in order.
    pub fn planes(&self) -> std::slice::ChunksExact<'_, f32> {
        self.voxels.chunks_exact(self.plane_pixels())
    }
}

/// What the values of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Grey levels of 8 bits, meant to be shown as they are.
    Display,
    /// Measurements, as Hounsfield units, or levels of a depth that no display shows.
    Measured,
}

/// Something about a file that is no fault, and that whoever relies on the corpus should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Note {
    /// The header of a PET image lacks what SUV is computed from; the values are as stored.
    PetWithoutSuv,
    /// Slices of the series are further apart at one place than elsewhere.
    SeriesGap,
    /// Two slices of the series lie at one place.
    SeriesOverlap,
    /// An ultrasound image does not say where the ultrasound is: what the device wrote beside it, if anything, was left.
    WithoutRegions,
    /// A series is too long to be read at once: its parts were scaled apart.
    SeriesInParts,
    /// The header says that text is burned into the pixels; it was left alone.
    BurnedIn,
    /// The file does not say where its volume lies in the patient; its axes were taken as they are.
    OrientationUnknown,
    /// An ultrasound image keeps what lies in its ultrasound regions; the rest is black.
    OutsideRegionsBlanked,
    /// What the file says of its display, a window or a table, cannot be used or shows nothing of the image: it is scaled by
    /// percentiles.
    VoiUnusable,
    /// The file holds overlay planes beside its pixels; no frame shows them.
    OverlayPlanes,
}

impl Note {
    /// The word for programs; never changes.
    pub fn code(self) -> &'static str {
        match self {
            Self::PetWithoutSuv => "pet_without_suv",
            Self::SeriesGap => "series_gap",
            Self::SeriesOverlap => "series_overlap",
            Self::WithoutRegions => "ultrasound_without_regions",
            Self::SeriesInParts => "series_in_parts",
            Self::BurnedIn => "burned_in_annotation",
            Self::OrientationUnknown => "orientation_unknown",
            Self::OutsideRegionsBlanked => "outside_regions_blanked",
            Self::VoiUnusable => "voi_unusable",
            Self::OverlayPlanes => "overlay_planes",
        }
    }
}

/// A decoded file.
#[derive(Clone, PartialEq)]
pub struct Decoded {
    /// The values.
    pub volume: Volume,
    /// Stated by the file.
    pub modality: Option<Modality>,
    /// The patient's id in the file: identifying, to be pseudonymised and never shown.
    pub patient: Option<String>,
    /// What the file calls its study, or its series: identifying too, and what keeps slices together that name no patient.
    pub study: Option<String>,
    /// What the values are.
    pub scale: Scale,
    /// Whether low values are meant to be bright. They still come as stored.
    pub inverted: bool,
    /// How the file wants each plane of measured values shown, before any inversion; empty where it does not say, or nothing that
    /// is of use.
    pub voi: Vec<Voi>,
    /// What is unusual about it.
    pub notes: Vec<Note>,
    pub(crate) grid: Option<Grid>,
}

/// Decodes a file.
///
/// # Errors
/// [`DecodeError`], whose code names the reason; its message holds no value that could name a patient.
pub fn decode(path: &Path) -> Result<Decoded, DecodeError> {
    decode_place(&Place::Disk(path.to_owned()), &mut Claim::alone())
}

/// As [`decode`], wherever the file lies, in memory of a claim.
pub(crate) fn decode_place(place: &Place, claim: &mut Claim) -> Result<Decoded, DecodeError> {
    sniff::check_name(place.name())?;
    let mut file = Opened::new(place)?;
    let before = claim.used();
    let decoded = match file.format {
        // Whatever its length, it is not held as a whole.
        Format::Nifti => {
            let decoded = guarded("NIfTI", || nifti::decode(&mut file.stream(), claim))?;
            // What checks a member of an archive stands at its end.
            if let Place::Member(..) = place {
                std::io::copy(&mut file.rest, &mut std::io::sink()).map_err(|error| DecodeError::from_io(&error))?;
            }
            decoded
        }
        format => {
            let bytes = file.read(claim)?;
            decode_format(format, bytes.into(), claim)?
        }
    };
    claim.keep(before, VOXEL_BYTES * decoded.volume.voxels.len() as u64);
    Ok(decoded)
}

/// Decodes the bytes of a file. Its name only decides whether unknown bytes were meant to be an image.
///
/// # Errors
/// As [`decode`].
pub fn decode_bytes(name: &Path, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let format = sniff::format(name, bytes)?;
    decode_format(format, bytes.into(), &mut Claim::alone())
}

fn decode_format(format: Format, bytes: Cow<'_, [u8]>, claim: &mut Claim) -> Result<Decoded, DecodeError> {
    guarded(format.name(), || match format {
        Format::Dicom => dicom::decode(bytes, claim),
        Format::Nifti => nifti::decode(&mut &*bytes, claim),
        Format::Png => raster::decode(&bytes, image::ImageFormat::Png, claim),
        Format::Jpeg => raster::decode(&bytes, image::ImageFormat::Jpeg, claim),
        Format::Tiff => raster::decode(&bytes, image::ImageFormat::Tiff, claim),
        Format::Bmp => raster::decode(&bytes, image::ImageFormat::Bmp, claim),
    })
}

/// The place that a DICOM slice has in its series, by the start of the file alone; none for anything else, or when it can't be
/// told.
pub(crate) fn locate(place: &Place) -> Option<Slice> {
    let mut start = Vec::with_capacity(START_BYTES as usize);
    let (bytes, _) = place.open().ok()?;
    bytes.take(START_BYTES).read_to_end(&mut start).ok()?;
    let format = sniff::format(place.name(), &start).ok()?;
    (format == Format::Dicom).then(|| guarded("DICOM", || Ok(dicom::locate(&start))).ok().flatten()).flatten()
}

/// A file of a usable size whose first bytes say what it is.
struct Opened {
    format: Format,
    start: Vec<u8>,
    rest: Box<dyn Read + Send>,
    size: u64,
}

impl Opened {
    fn new(place: &Place) -> Result<Self, DecodeError> {
        let (mut rest, size) = place.open()?;
        if size > FILE_BYTES_MAX {
            return Err(DecodeError::TooLarge { what: "bytes in the file", found: size, limit: FILE_BYTES_MAX });
        }
        let mut start = Vec::new();
        let read = rest.by_ref().take(MAGIC_BYTES).read_to_end(&mut start);
        read.map_err(|error| DecodeError::from_io(&error))?;
        if start.is_empty() {
            return Err(DecodeError::Empty);
        }
        Ok(Self { format: sniff::format(place.name(), &start)?, start, rest, size })
    }

    /// All the bytes, of which the first were read before. A file that grows meanwhile ends where it ended.
    fn stream(&mut self) -> impl Read {
        self.start.chain(self.rest.by_ref().take(self.size.saturating_sub(self.start.len() as u64)))
    }

    fn read(&mut self, claim: &mut Claim) -> Result<Vec<u8>, DecodeError> {
        claim.add(self.size)?;
        let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or_default());
        self.stream().read_to_end(&mut bytes).map_err(|error| DecodeError::from_io(&error))?;
        Ok(bytes)
    }
}

/// Grey of a colour: ITU-R BT.601, which the colour spaces of DICOM and JPEG are defined by. That of a grey is itself, to the bit.
fn luma([red, green, blue]: [f32; 3]) -> f32 {
    green + 0.299 * (red - green) + 0.114 * (blue - green)
}

/// Checks claimed sides before anything is allocated for them.
fn check_size(width: u64, height: u64, planes: u64) -> Result<(), DecodeError> {
    let plane = width.saturating_mul(height);
    if plane == 0 || planes == 0 {
        return Err(DecodeError::Malformed {
            format: "image",
            fault: format!("size {width} x {height} x {planes} has no pixels, expected at least one in each direction"),
        });
    }
    if plane > PLANE_PIXELS_MAX {
        return Err(DecodeError::TooLarge { what: "pixels in a plane", found: plane, limit: PLANE_PIXELS_MAX });
    }
    let voxels = plane.saturating_mul(planes);
    if voxels > VOLUME_VOXELS_MAX {
        return Err(DecodeError::TooLarge { what: "voxels", found: voxels, limit: VOLUME_VOXELS_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
