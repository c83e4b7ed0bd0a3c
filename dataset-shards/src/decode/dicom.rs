//! DICOM files, one or many frames each.

mod attributes;
mod codec;
mod frames;
mod geometry;
mod jpeg_2000;
mod jpeg_ls;
mod lengths;
mod modality;
mod open;
mod regions;
mod rle;
mod samples;
mod shape;
mod suv;
mod voi;

use std::borrow::Cow;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use vismae_core::spec::Modality;

use super::{DecodeError, Decoded, Note, Scale, VOXEL_BYTES, Volume};
use crate::memory::Claim;
use attributes::Attributes;
use codec::Syntax;
use frames::Frame;
use modality::Transform;
use open::DataSet;
use regions::Regions;
use samples::Grey;
use shape::Shape;
use suv::Suv;

pub(crate) use geometry::{Slice, Stack};
pub(super) use open::is_without_preamble;
pub use voi::Voi;

/// Bytes that a decoder of compressed pixels holds for each sample of a frame, at most.
const CODEC_BYTES: u64 = 16;
/// Sequences that decide what pixels mean, or which of them are kept.
const DECISIVE: [Tag; 5] = [
    tags::MODALITY_LUT_SEQUENCE,
    tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE,
    tags::SEQUENCE_OF_ULTRASOUND_REGIONS,
];

/// Values are after the modality transformation of each frame, and before any window and any inversion. Activity in a PET image
/// becomes SUV by body weight where the header allows it.
pub(super) fn decode(bytes: Cow<'_, [u8]>, claim: &mut Claim) -> Result<Decoded, DecodeError> {
    let set = open::open(bytes, claim)?;
    let attributes = Attributes::new(&set.object);
    let pixels = Pixels::open(&set)?;
    let shape = pixels.shape;
    let transforms = modality::transforms(attributes, &shape)?;
    let modality = attributes.text(tags::MODALITY).as_deref().and_then(Modality::from_code);
    let suv = if modality == Some(Modality::Pet) { Suv::read(attributes) } else { Suv::NotPet };
    let regions = Regions::read(attributes, modality)?;
    claim.add(pixels.bytes_to_decode())?;
    let mut voxels = Vec::with_capacity(shape.frames as usize * shape.pixels());
    for (frame, transform) in transforms.iter().enumerate() {
        let start = voxels.len();
        pixels.append_stored(frame, &mut voxels)?;
        let values = &mut voxels[start..];
        transform.apply(values);
        suv.apply(values);
        regions.blank_outside(values, shape.columns as usize);
    }
    let display = shape.bits_stored <= 8 && !pixels.grey.is_deep() && transforms.iter().all(Transform::is_identity);
    let voi = if display { voi::Reading::Absent } else { voi::Reading::of(attributes, &shape, &voxels) };
    let [of_regions, burned_in] = regions.notes();
    let notes = [
        suv.note(),
        of_regions,
        burned_in,
        // Of the others no window of the file is used.
        (voi == voi::Reading::Unusable && matches!(modality, Some(Modality::XRay | Modality::Ultrasound)))
            .then_some(Note::VoiUnusable),
        voi::has_overlays(attributes).then_some(Note::OverlayPlanes),
    ];
    Ok(Decoded {
        volume: Volume { width: shape.columns, height: shape.rows, voxels, spacing_mm: geometry::spacing(attributes) },
        modality,
        patient: attributes.text(tags::PATIENT_ID),
        study: attributes.text(tags::STUDY_INSTANCE_UID).or_else(|| attributes.text(tags::SERIES_INSTANCE_UID)),
        scale: if display { Scale::Display } else { Scale::Measured },
        inverted: shape.inverted,
        voi: match voi {
            voi::Reading::Usable(vois) => vois,
            voi::Reading::Absent | voi::Reading::Unusable => Vec::new(),
        },
        notes: notes.into_iter().flatten().collect(),
        grid: None,
    })
}

/// The place of a slice, by the first bytes of its file.
pub(super) fn locate(start: &[u8]) -> Option<Slice> {
    Slice::read(Attributes::new(&open::open_start(start)?))
}

/// The pixels of a data set, cut into frames and not decoded yet.
struct Pixels<'a> {
    shape: Shape,
    grey: Grey,
    syntax: Syntax,
    frames: Vec<Frame<'a>>,
}

impl<'a> Pixels<'a> {
    fn open(set: &'a DataSet) -> Result<Self, DecodeError> {
        let attributes = Attributes::new(&set.object);
        if !attributes.has(tags::PIXEL_DATA) {
            return Err(without_pixels(attributes));
        }
        if DECISIVE.iter().any(|&tag| attributes.hides(tag)) {
            return Err(unsupported(
                "a sequence of unknown representation that decides pixel values",
                "a sequence of items",
            ));
        }
        let shape = Shape::read(attributes)?;
        let grey = Grey::read(attributes, &shape)?;
        let frames = frames::split(&set.object, &shape, set.syntax)?;
        Ok(Self { shape, grey, syntax: set.syntax, frames })
    }

    /// Bytes of all voxels, and what the decoding of one frame takes besides: itself, its samples, and tables of its decoder.
    fn bytes_to_decode(&self) -> u64 {
        let (pixels, longest) =
            (self.shape.pixels() as u64, self.frames.iter().map(Frame::len).max().unwrap_or_default());
        let frame = longest as u64
            + match self.syntax {
                Syntax::Native => 0,
                _ => CODEC_BYTES * u64::from(self.shape.samples) * pixels,
            };
        VOXEL_BYTES * pixels * u64::from(self.shape.frames) + frame
    }

    /// Adds the grey values of a frame as they are stored.
    fn append_stored(&self, frame: usize, values: &mut Vec<f32>) -> Result<(), DecodeError> {
        let bytes = self.frames.get(frame).ok_or_else(|| truncated(format!("there is no frame {frame}")))?;
        self.grey.append(&codec::decode(&bytes.bytes(), &self.shape, self.syntax)?, &self.shape, values)
    }
}

/// A file without pixels is no image, unless it describes some.
fn without_pixels(attributes: Attributes<'_>) -> DecodeError {
    if attributes.has(tags::FLOAT_PIXEL_DATA) || attributes.has(tags::DOUBLE_FLOAT_PIXEL_DATA) {
        return unsupported("floating-point pixel data", "integer pixel data");
    }
    if attributes.has(tags::ROWS) && attributes.has(tags::COLUMNS) {
        return malformed("the header describes pixels, and there are none");
    }
    if attributes.are_none() {
        return malformed("the file ends behind its preamble");
    }
    DecodeError::NotAnImage { kind: "a DICOM object without pixels" }
}

fn malformed(fault: &str) -> DecodeError {
    DecodeError::Malformed { format: "DICOM", fault: fault.to_owned() }
}

fn truncated(fault: String) -> DecodeError {
    DecodeError::Truncated { format: "DICOM", fault }
}

fn unsupported(what: &str, expected: &'static str) -> DecodeError {
    DecodeError::Unsupported { what: what.to_owned(), expected }
}

/// The stored samples of every frame, those of a pixel beside each other, with the bits that they are stored in.
#[cfg(test)]
pub(super) fn stored(bytes: &[u8]) -> Result<(Vec<i32>, u16), DecodeError> {
    let set = open::open(bytes.into(), &mut Claim::alone())?;
    let pixels = Pixels::open(&set)?;
    let mut values = Vec::new();
    for frame in &pixels.frames {
        values.extend(samples::stored(&codec::decode(&frame.bytes(), &pixels.shape, pixels.syntax)?, &pixels.shape));
    }
    Ok((values, pixels.shape.bits_allocated))
}
