//! NIfTI volumes of both versions, plain or gzipped, of either byte order, cut into planes.

mod axes;
mod data_type;
mod header;
mod voxels;

use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::{DecodeError, Decoded, Note, Scale, Volume};
pub(super) use axes::Cut;
#[cfg(test)]
pub(super) use axes::directions;
use header::Header;

/// Extensions between header and data, at most: they may hold anything, and no scanner writes much.
const EXTENSION_BYTES_MAX: u64 = 64 << 20;

/// How the axes of a file were cut into planes, for a label volume to be cut alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Grid {
    /// Voxels along each axis of the file.
    pub(crate) shape: [u32; 3],
    pub(super) cut: Cut,
    /// From voxel indices to millimetres to the right, to the front and up, row by row, when the file says it.
    pub(crate) affine: Option<[[f64; 4]; 3]>,
}

/// A volume as it lies in the file: the first axis runs fastest.
pub(super) struct RawVolume {
    pub(super) grid: Grid,
    pub(super) voxels: Vec<f32>,
    spacing: [f64; 3],
}

/// Planes are cut across the axis of the largest spacing, or the third axis when there is no such, and turned as a radiologist
/// looks at them when the file says where it lies. Of a series of volumes the first is taken.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let raw = read(bytes)?;
    let (grid, spacing_mm) = (raw.grid, raw.plane_spacing());
    let (width, height, voxels) = raw.cut(grid.cut);
    if !voxels.iter().any(|value| value.is_finite()) {
        return Err(malformed("not one voxel is a finite number"));
    }
    Ok(Decoded {
        volume: Volume { width, height, voxels, spacing_mm },
        modality: None,
        patient: None,
        study: None,
        scale: Scale::Measured,
        inverted: false,
        voi: Vec::new(),
        notes: if grid.affine.is_none() { vec![Note::OrientationUnknown] } else { Vec::new() },
        grid: Some(grid),
    })
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
    let header = Header::read(&mut stream)?;
    let between = header.data_start.checked_sub(header.bytes).filter(|&bytes| bytes <= EXTENSION_BYTES_MAX);
    let between = between.ok_or_else(|| malformed("the data do not begin behind the header"))?;
    let skipped = std::io::copy(&mut stream.by_ref().take(between), &mut std::io::sink());
    if !skipped.is_ok_and(|skipped| skipped == between) {
        return Err(truncated("the file ends before the data"));
    }
    let voxels = voxels::read(&mut stream, &header)?;
    let cut = Cut::new(header.shape, header.spacing, header.affine.as_ref());
    let grid = Grid { shape: header.shape, cut, affine: header.affine };
    Ok(RawVolume { grid, voxels, spacing: header.spacing })
}

impl RawVolume {
    /// Width, height and voxels of the planes.
    pub(super) fn cut(self, cut: Cut) -> (u32, u32, Vec<f32>) {
        let (across, down) = (cut.across.index, cut.down.index);
        (self.grid.shape[across], self.grid.shape[down], cut.apply(&self.voxels, self.grid.shape))
    }

    /// Planes as they lie in the file, not turned.
    pub(super) fn as_stored(&self) -> Cut {
        Cut::new(self.grid.shape, self.spacing, None)
    }

    fn plane_spacing(&self) -> Option<[f32; 2]> {
        let Cut { across, down, .. } = self.grid.cut;
        let spacing = [self.spacing[down.index], self.spacing[across.index]];
        spacing.iter().all(|distance| distance.is_finite() && *distance > 0.0).then(|| spacing.map(|mm| mm as f32))
    }
}

fn malformed(fault: &str) -> DecodeError {
    DecodeError::Malformed { format: "NIfTI", fault: fault.to_owned() }
}

fn truncated(fault: &str) -> DecodeError {
    DecodeError::Truncated { format: "NIfTI", fault: fault.to_owned() }
}
