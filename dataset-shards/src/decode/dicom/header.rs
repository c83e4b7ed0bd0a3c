//! What a header says about the pixels.

use dicom_core::header::HasLength;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::DefaultDicomObject;

use super::{integer, malformed, text, unsupported};
use crate::decode::{DecodeError, check_size};

/// Attributes that decide pixel values. With an unknown representation they are misread without a word.
const DECISIVE: [Tag; 8] = [
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::RESCALE_SLOPE,
    tags::RESCALE_INTERCEPT,
];

/// What the header says about the pixels, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) frames: u32,
    pub(super) samples: u16,
    pub(super) bits_allocated: u16,
    pub(super) inverted: bool,
}

impl Shape {
    /// Reads what decides the pixels, and refuses what would be misread without a word.
    pub(super) fn read(object: &DefaultDicomObject) -> Result<Self, DecodeError> {
        if DECISIVE.iter().any(|&tag| object.get(tag).is_some_and(|element| element.vr() == VR::UN)) {
            return Err(unsupported(
                "an image attribute of unknown representation",
                "the representation of the standard",
            ));
        }
        if object.get(tags::MODALITY_LUT_SEQUENCE).is_some() {
            return Err(unsupported("a modality look-up table", "rescale slope and intercept"));
        }
        let number = |tag, name: &str| {
            integer(object, tag).ok_or_else(|| malformed(&format!("attribute `{name}` is missing or no number")))
        };
        let (rows, columns) = (number(tags::ROWS, "Rows")?, number(tags::COLUMNS, "Columns")?);
        let frames = match object.get(tags::NUMBER_OF_FRAMES) {
            Some(_) => number(tags::NUMBER_OF_FRAMES, "NumberOfFrames")?,
            None => 1,
        };
        let size = |value: i64| u64::try_from(value).unwrap_or(0);
        check_size(size(columns), size(rows), size(frames))?;
        let samples = integer(object, tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let bits_allocated = number(tags::BITS_ALLOCATED, "BitsAllocated")?;
        let photometric = text(object, tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        check_rescale(object)?;
        let depth_fits = matches!((samples, bits_allocated), (1, 8 | 16) | (3, 8));
        if !depth_fits {
            let what = format!("{samples} samples of {bits_allocated} bits");
            return Err(DecodeError::Unsupported { what, expected: "one sample of 8 or 16 bits, or three of 8" });
        }
        let inverted = match (photometric.as_str(), samples) {
            ("MONOCHROME1", 1) => true,
            ("MONOCHROME2", 1) => false,
            ("RGB" | "YBR_FULL" | "YBR_FULL_422" | "YBR_ICT" | "YBR_RCT", 3) => false,
            _ => {
                // Anything may stand here, so it is not repeated.
                return Err(unsupported("this photometric interpretation", "MONOCHROME1, MONOCHROME2, RGB or YBR"));
            }
        };
        if integer(object, tags::PLANAR_CONFIGURATION).unwrap_or(0) != 0 && samples > 1 {
            return Err(unsupported("colour by plane", "colour by pixel"));
        }
        let (rows, columns, frames) = (rows as u32, columns as u32, frames as u32);
        Ok(Self { rows, columns, frames, samples: samples as u16, bits_allocated: bits_allocated as u16, inverted })
    }

    /// The pixel data must be as long as the header says: the decoder fills what is missing with zeros.
    pub(super) fn check_length(&self, object: &DefaultDicomObject) -> Result<(), DecodeError> {
        let Some(element) = object.get(tags::PIXEL_DATA) else { return Ok(()) };
        let truncated = |fault: String| Err(DecodeError::Truncated { format: "DICOM", fault });
        if let Some(fragments) = element.fragments() {
            if (fragments.len() as u64) < u64::from(self.frames) {
                return truncated(format!("{} pixel fragments, expected {} frames", fragments.len(), self.frames));
            }
        } else if let Ok(bytes) = element.to_bytes() {
            let photometric = text(object, tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
            if photometric == "YBR_FULL_422" {
                return Err(unsupported("uncompressed YBR_FULL_422", "RGB or a compressed form"));
            }
            let pixel = u64::from(self.samples) * u64::from(self.bits_allocated / 8);
            let expected = u64::from(self.rows) * u64::from(self.columns) * u64::from(self.frames) * pixel;
            if (bytes.len() as u64) < expected {
                return truncated(format!("{} bytes of pixels, expected {expected}", bytes.len()));
            }
        }
        Ok(())
    }
}

/// The decoder takes a slope that is no number for 1.
fn check_rescale(object: &DefaultDicomObject) -> Result<(), DecodeError> {
    let usable = |tag: Tag| match object.get(tag) {
        Some(element) if !element.is_empty() => element.to_float64().is_ok_and(f64::is_finite),
        _ => true,
    };
    if usable(tags::RESCALE_SLOPE) && usable(tags::RESCALE_INTERCEPT) {
        Ok(())
    } else {
        Err(malformed("the rescale slope or intercept is no number"))
    }
}
