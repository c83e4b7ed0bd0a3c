//! NIfTI-1 volumes, plain or gzipped, of either byte order, cut into planes.

use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use nifti::{InMemNiftiVolume, IntoNdArray, NiftiHeader, NiftiType};

use super::{DecodeError, Decoded, Grid, Scale, Volume, check_size};

const HEADER_BYTES: usize = 348;
const NIFTI_2_HEADER_BYTES: i32 = 540;
/// Extensions between header and data, at most: they may hold anything, and no scanner writes much.
const EXTENSION_BYTES_MAX: f32 = (64 << 20) as f32;
/// Spacings that differ by less are taken for equal.
const SPACING_TOLERANCE: f32 = 1.01;

/// A volume as it lies in the file: the first axis runs fastest.
pub(super) struct RawVolume {
    pub(super) grid: Grid,
    voxels: Vec<f32>,
    spacing: [f32; 3],
}

/// Planes are cut across the axis of the largest spacing, or the third axis when there is no such. Of a series of volumes the
/// first is taken.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let raw = read(bytes)?;
    let spacing_mm = raw.plane_spacing();
    let grid = raw.grid;
    let (width, height, voxels) = raw.cut(grid.through);
    let volume = Volume { width, height, voxels, spacing_mm };
    Ok(Decoded { volume, modality: None, patient: None, scale: Scale::Measured, inverted: false, grid: Some(grid) })
}

/// Reads the first volume of a file.
pub(super) fn read(bytes: &[u8]) -> Result<RawVolume, DecodeError> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        read_stream(MultiGzDecoder::new(Cursor::new(bytes)))
    } else {
        read_stream(Cursor::new(bytes))
    }
}

fn read_stream(mut stream: impl Read) -> Result<RawVolume, DecodeError> {
    let mut start = [0; HEADER_BYTES];
    stream.read_exact(&mut start).map_err(|_| truncated("the file ends inside the header"))?;
    let size = [start[0], start[1], start[2], start[3]];
    if [i32::from_le_bytes(size), i32::from_be_bytes(size)].contains(&NIFTI_2_HEADER_BYTES) {
        return Err(DecodeError::Unsupported { what: "NIfTI-2".to_owned(), expected: "NIfTI-1" });
    }
    let mut header =
        NiftiHeader::from_reader(Cursor::new(start)).map_err(|_| malformed("the header is not NIfTI-1"))?;
    if &header.magic != b"n+1\0" {
        return Err(DecodeError::Unsupported {
            what: "a pair of header and image files".to_owned(),
            expected: "one file",
        });
    }
    let shape = first_volume(&mut header)?;
    check_data_type(&header)?;
    if !header.scl_slope.is_finite() || !header.scl_inter.is_finite() || header.scl_slope == 0.0 {
        // Both mean that values are stored as they are; the reader would make every voxel NaN.
        (header.scl_slope, header.scl_inter) = (0.0, 0.0);
    }
    skip_extensions(&mut stream, header.vox_offset)?;
    let volume =
        InMemNiftiVolume::from_reader(stream, &header).map_err(|_| truncated("the file ends inside the data"))?;
    let array = volume.into_ndarray::<f32>().map_err(|_| malformed("the data cannot be converted"))?;
    let (voxels, _) = array.into_raw_vec_and_offset();
    if voxels.len() as u64 != shape.iter().map(|&side| u64::from(side)).product::<u64>() {
        return Err(malformed("the data are not of the size that the header says"));
    }
    let spacing = [header.pixdim[1], header.pixdim[2], header.pixdim[3]].map(f32::abs);
    let rows = [header.srow_x, header.srow_y, header.srow_z];
    let affine = (header.sform_code > 0 && rows.iter().flatten().all(|value| value.is_finite())).then_some(rows);
    Ok(RawVolume { grid: Grid { shape, through: through_axis(shape, spacing), affine }, voxels, spacing })
}

