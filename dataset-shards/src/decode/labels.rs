//! Masks: class indices on the grid of an image.

use std::path::Path;

use image::ImageFormat;

use super::sniff::Format;
use super::{DecodeError, Decoded, Grid, Opened, VOXEL_BYTES, guarded, nifti, raster};
use crate::memory::Claim;
use crate::place::Place;

/// More distinct values than this are grey levels, not classes.
const CLASSES_MAX: usize = 64;
/// How far the corners of an image and its mask may lie apart, in millimetres.
const GRID_TOLERANCE_MM: f64 = 0.5;

/// Class indices, plane by plane as the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelVolume {
    /// 0 is background.
    pub classes: Vec<u8>,
}

/// Why a mask cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// It cannot be decoded.
    #[error("the mask cannot be used: {0}")]
    Decode(DecodeError),
    /// It has another shape than its image.
    #[error("the mask is {mask}, the image {image}: expected the same shape")]
    Shape {
        /// Of the mask.
        mask: String,
        /// Of the image.
        image: String,
    },
    /// It lies elsewhere than its image.
    #[error("the mask lies {distance_mm} mm from its image, expected at most {GRID_TOLERANCE_MM} mm")]
    Grid {
        /// The largest distance of two corresponding corners, rounded.
        distance_mm: u32,
    },
    /// Its values are not classes.
    #[error("the mask holds {found}, expected whole numbers from 0 to 255, at most {CLASSES_MAX} different ones")]
    Values {
        /// The offending values in words.
        found: String,
    },
}

impl LabelError {
    /// The reason for programs; never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Decode(DecodeError::Missing) => "mask_missing",
            Self::Decode(_) => "mask_unreadable",
            Self::Shape { .. } => "mask_shape_mismatch",
            Self::Grid { .. } => "mask_grid_mismatch",
            Self::Values { .. } => "mask_not_labels",
        }
    }
}

/// Decodes the mask of a decoded image. A mask of 0 and 255 becomes 0 and 1; other whole numbers are kept. A JPEG cannot hold
/// exact numbers: it is cut at half its range into 0 and 1. A palette's indices are the classes, its colours are ignored.
///
/// # Errors
/// [`LabelError`].
pub fn decode_labels(path: &Path, image: &Decoded) -> Result<LabelVolume, LabelError> {
    decode_labels_of(&Place::Disk(path.to_owned()), image, &mut Claim::alone())
}

/// As [`decode_labels`], wherever the mask lies, in memory of a claim.
pub(crate) fn decode_labels_of(place: &Place, image: &Decoded, claim: &mut Claim) -> Result<LabelVolume, LabelError> {
    let before = claim.used();
    let mut file = Opened::new(place).map_err(LabelError::Decode)?;
    let values = match file.format {
        Format::Nifti => {
            let mut stream = file.stream();
            let opened = guarded("NIfTI", || nifti::open(&mut stream)).map_err(LabelError::Decode)?;
            check_grid(image, opened.grid)?;
            // Beside an image that says nothing of its place, the mask's own place means nothing.
            let cut = image.grid.map_or_else(|| opened.as_stored(), |grid| grid.cut);
            guarded("NIfTI", || opened.read(cut, claim))
        }
        format => file.read(claim).and_then(|bytes| match format {
            Format::Png => guarded("PNG", || indexed_png(&bytes, claim)),
            Format::Jpeg => guarded("JPEG", || thresholded_jpeg(&bytes, claim)),
            _ => Err(DecodeError::Unsupported {
                what: format!("a mask in {}", format.name()),
                expected: "PNG, JPEG or NIfTI",
            }),
        }),
    };
    let (width, height, values) = values.map_err(LabelError::Decode)?;
    let volume = &image.volume;
    if (width, height, values.len()) != (volume.width, volume.height, volume.voxels.len()) {
        let shape = |width, height, voxels: usize| {
            let plane = (width as usize * height as usize).max(1);
            format!("{width} x {height} x {}", voxels / plane)
        };
        let (mask, image) =
            (shape(width, height, values.len()), shape(volume.width, volume.height, volume.voxels.len()));
        return Err(LabelError::Shape { mask, image });
    }
    claim.add(values.len() as u64).map_err(LabelError::Decode)?;
    let classes = classes(&values)?;
    claim.keep(before, classes.len() as u64);
    Ok(LabelVolume { classes })
}

