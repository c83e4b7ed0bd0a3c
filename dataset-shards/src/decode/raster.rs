//! PNG and JPEG.

use std::io::Cursor;

use image::{DynamicImage, ImageError, ImageFormat, ImageReader};

use super::{DecodeError, Decoded, Scale, Volume, check_size, jpeg};

/// Colours become luma; transparency is ignored, since what lies under it was stored to be seen by programs.
pub(super) fn decode(bytes: &[u8], format: ImageFormat) -> Result<Decoded, DecodeError> {
    let (width, height) = ImageReader::with_format(Cursor::new(bytes), format)
        .into_dimensions()
        .map_err(|error| refuse(&error, format))?;
    check_size(width.into(), height.into(), 1)?;
    if format == ImageFormat::Jpeg {
        // The decoder fills the rest of a cut file with grey.
        jpeg::check_complete(bytes)?;
    }
    let decoded =
        ImageReader::with_format(Cursor::new(bytes), format).decode().map_err(|error| refuse(&error, format))?;
    let (voxels, scale) = levels(&decoded);
    let volume = Volume { width, height, voxels, spacing_mm: None };
    Ok(Decoded { volume, modality: None, patient: None, scale, inverted: false, grid: None })
}

fn levels(image: &DynamicImage) -> (Vec<f32>, Scale) {
    use DynamicImage::{ImageLuma16, ImageLumaA16, ImageRgb16, ImageRgba16};
    match image {
        ImageLuma16(_) | ImageLumaA16(_) | ImageRgb16(_) | ImageRgba16(_) => {
            (image.to_luma16().into_raw().into_iter().map(f32::from).collect(), Scale::Measured)
        }
        _ => (image.to_luma8().into_raw().into_iter().map(f32::from).collect(), Scale::Display),
    }
}

/// The decoder's own words are left out: some quote text of the file.
fn refuse(error: &ImageError, format: ImageFormat) -> DecodeError {
    let format = if format == ImageFormat::Png { "PNG" } else { "JPEG" };
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
