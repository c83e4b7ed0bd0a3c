//! What a header says about the pixels.

use dicom_dictionary_std::tags;

use super::attributes::Attributes;
use super::{malformed, unsupported};
use crate::decode::{DecodeError, check_size};

/// Most frames of a file: each is kept account of, however small it is.
const FRAMES_MAX: i64 = 1 << 16;

/// What the samples of a pixel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Photometric {
    /// One grey value.
    Grey,
    /// An index into a table of colours.
    Palette,
    Rgb,
    /// Luma first, and two differences of colour.
    Luma {
        /// Two pixels share their differences of colour, where the pixels are not compressed.
        halved: bool,
    },
}

/// What the header says about the pixels, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) frames: u32,
    pub(super) samples: u16,
    /// 8 or 16.
    pub(super) bits_allocated: u16,
    /// 1 to `bits_allocated`, of which the highest is bit `high_bit`.
    pub(super) bits_stored: u16,
    pub(super) high_bit: u16,
    pub(super) signed: bool,
    pub(super) photometric: Photometric,
    /// Low values are meant to be bright.
    pub(super) inverted: bool,
    /// Colours lie plane by plane, where the pixels are not compressed.
    pub(super) planar: bool,
}

impl Shape {
    /// Reads what decides the pixels, and refuses what can't be read without a guess.
    pub(super) fn read(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        if !attributes.is_filled(tags::ROWS) && !attributes.is_filled(tags::COLUMNS) {
            return Err(DecodeError::NotAnImage { kind: "a DICOM object whose pixels have no size" });
        }
        let number = |tag, name: &str| {
            let value = attributes.integer(tag);
            value.ok_or_else(|| malformed(&format!("attribute `{name}` is missing or no number")))
        };
        let (rows, columns) = (number(tags::ROWS, "Rows")?, number(tags::COLUMNS, "Columns")?);
        let frames = match attributes.is_filled(tags::NUMBER_OF_FRAMES) {
            true => number(tags::NUMBER_OF_FRAMES, "NumberOfFrames")?,
            false => 1,
        };
        let size = |value: i64| u64::try_from(value).unwrap_or(0);
        check_size(size(columns), size(rows), size(frames))?;
        if frames > FRAMES_MAX {
            return Err(DecodeError::TooLarge { what: "frames", found: size(frames), limit: FRAMES_MAX as u64 });
        }
        let samples = attributes.integer(tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let allocated = number(tags::BITS_ALLOCATED, "BitsAllocated")?;
        if !matches!((samples, allocated), (1 | 3, 8 | 16)) {
            let what = format!("{samples} samples of {allocated} bits");
            return Err(DecodeError::Unsupported { what, expected: "one or three samples of 8 or 16 bits" });
        }
        let stored = attributes.integer(tags::BITS_STORED).unwrap_or(allocated);
        let high_bit = attributes.integer(tags::HIGH_BIT).unwrap_or(stored - 1);
        if !(1..=allocated).contains(&stored) || !(stored - 1..allocated).contains(&high_bit) {
            return Err(malformed(&format!("{stored} bits up to bit {high_bit} do not fit into {allocated}")));
        }
        let signed = match attributes.integer(tags::PIXEL_REPRESENTATION) {
            Some(representation) => representation == 1,
            None if samples == 3 => false,
            None => return Err(malformed("attribute `PixelRepresentation` is missing or no number")),
        };
        let (photometric, inverted) = photometric(attributes, samples)?;
        Ok(Self {
            rows: rows as u32,
            columns: columns as u32,
            frames: frames as u32,
            samples: samples as u16,
            bits_allocated: allocated as u16,
            bits_stored: stored as u16,
            high_bit: high_bit as u16,
            signed,
            photometric,
            inverted,
            planar: samples > 1 && attributes.integer(tags::PLANAR_CONFIGURATION) == Some(1),
        })
    }

    /// Pixels of a frame.
    pub(super) fn pixels(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    /// Bytes of a frame that is not compressed.
    pub(super) fn frame_bytes(&self) -> usize {
        let samples = match self.photometric {
            Photometric::Luma { halved: true } => 2 * self.pixels(),
            _ => usize::from(self.samples) * self.pixels(),
        };
        samples * usize::from(self.bits_allocated / 8)
    }
}

/// What the samples mean, and whether low values are meant to be bright.
fn photometric(attributes: Attributes<'_>, samples: i64) -> Result<(Photometric, bool), DecodeError> {
    let word = attributes.text(tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
    match (word.as_str(), samples) {
        ("MONOCHROME1", 1) => Ok((Photometric::Grey, true)),
        ("MONOCHROME2", 1) => Ok((Photometric::Grey, false)),
        ("PALETTE COLOR", 1) => Ok((Photometric::Palette, false)),
        ("RGB", 3) => Ok((Photometric::Rgb, false)),
        ("YBR_FULL" | "YBR_ICT" | "YBR_RCT", 3) => Ok((Photometric::Luma { halved: false }, false)),
        ("YBR_FULL_422", 3) => Ok((Photometric::Luma { halved: true }, false)),
        // Anything may stand here, so it is not repeated.
        _ => Err(unsupported("this photometric interpretation", "MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB or YBR")),
    }
}
