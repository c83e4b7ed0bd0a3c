//! NIfTI volumes of both versions, plain or gzipped, of either byte order, cut into planes.

mod axes;
mod data_type;
mod header;
mod voxels;

use std::io::{BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::{DecodeError, Decoded, Note, Scale, VOXEL_BYTES, Volume};
use crate::memory::Claim;
pub(super) use axes::Cut;
#[cfg(test)]
pub(super) use axes::directions;
use header::Header;

/// Extensions between header and data, at most: they may hold anything, and no scanner writes much.
const EXTENSION_BYTES_MAX: u64 = 64 << 20;
/// Bytes read from the file at a time.
const BUFFER: usize = 1 << 16;

/// How the axes of a file were cut into planes, for a label volume to be cut alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Grid {
    /// Voxels along each axis of the file.
    pub(crate) shape: [u32; 3],
    pub(super) cut: Cut,
    /// From voxel indices to millimetres to the right, to the front and up, row by row, when the file says it.
    pub(crate) affine: Option<[[f64; 4]; 3]>,
}

/// A file whose header has been read.
pub(super) struct Opened<'a> {
    pub(super) grid: Grid,
    header: Header,
    stream: Box<dyn Read + 'a>,
}

/// Planes are cut across the axis of the largest spacing, or the third axis when there is no such, and turned as a radiologist
/// looks at them when the file says where it lies. Of a series of volumes the first is taken.
pub(super) fn decode(stream: &mut impl Read, claim: &mut Claim) -> Result<Decoded, DecodeError> {
    let opened = open(stream)?;
    let (grid, spacing_mm) = (opened.grid, opened.plane_spacing());
    let (width, height, voxels) = opened.read(grid.cut, claim)?;
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

/// Reads what stands before the voxels, plain or gzipped.
pub(super) fn open<'a>(stream: &'a mut impl Read) -> Result<Opened<'a>, DecodeError> {
    let mut start = [0; 2];
    stream.read_exact(&mut start).map_err(|_| truncated("the file ends inside the header"))?;
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(stream));
    let mut stream: Box<dyn Read + 'a> =
        if start == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
    let header = Header::read(&mut stream)?;
    let between = header.data_start.checked_sub(header.bytes).filter(|&bytes| bytes <= EXTENSION_BYTES_MAX);
    let between = between.ok_or_else(|| malformed("the data do not begin behind the header"))?;
    let skipped = std::io::copy(&mut stream.by_ref().take(between), &mut std::io::sink());
    if !skipped.is_ok_and(|skipped| skipped == between) {
        return Err(truncated("the file ends before the data"));
    }
    let cut = Cut::new(header.shape, header.spacing, header.affine.as_ref());
    let grid = Grid { shape: header.shape, cut, affine: header.affine };
    Ok(Opened { grid, header, stream })
}

impl Opened<'_> {
    /// Width, height and voxels of the planes of the first volume, put where they belong as they are read: there is no second copy.
    pub(super) fn read(mut self, cut: Cut, claim: &mut Claim) -> Result<(u32, u32, Vec<f32>), DecodeError> {
        let shape = self.grid.shape;
        claim.add(VOXEL_BYTES * shape.iter().map(|&side| u64::from(side)).product::<u64>())?;
        let voxels = voxels::read(&mut self.stream, &self.header, cut)?;
        Ok((shape[cut.across.index], shape[cut.down.index], voxels))
    }

    /// Planes as they lie in the file, not turned.
    pub(super) fn as_stored(&self) -> Cut {
        Cut::new(self.grid.shape, self.header.spacing, None)
    }

    fn plane_spacing(&self) -> Option<[f32; 2]> {
        let Cut { across, down, .. } = self.grid.cut;
        let spacing = [self.header.spacing[down.index], self.header.spacing[across.index]];
        spacing.iter().all(|distance| distance.is_finite() && *distance > 0.0).then(|| spacing.map(|mm| mm as f32))
    }
}

/// The first volume as it lies in the file: the first axis runs fastest.
#[cfg(test)]
pub(super) fn in_file_order(bytes: &[u8]) -> Result<(Grid, Vec<f32>), DecodeError> {
    let mut stream = bytes;
    let opened = open(&mut stream)?;
    let (grid, cut) = (opened.grid, Cut::new([1, 1, 1], [0.0; 3], None));
    opened.read(cut, &mut Claim::alone()).map(|(_, _, voxels)| (grid, voxels))
}

fn malformed(fault: &str) -> DecodeError {
    DecodeError::Malformed { format: "NIfTI", fault: fault.to_owned() }
}

fn truncated(fault: &str) -> DecodeError {
    DecodeError::Truncated { format: "NIfTI", fault: fault.to_owned() }
}
