//! From the bytes of a frame to its samples.

use dicom_dictionary_std::uids;
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};

use super::shape::Shape;
use super::{malformed, rle, unsupported};
use crate::decode::{DecodeError, check_size, jpeg};

/// Explicit VR big endian, retired from the standard and still found in archives.
pub(super) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// How the pixels of a file are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Native,
    Rle,
    Jpeg,
    JpegLs,
    Jpeg2000,
}

impl Syntax {
    /// That of a transfer syntax; none for those that are not read.
    pub(super) fn of(uid: &str) -> Option<Self> {
        match uid {
            uids::IMPLICIT_VR_LITTLE_ENDIAN
            | uids::EXPLICIT_VR_LITTLE_ENDIAN
            | BIG_ENDIAN
            | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            | uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN => Some(Self::Native),
            uids::RLE_LOSSLESS => Some(Self::Rle),
            uids::JPEG_BASELINE8_BIT | uids::JPEG_EXTENDED12_BIT | uids::JPEG_LOSSLESS | uids::JPEG_LOSSLESS_SV1 => {
                Some(Self::Jpeg)
            }
            uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => Some(Self::JpegLs),
            uids::JPEG2000_LOSSLESS | uids::JPEG2000 => Some(Self::Jpeg2000),
            _ => None,
        }
    }

    /// What every compressed image begins with.
    pub(super) fn start_marker(self) -> Option<&'static [u8]> {
        match self {
            Self::Native | Self::Rle => None,
            Self::Jpeg | Self::JpegLs => Some(&[0xff, 0xd8]),
            Self::Jpeg2000 => Some(&[0xff, 0x4f, 0xff, 0x51]),
        }
    }
}

/// The samples of one frame.
pub(super) enum Samples<'a> {
    /// As they are stored: little-endian, in the order and width that the header says.
    Stored(&'a [u8]),
    /// Samples of each pixel beside each other, of 8 bits that hold the bits stored.
    Bytes(Vec<u8>),
    /// The same in 16 bits.
    Words(Vec<u16>),
    /// Numbers whose sign is settled, component by component.
    Numbers(Vec<Vec<f32>>),
    /// Luma alone, of 8 bits, where the compressed image says that it holds it, whatever the header says.
    Luma(Vec<u8>),
    /// Red, green and blue, where the compressed image says that it holds them, whatever the header says.
    Rgb(Vec<Vec<f32>>),
}

/// Decodes one frame. What the compressed image says of its size must be what the header says.
pub(super) fn decode<'a>(frame: &'a [u8], shape: &Shape, syntax: Syntax) -> Result<Samples<'a>, DecodeError> {
    match syntax {
        Syntax::Native => Ok(Samples::Stored(frame)),
        Syntax::Rle => rle::decode(frame, shape)
            .ok_or_else(|| malformed("the RLE pixels are not of the size that the header says")),
        Syntax::Jpeg => jpeg(frame, shape),
        Syntax::JpegLs => jpeg_ls(frame, shape),
        Syntax::Jpeg2000 => jpeg_2000(frame, shape),
    }
}

/// The decoders' own words are left out: some quote the file.
fn undecodable<E>(what: &'static str) -> impl FnOnce(E) -> DecodeError {
    move |_| malformed(&format!("the {what} pixels cannot be decoded"))
}

fn check_shape(shape: &Shape, columns: u32, rows: u32, samples: usize) -> Result<(), DecodeError> {
    if (columns, rows, samples) == (shape.columns, shape.rows, usize::from(shape.samples)) {
        return Ok(());
    }
    Err(malformed(&format!(
        "the compressed image is {columns} x {rows} x {samples}, the header says {} x {} x {}",
        shape.columns, shape.rows, shape.samples
    )))
}

fn jpeg(frame: &[u8], shape: &Shape) -> Result<Samples<'static>, DecodeError> {
    let mut decoder = Decoder::new(frame);
    decoder.read_info().map_err(undecodable("JPEG"))?;
    let info = decoder.info().ok_or_else(|| malformed("the JPEG pixels have no size"))?;
    check_size(info.width.into(), info.height.into(), 1)?;
    let samples = match info.pixel_format {
        PixelFormat::L8 | PixelFormat::L16 => 1,
        PixelFormat::RGB24 => 3,
        PixelFormat::CMYK32 => 4,
    };
    check_shape(shape, info.width.into(), info.height.into(), samples)?;
    // The decoder fills the rest of a cut image with grey.
    jpeg::check_complete(frame)?;
    decoder.set_color_transform(ColorTransform::RGB);
    let bytes = decoder.decode().map_err(undecodable("JPEG"))?;
    Ok(match info.pixel_format {
        PixelFormat::L16 => {
            Samples::Words(bytes.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect())
        }
        PixelFormat::RGB24 if jpeg::is_luma_first(frame) == Some(true) => {
            Samples::Luma(bytes.chunks_exact(3).map(|pixel| pixel[0]).collect())
        }
        _ => Samples::Bytes(bytes),
    })
}

