//! From the bytes of a frame to its samples.

use dicom_dictionary_std::uids;
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};

use super::jpeg_2000;
use super::jpeg_ls::{self, Fault};
use super::shape::Shape;
use super::{malformed, rle, truncated, unsupported};
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
    /// Of high throughput.
    Htj2k,
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
            uids::HTJ2K_LOSSLESS | uids::HTJ2K_LOSSLESS_RPCL | uids::HTJ2K => Some(Self::Htj2k),
            _ => None,
        }
    }

    /// What every compressed image begins with.
    pub(super) fn start_marker(self) -> Option<&'static [u8]> {
        match self {
            Self::Native | Self::Rle => None,
            Self::Jpeg | Self::JpegLs => Some(&[0xff, 0xd8]),
            Self::Jpeg2000 | Self::Htj2k => Some(&[0xff, 0x4f, 0xff, 0x51]),
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
        Syntax::Jpeg2000 => jpeg_2000::decode(frame, shape),
        Syntax::Htj2k => jpeg_2000::decode_high_throughput(frame, shape),
    }
}

/// The decoders' own words are left out: some quote the file.
pub(super) fn undecodable<E>(what: &'static str) -> impl FnOnce(E) -> DecodeError {
    move |_| malformed(&format!("the {what} pixels cannot be decoded"))
}

pub(super) fn check_shape(shape: &Shape, columns: u32, rows: u32, samples: usize) -> Result<(), DecodeError> {
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
    let refuse = |fault| match fault {
        Fault::Truncated => truncated("the JPEG-LS pixels end early".to_owned()),
        Fault::Malformed => malformed("the JPEG-LS pixels cannot be decoded"),
        Fault::Unsupported => unsupported("a rare kind of JPEG-LS", "one of those that DICOM uses"),
    };
    let stream = jpeg_ls::Stream::open(frame).map_err(refuse)?;
    check_shape(shape, stream.columns.into(), stream.rows.into(), stream.components())?;
    Ok(Samples::Words(stream.decode().map_err(refuse)?))
}
