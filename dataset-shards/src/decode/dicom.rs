//! DICOM files, one or many frames each.

mod header;
mod lengths;

use std::io::Cursor;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, OpenFileOptions};
use dicom_pixeldata::{ConvertOptions, DecodedPixelData, PhotometricInterpretation, PixelDecoder, VoiLutOption};
use vismae_core::spec::Modality;

use super::{DecodeError, Decoded, Scale, Volume};
use header::Shape;

/// Values are after the modality transformation of each frame, and before any window and any inversion.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    lengths::check(bytes)?;
    let object =
        OpenFileOptions::new().from_reader(Cursor::new(bytes)).map_err(|_| malformed("the data set cannot be read"))?;
    if object.get(tags::PIXEL_DATA).is_none() {
        return Err(without_pixels(&object));
    }
    let shape = Shape::read(&object)?;
    shape.check_length(&object)?;
    let pixels = object.decode_pixel_data().map_err(|error| refuse_pixels(&error))?;
    check_decoded(&pixels, &shape)?;
    let options = ConvertOptions::new().with_voi_lut(VoiLutOption::Identity);
    let mut voxels = Vec::with_capacity(shape.frames as usize * shape.rows as usize * shape.columns as usize);
    // A compressed image may have been stored in one colour space and decoded into another.
    let luma_first = !matches!(pixels.photometric_interpretation(), PhotometricInterpretation::Rgb);
    for frame in 0..shape.frames {
        let values: Vec<f32> =
            pixels.to_vec_frame_with_options(frame, &options).map_err(|error| refuse_pixels(&error))?;
        match shape.samples {
            1 => voxels.extend(values),
            _ => voxels.extend(values.chunks_exact(3).map(|pixel| if luma_first { pixel[0] } else { luma(pixel) })),
        }
    }
    let display = shape.bits_allocated == 8
        && pixels.rescale().is_ok_and(|all| all.iter().all(|r| r.slope == 1.0 && r.intercept == 0.0));
    Ok(Decoded {
        volume: Volume { width: shape.columns, height: shape.rows, voxels, spacing_mm: spacing(&object) },
        modality: text(&object, tags::MODALITY).as_deref().and_then(Modality::from_code),
        patient: text(&object, tags::PATIENT_ID),
        scale: if display { Scale::Display } else { Scale::Measured },
        inverted: shape.inverted,
        grid: None,
    })
}

fn luma(pixel: &[f32]) -> f32 {
    // ITU-R BT.601, which the colour spaces of DICOM are defined by.
    0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]
}

/// A file without pixels is no image, unless it describes some.
fn without_pixels(object: &DefaultDicomObject) -> DecodeError {
    let has = |tag| object.get(tag).is_some();
    if has(tags::FLOAT_PIXEL_DATA) || has(tags::DOUBLE_FLOAT_PIXEL_DATA) {
        return unsupported("floating-point pixel data", "integer pixel data");
    }
    if has(tags::ROWS) && has(tags::COLUMNS) {
        return malformed("the header describes pixels, and there are none");
    }
    DecodeError::NotAnImage { kind: "a DICOM object without pixels" }
}

/// What was decoded must be what the header announced.
fn check_decoded(pixels: &DecodedPixelData<'_>, shape: &Shape) -> Result<(), DecodeError> {
    let found = (pixels.columns(), pixels.rows(), pixels.number_of_frames(), pixels.samples_per_pixel());
    if found != (shape.columns, shape.rows, shape.frames, shape.samples) {
        let fault = "the pixels are not of the shape that the header says";
        return Err(malformed(fault));
    }
    let rescales = pixels.rescale().map_err(|error| refuse_pixels(&error))?;
    let usable = |slope: f64, intercept: f64| slope.is_finite() && slope != 0.0 && intercept.is_finite();
    if rescales.iter().any(|rescale| !usable(rescale.slope, rescale.intercept)) {
        return Err(malformed("a rescale slope is 0 or no number"));
    }
    Ok(())
}

/// Distance of rows and of columns in the patient or, failing that, on the detector.
fn spacing(object: &DefaultDicomObject) -> Option<[f32; 2]> {
    [tags::PIXEL_SPACING, tags::IMAGER_PIXEL_SPACING].into_iter().find_map(|tag| {
        let values = object.get(tag)?.to_multi_float32().ok()?;
        let spacing: [f32; 2] = values.try_into().ok()?;
        spacing.iter().all(|distance| distance.is_finite() && *distance > 0.0).then_some(spacing)
    })
}

fn text(object: &DefaultDicomObject, tag: Tag) -> Option<String> {
    let text = object.get(tag)?.to_str().ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

fn integer(object: &DefaultDicomObject, tag: Tag) -> Option<i64> {
    object.get(tag)?.to_int().ok()
}

/// Only the outermost words: inner ones may quote values of the file.
fn refuse_pixels(error: &dicom_pixeldata::Error) -> DecodeError {
    malformed(&format!("the pixels cannot be decoded ({error})"))
}

fn malformed(fault: &str) -> DecodeError {
    DecodeError::Malformed { format: "DICOM", fault: fault.to_owned() }
}

fn unsupported(what: &str, expected: &'static str) -> DecodeError {
    DecodeError::Unsupported { what: what.to_owned(), expected }
}
