//! From the bytes of voxels to values.

use std::io::Read;

use super::axes::Cut;
use super::data_type::DataType;
use super::header::Header;
use super::truncated;
use crate::decode::{DecodeError, luma};

/// Voxels converted at a time: what fits a cache.
const CHUNK: usize = 1 << 14;

/// Reads the first volume, cut into planes.
pub(super) fn read(stream: &mut impl Read, header: &Header, cut: Cut) -> Result<Vec<f32>, DecodeError> {
    let count = header.shape.iter().map(|&side| side as usize).product::<usize>();
    let width = header.data_type.bytes();
    // The system gives such memory when it is written to: a header that claims more than follows costs little.
    let mut planes = cut.planes(header.shape, vec![0.0; count]);
    let mut chunk = vec![0; CHUNK.min(count) * width];
    let (mut read, mut values) = (0, Vec::with_capacity(CHUNK.min(count)));
    while read < count {
        let bytes = &mut chunk[..CHUNK.min(count - read) * width];
        stream.read_exact(bytes).map_err(|_| truncated("the file ends inside the data"))?;
        values.clear();
        convert(bytes, header, &mut values);
        planes.put(&values);
        read += values.len();
    }
    Ok(planes.into_voxels())
}

fn convert(bytes: &[u8], header: &Header, voxels: &mut Vec<f32>) {
    /// Numbers of a type, of the byte order of the file.
    macro_rules! numbers {
        ($type:ty) => {{
            let numbers = bytes.as_chunks::<{ size_of::<$type>() }>().0.iter();
            if header.big_endian {
                extend(voxels, numbers.map(|&bytes| <$type>::from_be_bytes(bytes) as f64), header.scaling);
            } else {
                extend(voxels, numbers.map(|&bytes| <$type>::from_le_bytes(bytes) as f64), header.scaling);
            }
        }};
    }
    match header.data_type {
        DataType::U8 => numbers!(u8),
        DataType::I8 => numbers!(i8),
        DataType::U16 => numbers!(u16),
        DataType::I16 => numbers!(i16),
        DataType::U32 => numbers!(u32),
        DataType::I32 => numbers!(i32),
        DataType::U64 => numbers!(u64),
        DataType::I64 => numbers!(i64),
        DataType::F32 => numbers!(f32),
        DataType::F64 => numbers!(f64),
        DataType::Colour { samples } => {
            let pixels = bytes.chunks_exact(samples).map(|pixel| [pixel[0], pixel[1], pixel[2]].map(f32::from));
            voxels.extend(pixels.map(luma));
        }
    }
}

fn extend(voxels: &mut Vec<f32>, numbers: impl Iterator<Item = f64>, scaling: Option<(f64, f64)>) {
    match scaling {
        None | Some((1.0, 0.0)) => voxels.extend(numbers.map(|number| number as f32)),
        Some((slope, intercept)) => voxels.extend(numbers.map(|number| (number * slope + intercept) as f32)),
    }
}
