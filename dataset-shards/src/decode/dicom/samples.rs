//! From stored samples to grey values.

use dicom_dictionary_std::tags;

use super::attributes::Attributes;
use super::codec::Samples;
use super::shape::{Photometric, Shape};
use super::{malformed, unsupported};
use crate::decode::{DecodeError, luma};

/// How the samples of a pixel become one grey value.
pub(super) enum Grey {
    /// The only sample is one.
    Single,
    /// The first of three is the luma.
    First,
    /// Luma of red, green and blue.
    Rgb,
    /// Luma of the colour in a table.
    Palette(Palette),
}

/// The luma of each entry of a colour table.
pub(super) struct Palette {
    /// The sample that the first entry is for.
    first: i64,
    luma: Vec<f32>,
    /// Entries of more than 8 bits.
    deep: bool,
}

impl Grey {
    pub(super) fn read(attributes: Attributes<'_>, shape: &Shape) -> Result<Self, DecodeError> {
        Ok(match shape.photometric {
            Photometric::Grey => Self::Single,
            Photometric::Rgb => Self::Rgb,
            Photometric::Luma { .. } => Self::First,
            Photometric::Palette => Self::Palette(Palette::read(attributes, shape)?),
        })
    }

    /// Whether grey values may need more than 8 bits though samples do not.
    pub(super) fn is_deep(&self) -> bool {
        matches!(self, Self::Palette(palette) if palette.deep)
    }

    /// Adds the grey values of one frame.
    pub(super) fn append(
        &self,
        samples: &Samples<'_>,
        shape: &Shape,
        values: &mut Vec<f32>,
    ) -> Result<(), DecodeError> {
        let before = values.len();
        match samples {
            Samples::Luma(luma) => values.extend(luma.iter().copied().map(f32::from)),
            Samples::Numbers(parts) => self.append_parts(parts, values)?,
            Samples::Rgb(parts) => Self::Rgb.append_parts(parts, values)?,
            Samples::Bytes(bytes) => self.append_pixels(bytes.iter().copied().map(u32::from), shape, values)?,
            Samples::Words(words) => self.append_pixels(words.iter().copied().map(u32::from), shape, values)?,
            Samples::Stored(bytes) => self.append_stored(bytes, shape, values)?,
        }
        let (found, expected) = (values.len() - before, shape.pixels());
        if found == expected {
            Ok(())
        } else {
            Err(malformed(&format!("a frame of {found} pixels, expected {expected}")))
        }
    }

    fn append_stored(&self, bytes: &[u8], shape: &Shape, values: &mut Vec<f32>) -> Result<(), DecodeError> {
        let plane = shape.pixels() * usize::from(shape.bits_allocated / 8);
        if let (Photometric::Luma { halved: true }, 8) = (shape.photometric, shape.bits_allocated) {
            // Two lumas, then the two differences of colour that they share.
            let lumas = bytes.chunks_exact(4).flat_map(|four| [four[0], four[1]]);
            values.extend(lumas.take(shape.pixels()).map(f32::from));
            return Ok(());
        }
        if shape.planar {
            let planes: Vec<&[u8]> = bytes.chunks_exact(plane.max(1)).collect();
            let [red, green, blue] = planes[..] else { return Err(malformed("not three planes of colour")) };
            let pixels = words(red, shape).zip(words(green, shape)).zip(words(blue, shape));
            let interleaved = pixels.flat_map(|((red, green), blue)| [red, green, blue]);
            return self.append_pixels(interleaved, shape, values);
        }
        self.append_pixels(words(bytes, shape), shape, values)
    }

    /// From samples of each pixel beside each other.
    fn append_pixels(
        &self,
        mut samples: impl Iterator<Item = u32>,
        shape: &Shape,
        values: &mut Vec<f32>,
    ) -> Result<(), DecodeError> {
        let value = Value::new(shape);
        match self {
            Self::Single => values.extend(samples.take(shape.pixels()).map(|sample| value.of(sample) as f32)),
            Self::Palette(palette) => {
                values.extend(samples.take(shape.pixels()).map(|sample| palette.luma_of(value.of(sample))));
            }
            Self::First | Self::Rgb => {
                for _ in 0..shape.pixels() {
                    let (Some(one), Some(two), Some(three)) = (samples.next(), samples.next(), samples.next()) else {
                        return Err(malformed("a pixel without three samples"));
                    };
                    let pixel = [one, two, three].map(|sample| value.of(sample) as f32);
                    values.push(if matches!(self, Self::First) { pixel[0] } else { luma(pixel) });
                }
            }
        }
        Ok(())
    }

    fn append_parts(&self, parts: &[Vec<f32>], values: &mut Vec<f32>) -> Result<(), DecodeError> {
        match (self, parts) {
            (Self::Single, [only]) => values.extend(only),
            (Self::Palette(palette), [only]) => values.extend(only.iter().map(|&value| palette.luma_of(value as i64))),
            (Self::First, [first, _, _]) => values.extend(first),
            (Self::Rgb, [red, green, blue]) => {
                let pixels = red.iter().zip(green).zip(blue);
                values.extend(pixels.map(|((&red, &green), &blue)| luma([red, green, blue])));
            }
            _ => return Err(malformed("not as many components as the header says")),
        }
        Ok(())
    }
}

/// Samples in the width that the header says.
fn words<'a>(bytes: &'a [u8], shape: &Shape) -> impl Iterator<Item = u32> + 'a {
    let width = usize::from(shape.bits_allocated / 8);
    bytes.chunks_exact(width).map(|bytes| bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
}

/// The number that the stored bits of a sample stand for.
#[derive(Clone, Copy)]
struct Value {
    /// Bits above and below the stored ones may hold anything.
    above: u32,
    below: u32,
    signed: bool,
}

impl Value {
    fn new(shape: &Shape) -> Self {
        let (stored, high_bit) = (u32::from(shape.bits_stored), u32::from(shape.high_bit));
        Self { above: 31 - high_bit, below: 32 - stored, signed: shape.signed }
    }

    fn of(self, sample: u32) -> i64 {
        let high = sample << self.above;
        if self.signed { i64::from(high.cast_signed() >> self.below) } else { i64::from(high >> self.below) }
    }
}

impl Palette {
    /// Reads the three tables: DICOM PS3.3, C.7.6.3.1.5.
    fn read(attributes: Attributes<'_>, shape: &Shape) -> Result<Self, DecodeError> {
        let broken = || malformed("the colour table cannot be read");
        if attributes.has(tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA) {
            return Err(unsupported("a segmented colour table", "one entry for each value"));
        }
        let descriptor = attributes.words(tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR).ok_or_else(broken)?;
        let &[entries, first, bits] = &descriptor[..] else { return Err(broken()) };
        let entries = if entries == 0 { 1 << 16 } else { usize::from(entries) };
        let table = |tag| attributes.table(tag, entries, bits).ok_or_else(broken);
        let red = table(tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
        let green = table(tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
        let blue = table(tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
        let pixels = red.iter().zip(&green).zip(&blue);
        let luma: Vec<f32> = pixels.map(|((&red, &green), &blue)| luma([red, green, blue])).collect();
        let deep = luma.iter().any(|&level| level > 255.0);
        let first = if shape.signed { i64::from(first.cast_signed()) } else { i64::from(first) };
        Ok(Self { first, luma, deep })
    }

    /// Values below the first entry have its colour, those above the last have that of the last.
    fn luma_of(&self, value: i64) -> f32 {
        let at = (value - self.first).clamp(0, self.luma.len() as i64 - 1);
        self.luma.get(at as usize).copied().unwrap_or_default()
    }
}
