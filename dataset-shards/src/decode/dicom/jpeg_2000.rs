//! JPEG 2000, and its variant of high throughput: ISO/IEC 15444-1 and 15444-15.

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

use super::codec::{Samples, check_shape, undecodable};
use super::shape::Shape;
use super::{malformed, unsupported};
use crate::decode::{DecodeError, check_size};

/// Decodes an image of the original variant.
pub(super) fn decode(frame: &[u8], shape: &Shape) -> Result<Samples<'static>, DecodeError> {
    // A stream that ends early, or whose length is odd and padded, is decoded as far as it goes unless this is asked for.
    let settings = DecodeSettings { strict: true, ..DecodeSettings::default() };
    let image = Image::new(frame, &settings).map_err(undecodable("JPEG 2000"))?;
    let header = CodestreamHeader::check(frame, shape, [image.width(), image.height()])?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(undecodable("JPEG 2000"))?;
    let parts: Vec<&[f32]> = decoded.components().iter().map(|part| part.samples()).collect();
    header.settle(&parts, shape)
}

/// Decodes an image of the variant of high throughput. The decoder puts what was quantised at the near end of its interval and
/// not into the middle, where others put it: such images are refused.
pub(super) fn decode_high_throughput(frame: &[u8], shape: &Shape) -> Result<Samples<'static>, DecodeError> {
    let settings = jpeg2000_ht::DecodeSettings { strict: true, ..jpeg2000_ht::DecodeSettings::default() };
    let image = jpeg2000_ht::Image::new(frame, &settings).map_err(undecodable("HTJ2K"))?;
    let header = CodestreamHeader::check(frame, shape, [image.width(), image.height()])?;
    if !header.reversible {
        return Err(unsupported("lossy HTJ2K", "lossless HTJ2K"));
    }
    let decoded = image.decode_native().map_err(undecodable("HTJ2K"))?;
    let samples: Vec<f32> = match decoded.bytes_per_sample {
        1 => decoded.data.iter().copied().map(f32::from).collect(),
        _ => decoded.data.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair).into()).collect(),
    };
    let part = |at| samples.iter().skip(at).step_by(header.components).copied().collect();
    let parts: Vec<Vec<f32>> = (0..header.components).map(part).collect();
    header.settle(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>(), shape)
}

/// What the decoders do not tell of an image: ISO/IEC 15444-1, A.5.1 and A.6.1.
struct CodestreamHeader {
    components: usize,
    bits: u8,
    signed: bool,
    /// The first three components were made from red, green and blue.
    transformed: bool,
    /// The wavelet loses nothing.
    reversible: bool,
}

impl CodestreamHeader {
    /// Reads the header of an image that must be what the data set says.
    fn check(frame: &[u8], shape: &Shape, [width, height]: [u32; 2]) -> Result<Self, DecodeError> {
        check_size(width.into(), height.into(), 1)?;
        let header = Self::find(frame).ok_or_else(|| malformed("the JPEG 2000 pixels have no size"))?;
        check_shape(shape, width, height, header.components)?;
        Ok(header)
    }

    /// Reads the size marker behind the start of the codestream, which may lie in boxes.
    fn find(bytes: &[u8]) -> Option<Self> {
        let start = bytes.windows(4).position(|window| window == [0xff, 0x4f, 0xff, 0x51])?;
        let size = bytes.get(start + 4..)?;
        let components = u16::from_be_bytes(size.get(36..38)?.try_into().ok()?);
        let depth = *size.get(38)?;
        let (bits, signed) = ((depth & 0x7f) + 1, depth & 0x80 != 0);
        // Markers with lengths follow; the one of the coding style tells of the transformations.
        let mut rest = size;
        let (transformed, reversible) = loop {
            let length = usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?));
            let marker = rest.get(length..length + 2)?;
            rest = rest.get(length + 2..)?;
            match marker {
                [0xff, 0x52] => break (*rest.get(6)? == 1, *rest.get(11)? == 1),
                // The first tile begins.
                [0xff, 0x90] => break (false, false),
                _ => {}
            }
        };
        (1..=16).contains(&bits).then_some(Self {
            components: components.into(),
            bits,
            signed,
            transformed,
            reversible,
        })
    }

    /// Samples from what the decoders give, component by component: they raise each by half the range, which signed ones must
    /// not be.
    fn settle(&self, parts: &[&[f32]], shape: &Shape) -> Result<Samples<'static>, DecodeError> {
        let parts = parts.get(..usize::from(shape.samples));
        let parts = parts.filter(|parts| parts.iter().all(|part| part.len() == shape.pixels()));
        let parts = parts.ok_or_else(|| malformed("the JPEG 2000 pixels are not of the size that they say"))?;
        let raised = if self.signed { (1u32 << (self.bits - 1)) as f32 } else { 0.0 };
        // Unsigned bits under a header that says signed are the same bits, to be read as the header says.
        if let ([only], true, false) = (parts, shape.signed, self.signed) {
            return Ok(Samples::Words(only.iter().map(|&value| value.round().clamp(0.0, 65535.0) as u16).collect()));
        }
        // A lossy image may overshoot.
        let (low, high) = (-raised, (1u32 << self.bits) as f32 - 1.0 - raised);
        let settle = |value: &f32| (value - raised).round().clamp(low, high);
        let parts = parts.iter().map(|part| part.iter().map(settle).collect()).collect();
        // The decoders undo the transformation of colours that the image says was done.
        Ok(if self.transformed { Samples::Rgb(parts) } else { Samples::Numbers(parts) })
    }
}