fn jpeg_ls(frame: &[u8], shape: &Shape) -> Result<Samples<'static>, DecodeError> {
    let (columns, rows, samples) =
        jpeg::frame_size(frame).ok_or_else(|| malformed("the JPEG-LS pixels have no size"))?;
    check_shape(shape, columns, rows, samples)?;
    if samples > 1 {
        return Err(unsupported("JPEG-LS in colour", "one sample a pixel"));
    }
    let (words, _, _) = jpegls::decode(frame, columns, rows).map_err(undecodable("JPEG-LS"))?;
    Ok(Samples::Words(words))
}

fn jpeg_2000(frame: &[u8], shape: &Shape) -> Result<Samples<'static>, DecodeError> {
    // A stream that ends early, or whose length is odd and padded, is decoded as far as it goes unless this is asked for.
    let settings = DecodeSettings { strict: true, ..DecodeSettings::default() };
    let image = Image::new(frame, &settings).map_err(undecodable("JPEG 2000"))?;
    check_size(image.width().into(), image.height().into(), 1)?;
    let mut context = DecoderContext::default();
    let header = CodestreamHeader::find(frame).ok_or_else(|| malformed("the JPEG 2000 pixels have no size"))?;
    check_shape(shape, image.width(), image.height(), header.components)?;
    let decoded = image.decode(&mut context).map_err(undecodable("JPEG 2000"))?;
    let components = decoded.components();
    if components.len() < usize::from(shape.samples)
        || components.iter().any(|part| part.samples().len() != shape.pixels())
    {
        return Err(malformed("the JPEG 2000 pixels are not of the size that they say"));
    }
    // The decoder raises every sample by half the range, which signed ones must not be.
    let raised = if header.signed { (1u32 << (header.bits - 1)) as f32 } else { 0.0 };
    // Unsigned bits under a header that says signed are the same bits, to be read as the header says.
    if shape.signed && !header.signed && shape.samples == 1 {
        let samples = components[0].samples();
        return Ok(Samples::Words(samples.iter().map(|&value| value.round().clamp(0.0, 65535.0) as u16).collect()));
    }
    // A lossy image may overshoot.
    let (low, high) = (-raised, (1u32 << header.bits) as f32 - 1.0 - raised);
    let settle = |value: &f32| (value - raised).round().clamp(low, high);
    let numbers = components.iter().take(usize::from(shape.samples));
    let parts = numbers.map(|part| part.samples().iter().map(settle).collect()).collect();
    // The decoder undoes the transformation of colours that the image says was done.
    Ok(if header.transformed { Samples::Rgb(parts) } else { Samples::Numbers(parts) })
}

/// What the decoder does not tell of a JPEG 2000 image: ISO/IEC 15444-1, A.5.1.
struct CodestreamHeader {
    components: usize,
    bits: u8,
    signed: bool,
    /// The first three components were made from red, green and blue.
    transformed: bool,
}

impl CodestreamHeader {
    /// Reads the size marker behind the start of the codestream, which may lie in boxes.
    fn find(bytes: &[u8]) -> Option<Self> {
        let start = bytes.windows(4).position(|window| window == [0xff, 0x4f, 0xff, 0x51])?;
        let size = bytes.get(start + 4..)?;
        let components = u16::from_be_bytes(size.get(36..38)?.try_into().ok()?);
        let depth = *size.get(38)?;
        let bits = (depth & 0x7f) + 1;
        // Markers with lengths follow; the one of the coding style tells of the transformation (A.6.1).
        let mut rest = size;
        let transformed = loop {
            let length = usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?));
            let marker = rest.get(length..length + 2)?;
            rest = rest.get(length + 2..)?;
            match marker {
                [0xff, 0x52] => break *rest.get(6)? == 1,
                // The first tile begins.
                [0xff, 0x90] => break false,
                _ => {}
            }
        };
        let signed = depth & 0x80 != 0;
        (1..=16).contains(&bits).then_some(Self { components: components.into(), bits, signed, transformed })
    }
}
