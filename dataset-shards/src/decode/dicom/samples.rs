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
    first: i32,
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
        if let (Photometric::Luma { halved: true }, 8) = (shape.photometric, shape.bits_allocated) {
            // Two lumas, then the two differences of colour that they share.
            let lumas = bytes.as_chunks::<4>().0.iter().flat_map(|&[one, other, ..]| [one, other]);
            values.extend(lumas.take(shape.pixels()).map(f32::from));
            return Ok(());
        }
        match shape.bits_allocated {
            8 => self.append_ordered(bytes.as_chunks().0, |[byte]| byte.into(), shape, values),
            _ => self.append_ordered(bytes.as_chunks().0, |pair| u16::from_le_bytes(pair).into(), shape, values),
        }
    }

    /// From samples beside each other or plane by plane, as the header says.
    fn append_ordered<const BYTES: usize>(
        &self,
        samples: &[[u8; BYTES]],
        read: impl Fn([u8; BYTES]) -> u32 + Copy,
        shape: &Shape,
        values: &mut Vec<f32>,
    ) -> Result<(), DecodeError> {
        if !shape.planar {
            return self.append_pixels(samples.iter().map(|&sample| read(sample)), shape, values);
        }
        let planes: Vec<&[[u8; BYTES]]> = samples.chunks_exact(shape.pixels().max(1)).collect();
        let [red, green, blue] = planes[..] else { return Err(malformed("not three planes of colour")) };
        let pixels = red.iter().zip(green).zip(blue).flat_map(|((&red, &green), &blue)| [red, green, blue]);
        self.append_pixels(pixels.map(read), shape, values)
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
            // Apart, so that each is a loop without a branch.
            Self::Single if shape.signed => {
                values.extend(samples.take(shape.pixels()).map(|sample| value.signed(sample) as f32));
            }
            Self::Single => values.extend(samples.take(shape.pixels()).map(|sample| value.unsigned(sample) as f32)),
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
            (Self::Palette(palette), [only]) => values.extend(only.iter().map(|&value| palette.luma_of(value as i32))),
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

    fn of(self, sample: u32) -> i32 {
        if self.signed { self.signed(sample) } else { self.unsigned(sample) }
    }

    fn signed(self, sample: u32) -> i32 {
        (sample << self.above).cast_signed() >> self.below
    }

    /// Of at most 16 bits: it fits.
    fn unsigned(self, sample: u32) -> i32 {
        (sample << self.above >> self.below).cast_signed()
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
        let first = if shape.signed { i32::from(first.cast_signed()) } else { i32::from(first) };
        Ok(Self { first, luma, deep })
    }

    /// Values below the first entry have its colour, those above the last have that of the last.
    fn luma_of(&self, value: i32) -> f32 {
        let at = (value - self.first).clamp(0, self.luma.len() as i32 - 1);
        self.luma.get(at as usize).copied().unwrap_or_default()
    }
}

/// The samples of a frame as numbers, those of a pixel beside each other; none where only luma was decoded.
#[cfg(test)]
pub(super) fn stored(samples: &Samples<'_>, shape: &Shape) -> Vec<i32> {
    let value = Value::new(shape);
    let stored = match samples {
        Samples::Luma(_) => return Vec::new(),
        Samples::Numbers(parts) | Samples::Rgb(parts) => {
            return (0..shape.pixels()).flat_map(|at| parts.iter().map(move |part| part[at] as i32)).collect();
        }
        Samples::Bytes(bytes) => return bytes.iter().map(|&byte| value.of(byte.into())).collect(),
        Samples::Words(words) => return words.iter().map(|&word| value.of(word.into())).collect(),
        Samples::Stored(bytes) => bytes,
    };
    let words: Vec<u32> = match shape.bits_allocated {
        8 => stored.iter().copied().map(u32::from).collect(),
        _ => stored.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair).into()).collect(),
    };
    let (pixels, count) = (shape.pixels(), usize::from(shape.samples));
    let place =
        |pixel: usize, sample: usize| if shape.planar { sample * pixels + pixel } else { pixel * count + sample };
    let places = (0..pixels).flat_map(|pixel| (0..count).map(move |sample| (pixel, sample)));
    places.map(|(pixel, sample)| value.of(words[place(pixel, sample)])).collect()
}
