//! From values in source units to square frames of 8 bits, by modality.
//!
//! CT keeps fixed windows of Hounsfield units, a frame for each; MR and PET keep the percentiles of their volume; X-ray and
//! ultrasound of 8 bits are taken as they are, and when they are deeper as the file wants them shown, or by percentiles. Values
//! that are not finite become black and count nowhere. `docs/normalisation.md` has the formulas.

mod curve;
mod placement;
mod range;
mod resize;

use vismae_core::spec::{IngestSpec, Modality, Window, XrayRange};

use crate::decode::{Decoded, LabelVolume, Scale, Voi};
use curve::Curve;
use placement::Placement;
use range::GreyRange;

/// Levels of 8 bits up to here are background: noise and the foot of a percentile range lie below.
const BACKGROUND_LEVEL: u8 = 8;
/// Values whose bytes are hashed in one go.
const HASHED_TOGETHER: usize = 1 << 13;

/// One frame, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalisedFrame {
    /// Grey levels, row by row from the top.
    pub levels: Vec<u8>,
    /// Class indices of the same shape.
    pub classes: Option<Vec<u8>>,
    /// BLAKE3 of the source values, their shape and the CT window: the same for the same image, however its volume was scaled.
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
    /// Those worth keeping, slice by slice, and window by window of each.
    pub frames: Vec<NormalisedFrame>,
    /// How many frames of a volume show little but background.
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
/// the whole volume. Planes are fitted to the square of a frame as the specification says, with antialiasing; masks by their nearest
/// pixel. A frame of a volume that shows less than the minimum content is left out, unless its mask marks something.
///
/// # Errors
/// [`NormaliseError`].
pub fn normalise(parts: &[Part<'_>], modality: Modality, spec: &IngestSpec) -> Result<Vec<Normalised>, NormaliseError> {
    let scaling = Scaling::of(parts, modality, spec)?;
    parts.iter().map(|part| frames(part, &scaling, modality, spec)).collect()
}

/// What the planes of a volume are shown by, where their files say nothing that counts.
struct Scaling {
    ranges: Ranges,
    by_display: bool,
    is_volume: bool,
}

enum Ranges {
    Windows(Vec<GreyRange>),
    Fitted(GreyRange),
}

fn frames(
    part: &Part<'_>,
    scaling: &Scaling,
    modality: Modality,
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
        let classes = classes.map(|classes| resize::nearest(classes, volume.width, &placement));
        let values = hash(plane, volume.width);
        for curve in scaling.curves(part.decoded, index) {
            let deep = curve.levels(plane, inverted);
            let levels = resize::levels(&deep, volume.width, volume.height, &placement)
                .ok_or(NormaliseError::Resize { width: volume.width, height: volume.height, side })?;
            if scaling.is_volume && !marked && content(&levels) < spec.minimum_content {
                normalised.nearly_empty += 1;
                continue;
            }
            normalised.frames.push(NormalisedFrame { levels, classes: classes.clone(), source: curve.source(values) });
        }
    }
    Ok(normalised)
}

impl Scaling {
    fn of(parts: &[Part<'_>], modality: Modality, spec: &IngestSpec) -> Result<Self, NormaliseError> {
        let values: Vec<&[f32]> = parts.iter().map(|part| part.decoded.volume.voxels.as_slice()).collect();
        if !values.iter().copied().flatten().any(|value| value.is_finite()) {
            return Err(NormaliseError::NothingFinite);
        }
        let width = parts.first().map_or(1, |part| part.decoded.volume.width as usize);
        let display = parts.iter().all(|part| part.decoded.scale == Scale::Display);
        let projection = matches!(modality, Modality::XRay | Modality::Ultrasound);
        let window = |&Window { low, high }: &Window| GreyRange::new(low as f32, high as f32);
        let ranges = match (modality, display) {
            (Modality::Ct, false) => Ranges::Windows(spec.ct_windows.iter().map(window).collect()),
            (Modality::Ct | Modality::XRay | Modality::Ultrasound, true) => Ranges::Fitted(GreyRange::new(0.0, 255.0)),
            (Modality::Mr | Modality::Pet, _) | (Modality::XRay | Modality::Ultrasound, false) => {
                Ranges::Fitted(GreyRange::of_percentiles(&values, width, spec.percentiles.low, spec.percentiles.high))
            }
        };
        let is_volume = parts.iter().map(|part| part.decoded.volume.planes().len()).sum::<usize>() > 1;
        Ok(Self { ranges, by_display: projection && spec.xray_range == XrayRange::Voi, is_volume })
    }

    /// What a plane of a file is shown by: a frame each.
    fn curves<'a>(&self, decoded: &'a Decoded, plane: usize) -> Vec<Curve<'a>> {
        let stated: Option<&Voi> = decoded.voi.get(plane).filter(|_| self.by_display);
        match (stated, &self.ranges) {
            (Some(voi), _) => vec![Curve::Display(voi)],
            (None, Ranges::Fitted(range)) => vec![Curve::Fitted(*range)],
            (None, Ranges::Windows(windows)) => windows.iter().copied().map(Curve::Window).collect(),
        }
    }
}

fn hash(plane: &[f32], width: u32) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    // In pieces, so that no copy of the plane is made; of a power of two from the start on, which are hashed side by side.
    let mut bytes = [[0; 4]; HASHED_TOGETHER];
    for piece in plane.chunks(HASHED_TOGETHER) {
        bytes.iter_mut().zip(piece).for_each(|(place, value)| *place = value.to_le_bytes());
        hasher.update(bytes[..piece.len()].as_flattened());
    }
    hasher.update(&width.to_le_bytes());
    hasher.finalize()
}

/// The share of pixels that differ from the background.
fn content(levels: &[u8]) -> f64 {
    let shown = levels.iter().filter(|&&level| level > BACKGROUND_LEVEL).count();
    shown as f64 / levels.len().max(1) as f64
}

#[cfg(test)]
mod tests;