/// Whole numbers from values, with 255 alone beside 0 taken for 1.
fn classes(values: &[f32]) -> Result<Vec<u8>, LabelError> {
    let refused = |found: String| LabelError::Values { found };
    let mut present = [false; 256];
    for &value in values {
        // A conversion that changes nothing: a whole number in range.
        let class = value as u8;
        if f32::from(class) != value {
            return Err(refused(format!("the value `{value}`")));
        }
        present[usize::from(class)] = true;
    }
    let different = present.iter().filter(|&&present| present).count();
    if different > CLASSES_MAX {
        return Err(refused(format!("{different} different values")));
    }
    let binary = present[255] && present[1..255].iter().all(|&present| !present);
    Ok(values.iter().map(|&value| if binary { u8::from(value > 0.0) } else { value as u8 }).collect())
}

/// A mask must lie where its image lies, as far as both files say.
fn check_grid(image: &Decoded, mask: Grid) -> Result<(), LabelError> {
    let Some(grid) = image.grid else { return Ok(()) };
    if grid.shape != mask.shape {
        let shape = |[x, y, z]: [u32; 3]| format!("{x} x {y} x {z}");
        return Err(LabelError::Shape { mask: shape(mask.shape), image: shape(grid.shape) });
    }
    let (Some(one), Some(other)) = (grid.affine, mask.affine) else { return Ok(()) };
    let last = grid.shape.map(|side| f64::from(side - 1));
    let corners = (0..8u8).map(|corner| [0, 1, 2].map(|axis| if corner >> axis & 1 == 1 { last[axis] } else { 0.0 }));
    let place = |affine: &[[f64; 4]; 3], [x, y, z]: [f64; 3]| affine.map(|[a, b, c, d]| a * x + b * y + c * z + d);
    let distance = corners
        .map(|corner| {
            let (one, other) = (place(&one, corner), place(&other, corner));
            (0..3).map(|axis| (one[axis] - other[axis]).powi(2)).sum::<f64>().sqrt()
        })
        .fold(0.0, f64::max);
    if distance > GRID_TOLERANCE_MM { Err(LabelError::Grid { distance_mm: distance.ceil() as u32 }) } else { Ok(()) }
}

/// The raw numbers of a PNG, unscaled: bits of less than a byte are counted from 0, a palette's indices stay indices.
fn indexed_png(bytes: &[u8], claim: &mut Claim) -> Result<(u32, u32, Vec<f32>), DecodeError> {
    let malformed = |_| DecodeError::Malformed { format: "PNG", fault: "the decoder cannot read it".to_owned() };
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(malformed)?;
    let (width, height) = reader.info().size();
    super::check_size(width.into(), height.into(), 1)?;
    let (colour, depth) = reader.output_color_type();
    let pixels = u64::from(width) * u64::from(height);
    claim.add(reader.output_buffer_size().unwrap_or_default() as u64 + VOXEL_BYTES * pixels)?;
    let mut data = vec![0; reader.output_buffer_size().unwrap_or_default()];
    let line = reader.next_frame(&mut data).map_err(malformed)?.line_size;
    let samples = colour.samples();
    let values: Vec<f32> = match depth {
        png::BitDepth::Sixteen => {
            data.chunks_exact(2 * samples).map(|pixel| f32::from(u16::from_be_bytes([pixel[0], pixel[1]]))).collect()
        }
        png::BitDepth::Eight => {
            let coloured = |pixel: &[u8]| matches!(pixel, [r, g, b, ..] if r != g || g != b);
            if data.chunks_exact(samples).any(coloured) {
                let expected = "one channel, or three equal ones";
                return Err(DecodeError::Unsupported { what: "a mask in colours".to_owned(), expected });
            }
            data.chunks_exact(samples).map(|pixel| f32::from(pixel[0])).collect()
        }
        packed => unpack(&data, width as usize, line, packed as usize),
    };
    Ok((width, height, values))
}

/// Values of 1, 2 or 4 bits, the first in the highest bits; a line begins on a byte.
fn unpack(data: &[u8], width: usize, line: usize, bits: usize) -> Vec<f32> {
    let mask = (1u8 << bits) - 1;
    let value = |row: &[u8], column: usize| {
        let bit = column * bits;
        row[bit / 8] >> (8 - bits - bit % 8) & mask
    };
    data.chunks_exact(line.max(1)).flat_map(|row| (0..width).map(move |column| f32::from(value(row, column)))).collect()
}

fn thresholded_jpeg(bytes: &[u8], claim: &mut Claim) -> Result<(u32, u32, Vec<f32>), DecodeError> {
    let volume = raster::decode(bytes, ImageFormat::Jpeg, claim)?.volume;
    let values = volume.voxels.into_iter().map(|level| if level >= 128.0 { 1.0 } else { 0.0 });
    Ok((volume.width, volume.height, values.collect()))
}