/// The shape of the first volume; the header is changed to claim no more than that.
fn first_volume(header: &mut NiftiHeader) -> Result<[u32; 3], DecodeError> {
    let axes = header.dim[0];
    if !(1..=7).contains(&axes) {
        return Err(malformed("the number of dimensions is not in 1 to 7"));
    }
    let side = |axis: u16| if axis <= axes { header.dim[usize::from(axis)] } else { 1 };
    let shape = [side(1), side(2), side(3)];
    if shape.iter().any(|&side| i16::try_from(side).is_err()) {
        return Err(malformed("a dimension is negative"));
    }
    let [x, y, z] = shape.map(u64::from);
    check_size(x, y, z)?;
    header.dim = [3, shape[0], shape[1], shape[2], 1, 1, 1, 1];
    Ok(shape.map(u32::from))
}

/// Values that are one real number each; the reader panics on others.
fn check_data_type(header: &NiftiHeader) -> Result<(), DecodeError> {
    use NiftiType::{Float32, Float64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64};
    match header.data_type() {
        Ok(Int8 | Uint8 | Int16 | Uint16 | Int32 | Uint32 | Int64 | Uint64 | Float32 | Float64) => Ok(()),
        Ok(other) => Err(DecodeError::Unsupported {
            what: format!("NIfTI data type {other:?}"),
            expected: "one real number a voxel, of 8 to 64 bits",
        }),
        Err(_) => Err(malformed("the data type is unknown")),
    }
}

fn skip_extensions(stream: &mut impl Read, vox_offset: f32) -> Result<(), DecodeError> {
    let header = HEADER_BYTES as f32;
    if !(header..=header + EXTENSION_BYTES_MAX).contains(&vox_offset) {
        return Err(malformed("the data do not begin behind the header"));
    }
    let between = vox_offset as u64 - HEADER_BYTES as u64;
    let skipped = std::io::copy(&mut stream.take(between), &mut std::io::sink());
    if skipped.is_ok_and(|skipped| skipped == between) {
        Ok(())
    } else {
        Err(truncated("the file ends before the data"))
    }
}

/// The axis that planes are cut across: one of a single voxel, else that of a clearly largest spacing, else the third.
fn through_axis(shape: [u32; 3], spacing: [f32; 3]) -> usize {
    if let Some(flat) = [2, 1, 0].into_iter().find(|&axis| shape[axis] == 1) {
        return flat;
    }
    let clearly_largest = |axis: usize| {
        (0..3).filter(|&other| other != axis).all(|other| spacing[axis] > spacing[other] * SPACING_TOLERANCE)
    };
    (0..3).find(|&axis| clearly_largest(axis)).unwrap_or(2)
}

impl RawVolume {
    /// Width, height and voxels of the planes across an axis. The lower of the two other axes runs along a row.
    pub(super) fn cut(self, through: usize) -> (u32, u32, Vec<f32>) {
        let shape = self.grid.shape.map(|side| side as usize);
        let (across, down) = in_plane(through);
        let strides = [1, shape[0], shape[0] * shape[1]];
        let size = (shape[across] as u32, shape[down] as u32);
        if through == 2 {
            return (size.0, size.1, self.voxels);
        }
        let mut cut = Vec::with_capacity(self.voxels.len());
        for plane in 0..shape[through] {
            for row in 0..shape[down] {
                let start = plane * strides[through] + row * strides[down];
                cut.extend((0..shape[across]).map(|column| self.voxels[start + column * strides[across]]));
            }
        }
        (size.0, size.1, cut)
    }

    fn plane_spacing(&self) -> Option<[f32; 2]> {
        let (across, down) = in_plane(self.grid.through);
        let spacing = [self.spacing[down], self.spacing[across]];
        spacing.iter().all(|distance| distance.is_finite() && *distance > 0.0).then_some(spacing)
    }
}

/// The axes along the rows and along the columns of a plane.
fn in_plane(through: usize) -> (usize, usize) {
    match through {
        0 => (1, 2),
        1 => (0, 2),
        _ => (0, 1),
    }
}

fn malformed(fault: &str) -> DecodeError {
    DecodeError::Malformed { format: "NIfTI", fault: fault.to_owned() }
}

fn truncated(fault: &str) -> DecodeError {
    DecodeError::Truncated { format: "NIfTI", fault: fault.to_owned() }
}
