//! PNG, JPEG, TIFF and BMP.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::{DecodeError, Decoded, Scale, VOXEL_BYTES, Volume, check_size, jpeg, luma};
use crate::memory::Claim;

/// Colours become luma; transparency is ignored, since what lies under it was stored to be seen by programs. The image is turned
/// as its EXIF orientation says. Of several pages the first is taken.
pub(super) fn decode(bytes: &[u8], format: ImageFormat, claim: &mut Claim) -> Result<Decoded, DecodeError> {
    if format == ImageFormat::Jpeg {
        // The decoder fills the rest of a cut file with grey.
        jpeg::check_complete(bytes)?;
    }
    let refuse = |error| refuse(&error, format);
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(refuse)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into(), 1)?;
    // Its channels twice, for decoders hold parts of them and turning makes a copy, and its grey levels in two widths.
    let pixels = u64::from(width) * u64::from(height);
    claim.add(decoder.total_bytes().saturating_mul(2).saturating_add((VOXEL_BYTES + 2) * pixels))?;
    let orientation = decoder.orientation().map_err(refuse)?;
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(refuse)?;
    decoded.apply_orientation(orientation);
    let (width, height) = (decoded.width(), decoded.height());
    let (voxels, scale) = levels(&decoded);
    let volume = Volume { width, height, voxels, spacing_mm: None };
    Ok(Decoded {
        volume,
        modality: None,
        patient: None,
        study: None,
        scale,
        inverted: false,
        voi: Vec::new(),
        notes: Vec::new(),
        grid: None,
    })
}

fn levels(image: &DynamicImage) -> (Vec<f32>, Scale) {
    let channels = image.color().channel_count();
    if let Some(levels) = image.as_flat_samples_u8() {
        return (greys(levels.samples, channels), Scale::Display);
    }
    // Measurements of any range, which a conversion to whole levels would cut.
    let deep = image.as_flat_samples_u16().map(|words| greys(words.samples, channels));
    let deep = deep.or_else(|| image.as_flat_samples_f32().map(|floats| greys(floats.samples, channels)));
    (deep.unwrap_or_default(), Scale::Measured)
}

/// Grey values of pixels of so many samples: grey, grey and transparency, colour, or colour and transparency.
fn greys<S: Copy + Into<f32>>(samples: &[S], channels: u8) -> Vec<f32> {
    let colour = |pixel: &[S]| luma([pixel[0].into(), pixel[1].into(), pixel[2].into()]);
    match channels {
        1 => samples.iter().map(|&sample| sample.into()).collect(),
        2 => samples.as_chunks::<2>().0.iter().map(|&[grey, _]| grey.into()).collect(),
        3 => samples.as_chunks::<3>().0.iter().map(|pixel| colour(pixel)).collect(),
        _ => samples.as_chunks::<4>().0.iter().map(|pixel| colour(pixel)).collect(),
    }
}

/// The decoder's own words are left out: some quote text of the file.
fn refuse(error: &ImageError, format: ImageFormat) -> DecodeError {
    let format = match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Tiff => "TIFF",
        _ => "BMP",
    };
    match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated { format, fault: "the file ends inside the image".to_owned() }
        }
        ImageError::Unsupported(_) => {
            DecodeError::Unsupported { what: format!("this kind of {format}"), expected: "8 or 16 bits, grey or RGB" }
        }
        ImageError::Limits(_) => DecodeError::Malformed {
            format,
            fault: "decoding it would take more memory than its size justifies".to_owned(),
        },
        _ => DecodeError::Malformed { format, fault: "the decoder cannot read it".to_owned() },
    }
}
