//! From values in source units to square frames of 8 bits, by modality.
//!
//! CT keeps a fixed window of Hounsfield units; MR and PET keep the percentiles of their volume; X-ray and ultrasound of 8 bits
//! are taken as they are, and by percentiles when they are deeper. Values that are not finite become black and count nowhere.

mod placement;
mod range;
mod resize;

use vismae_core::spec::{IngestSpec, Modality};

use crate::decode::{Decoded, LabelVolume, Scale};
use placement::Placement;
use range::GreyRange;

/// Levels of 8 bits up to here are background: noise and the foot of a percentile range lie below.
const BACKGROUND_LEVEL: u8 = 8;

/// One frame, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalisedFrame {
    /// Grey levels, row by row from the top.
    pub levels: Vec<u8>,
    /// Class indices of the same shape.
    pub classes: Option<Vec<u8>>,
    /// BLAKE3 of the source values and their shape: the same for the same image, however its volume was scaled.
    pub source: [u8; 32],
}

/// A file of a volume, with its mask.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a decoded file names its patient")]
pub struct Part<'a> {
    /// The values.
    pub decoded: &'a Decoded,
    /// Classes of the same shape.
    pub labels: Option<&'a LabelVolume>,
}

/// The frames of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalised {
    /// Those worth keeping, in order.
    pub frames: Vec<NormalisedFrame>,
    /// How many slices show little but background.
    pub nearly_empty: u64,
    /// Rows and columns of the source for each of a frame.
    pub scale: [f32; 2],
}

/// Why the values of a file make no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NormaliseError {
    /// No value is a number.
    #[error("not one value is a finite number")]
    NothingFinite,
    /// The image cannot be scaled.
    #[error("the image of {width} x {height} cannot be scaled to {side} x {side}")]
    Resize {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// The side asked for.
        side: u32,
    },
}

impl NormaliseError {
    /// The reason for programs; never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NothingFinite => "nothing_finite",
            Self::Resize { .. } => "not_scalable",
        }
    }
}

/// Normalises every plane of the files that make up a volume, or of one file; gives the frames of each. Percentiles are those of
/// the whole volume. Planes are fitted to the square of a frame as the specification says, with antialiasing; masks by their nearest pixel. A slice
/// of a volume that shows less than the minimum content is left out, unless its mask marks something.
///
/// # Errors
/// [`NormaliseError`].
pub fn normalise(parts: &[Part<'_>], modality: Modality, spec: &IngestSpec) -> Result<Vec<Normalised>, NormaliseError> {
    let range = grey_range(parts, modality, spec)?;
    let is_volume = parts.iter().map(|part| part.decoded.volume.planes().len()).sum::<usize>() > 1;
    parts.iter().map(|part| frames(part, range, modality, is_volume, spec)).collect()
}

fn frames(
    part: &Part<'_>,
    range: GreyRange,
    modality: Modality,
    is_volume: bool,
    spec: &IngestSpec,
) -> Result<Normalised, NormaliseError> {
    let volume = &part.decoded.volume;
    let (side, plane_pixels) = (spec.image_size, volume.plane_pixels());
    // The scale of Hounsfield units has one direction, whatever a file says about its display.
    let inverted = part.decoded.inverted && modality != Modality::Ct;
    let placement = Placement::new(volume.width, volume.height, side, spec.fit);
    let mut normalised = Normalised { frames: Vec::new(), nearly_empty: 0, scale: placement.scale() };
    for (index, plane) in volume.planes().enumerate() {
        let classes = part.labels.map(|labels| &labels.classes[index * plane_pixels..(index + 1) * plane_pixels]);
        let marked = classes.is_some_and(|classes| classes.iter().any(|&class| class != 0));
        let deep: Vec<u16> = plane.iter().map(|&value| range.level(value, inverted)).collect();
        let levels = resize::levels(&deep, volume.width, volume.height, &placement).ok_or(NormaliseError::Resize {
            width: volume.width,
            height: volume.height,
            side,
        })?;
        if is_volume && !marked && content(&levels) < spec.minimum_content {
            normalised.nearly_empty += 1;
            continue;
        }
        let classes = classes.map(|classes| resize::nearest(classes, volume.width, &placement));
        normalised.frames.push(NormalisedFrame { levels, classes, source: hash(plane, volume.width) });
    }
    Ok(normalised)
}

fn grey_range(parts: &[Part<'_>], modality: Modality, spec: &IngestSpec) -> Result<GreyRange, NormaliseError> {
    let values: Vec<&[f32]> = parts.iter().map(|part| part.decoded.volume.voxels.as_slice()).collect();
    if !values.iter().copied().flatten().any(|value| value.is_finite()) {
        return Err(NormaliseError::NothingFinite);
    }
    let width = parts.first().map_or(1, |part| part.decoded.volume.width as usize);
    let display = parts.iter().all(|part| part.decoded.scale == Scale::Display);
    Ok(match (modality, display) {
        (Modality::Ct, false) => GreyRange::new(spec.ct_window.low as f32, spec.ct_window.high as f32),
        (Modality::Ct | Modality::XRay | Modality::Ultrasound, true) => GreyRange::new(0.0, 255.0),
        (Modality::Mr | Modality::Pet, _) | (Modality::XRay | Modality::Ultrasound, false) => {
            GreyRange::of_percentiles(&values, width, spec.percentiles.low, spec.percentiles.high)
        }
    })
}

fn hash(plane: &[f32], width: u32) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&width.to_le_bytes());
    // In pieces, so that no copy of the plane is made.
    for piece in plane.chunks(1024) {
        let mut bytes = [0; 4096];
        for (place, value) in bytes.chunks_exact_mut(4).zip(piece) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        hasher.update(&bytes[..4 * piece.len()]);
    }
    *hasher.finalize().as_bytes()
}

/// The share of pixels that differ from the background.
fn content(levels: &[u8]) -> f64 {
    let shown = levels.iter().filter(|&&level| level > BACKGROUND_LEVEL).count();
    shown as f64 / levels.len().max(1) as f64
}

#[cfg(test)]
mod tests;
