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
    let (voxels, scale) = levels(decoded);
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

fn levels(image: DynamicImage) -> (Vec<f32>, Scale) {
    use DynamicImage::{ImageLuma16, ImageLumaA16, ImageRgb16, ImageRgb32F, ImageRgba16, ImageRgba32F};
    match image {
        // Measurements of any range, which a conversion to whole levels would cut.
        ImageRgb32F(_) | ImageRgba32F(_) => {
            let pixels = image.into_rgb32f();
            (pixels.pixels().map(|pixel| luma(pixel.0)).collect(), Scale::Measured)
        }
        ImageLuma16(_) | ImageLumaA16(_) | ImageRgb16(_) | ImageRgba16(_) => {
            (image.into_luma16().into_raw().into_iter().map(f32::from).collect(), Scale::Measured)
        }
        _ => (image.into_luma8().into_raw().into_iter().map(f32::from).collect(), Scale::Display),
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
