//! From values in source units to square frames of 8 bits, by modality.
//!
//! CT keeps a fixed window of Hounsfield units; MR and PET keep the percentiles of their volume; X-ray and ultrasound of 8 bits
//! are taken as they are, and by percentiles when they are deeper. Values that are not finite become black and count nowhere.

mod range;
mod resize;

use vismae_core::spec::{IngestSpec, Modality};

use crate::decode::{Decoded, LabelVolume, Scale};
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
}

/// The frames of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    /// Those worth keeping, in order.
    pub frames: Vec<NormalisedFrame>,
    /// How many slices show little but background.
    pub nearly_empty: u64,
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

/// Normalises every plane of a file. Both sides are stretched to the side of a frame, with antialiasing; masks by their
/// nearest pixel. A slice of a volume that shows less than the minimum content is left out, unless its mask marks something.
///
/// # Errors
/// [`NormaliseError`].
pub fn normalise(
    decoded: &Decoded,
    modality: Modality,
    labels: Option<&LabelVolume>,
    spec: &IngestSpec,
) -> Result<Normalised, NormaliseError> {
    let volume = &decoded.volume;
    let (side, plane_pixels) = (spec.image_size, volume.plane_pixels());
    let range = grey_range(decoded, modality, spec)?;
    // The scale of Hounsfield units has one direction, whatever a file says about its display.
    let inverted = decoded.inverted && modality != Modality::Ct;
    let is_volume = volume.voxels.len() > plane_pixels;
    let mut normalised = Normalised { frames: Vec::new(), nearly_empty: 0 };
    for (index, plane) in volume.planes().enumerate() {
        let classes = labels.map(|labels| &labels.classes[index * plane_pixels..(index + 1) * plane_pixels]);
        let marked = classes.is_some_and(|classes| classes.iter().any(|&class| class != 0));
        let deep: Vec<u16> = plane.iter().map(|&value| range.level(value, inverted)).collect();
        let levels = resize::levels(&deep, volume.width, volume.height, side).ok_or(NormaliseError::Resize {
            width: volume.width,
            height: volume.height,
            side,
        })?;
        if is_volume && !marked && content(&levels) < spec.minimum_content {
            normalised.nearly_empty += 1;
            continue;
        }
        let classes = classes.map(|classes| resize::nearest(classes, volume.width, volume.height, side));
        normalised.frames.push(NormalisedFrame { levels, classes });
    }
    Ok(normalised)
}

fn grey_range(decoded: &Decoded, modality: Modality, spec: &IngestSpec) -> Result<GreyRange, NormaliseError> {
    let voxels = &decoded.volume.voxels;
    if !voxels.iter().any(|value| value.is_finite()) {
        return Err(NormaliseError::NothingFinite);
    }
    Ok(match (modality, decoded.scale) {
        (Modality::Ct, Scale::Measured) => GreyRange::new(spec.ct_window.low as f32, spec.ct_window.high as f32),
        (Modality::Ct | Modality::XRay | Modality::Ultrasound, Scale::Display) => GreyRange::new(0.0, 255.0),
        (Modality::Mr | Modality::Pet, _) | (Modality::XRay | Modality::Ultrasound, Scale::Measured) => {
            GreyRange::of_percentiles(voxels, spec.percentiles.low, spec.percentiles.high)
        }
    })
}

/// The share of pixels that differ from the background.
fn content(levels: &[u8]) -> f64 {
    let shown = levels.iter().filter(|&&level| level > BACKGROUND_LEVEL).count();
    shown as f64 / levels.len().max(1) as f64
}

#[cfg(test)]
mod tests;
