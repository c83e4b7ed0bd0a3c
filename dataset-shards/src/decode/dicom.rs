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

use std::borrow::Cow;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use vismae_core::spec::Modality;

use super::{DecodeError, Decoded, Scale, Volume};
use attributes::Attributes;
use codec::Syntax;
use modality::Transform;
use open::DataSet;
use regions::Regions;
use samples::Grey;
use shape::Shape;
use suv::Suv;

pub(crate) use geometry::{Slice, Stack};
pub(super) use open::is_without_preamble;

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
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let set = open::open(bytes)?;
    let attributes = Attributes::new(&set.object);
    let pixels = Pixels::open(&set)?;
    let shape = pixels.shape;
    let transforms = modality::transforms(attributes, &shape)?;
    let modality = attributes.text(tags::MODALITY).as_deref().and_then(Modality::from_code);
    let suv = if modality == Some(Modality::Pet) { Suv::read(attributes) } else { Suv::NotPet };
    let regions = Regions::read(attributes, modality)?;
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
    Ok(Decoded {
        volume: Volume { width: shape.columns, height: shape.rows, voxels, spacing_mm: geometry::spacing(attributes) },
        modality,
        patient: attributes.text(tags::PATIENT_ID),
        study: attributes.text(tags::STUDY_INSTANCE_UID).or_else(|| attributes.text(tags::SERIES_INSTANCE_UID)),
        scale: if display { Scale::Display } else { Scale::Measured },
        inverted: shape.inverted,
        notes: suv.note().into_iter().chain(regions.note()).collect(),
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
    frames: Vec<Cow<'a, [u8]>>,
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

    /// Adds the grey values of a frame as they are stored.
    fn append_stored(&self, frame: usize, values: &mut Vec<f32>) -> Result<(), DecodeError> {
        let bytes = self.frames.get(frame).ok_or_else(|| truncated(format!("there is no frame {frame}")))?;
        self.grey.append(&codec::decode(bytes, &self.shape, self.syntax)?, &self.shape, values)
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
    let set = open::open(bytes)?;
    let pixels = Pixels::open(&set)?;
    let mut values = Vec::new();
    for frame in &pixels.frames {
        values.extend(samples::stored(&codec::decode(frame, &pixels.shape, pixels.syntax)?, &pixels.shape));
    }
    Ok((values, pixels.shape.bits_allocated))
}
