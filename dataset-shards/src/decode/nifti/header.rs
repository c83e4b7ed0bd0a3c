//! The headers of NIfTI-1 and NIfTI-2, as far as voxels and their places need them.
//!
//! The fields are those of nifti1.h and nifti2.h of the NIfTI Data Format Working Group.

use std::io::Read;

use super::data_type::DataType;
use super::{malformed, truncated};
use crate::decode::{DecodeError, check_size};

const BYTES_1: usize = 348;
const BYTES_2: usize = 540;
/// Codes of what is no image: connectivity matrices and surfaces.
const NOT_IMAGES: std::ops::RangeInclusive<i32> = 3000..=3099;

/// What a header says, checked.
pub(super) struct Header {
    /// Its own length.
    pub(super) bytes: u64,
    /// Where the voxels begin in the file.
    pub(super) data_start: u64,
    pub(super) big_endian: bool,
    /// Of the first volume.
    pub(super) shape: [u32; 3],
    pub(super) data_type: DataType,
    /// Stored values times the first plus the second; none where they are stored as they are.
    pub(super) scaling: Option<(f64, f64)>,
    /// Lengths of a voxel; 0 or not finite where they are unknown.
    pub(super) spacing: [f64; 3],
    /// From voxel indices to millimetres to the right, to the front and up.
    pub(super) affine: Option<[[f64; 4]; 3]>,
}

impl Header {
    pub(super) fn read(stream: &mut impl Read) -> Result<Self, DecodeError> {
        let short = || truncated("the file ends inside the header");
        let mut bytes = vec![0; BYTES_1];
        stream.read_exact(&mut bytes).map_err(|_| short())?;
        let size: [u8; 4] = bytes[..4].try_into().map_err(|_| short())?;
        let is = |size: i32, expected: usize| size as usize == expected;
        let (little, big) = (i32::from_le_bytes(size), i32::from_be_bytes(size));
        if is(little, BYTES_2) || is(big, BYTES_2) {
            bytes.resize(BYTES_2, 0);
            stream.read_exact(&mut bytes[BYTES_1..]).map_err(|_| short())?;
            return Self::version_2(&Fields { bytes: &bytes, big_endian: is(big, BYTES_2) });
        }
        if is(little, BYTES_1) || is(big, BYTES_1) {
            return Self::version_1(&Fields { bytes: &bytes, big_endian: is(big, BYTES_1) });
        }
        Err(malformed("the header is of neither version"))
    }

    fn version_1(fields: &Fields<'_>) -> Result<Self, DecodeError> {
        check_magic(fields.bytes.get(344..348), b"n+1\0")?;
        let dimensions: [i64; 8] = std::array::from_fn(|at| fields.i16(40 + 2 * at).into());
        let lengths: [f64; 8] = std::array::from_fn(|at| fields.f32(76 + 4 * at));
        let row = |at| std::array::from_fn(|column| fields.f32(at + 4 * column));
        Self::new(Raw {
            bytes: BYTES_1 as u64,
            data_start: fields.f32(108),
            big_endian: fields.big_endian,
            dimensions,
            data_type: fields.i16(70),
            scaling: (fields.f32(112), fields.f32(116)),
            lengths,
            codes: [fields.i16(252).into(), fields.i16(254).into()],
            quaternion: std::array::from_fn(|at| fields.f32(256 + 4 * at)),
            offset: std::array::from_fn(|at| fields.f32(268 + 4 * at)),
            rows: [row(280), row(296), row(312)],
            intent: fields.i16(68).into(),
            units: i32::from(fields.array::<1>(123)[0]),
        })
    }

    fn version_2(fields: &Fields<'_>) -> Result<Self, DecodeError> {
        check_magic(fields.bytes.get(4..12), b"n+2\0\r\n\x1a\n")?;
        let row = |at| std::array::from_fn(|column| fields.f64(at + 8 * column));
        Self::new(Raw {
            bytes: BYTES_2 as u64,
            data_start: fields.i64(168) as f64,
            big_endian: fields.big_endian,
            dimensions: std::array::from_fn(|at| fields.i64(16 + 8 * at)),
            data_type: fields.i16(12),
            scaling: (fields.f64(176), fields.f64(184)),
            lengths: std::array::from_fn(|at| fields.f64(104 + 8 * at)),
            codes: [fields.i32(344), fields.i32(348)],
            quaternion: std::array::from_fn(|at| fields.f64(352 + 8 * at)),
            offset: std::array::from_fn(|at| fields.f64(376 + 8 * at)),
            rows: [row(400), row(432), row(464)],
            intent: fields.i32(504),
            units: fields.i32(500),
        })
    }

    fn new(raw: Raw) -> Result<Self, DecodeError> {
        if NOT_IMAGES.contains(&raw.intent) {
            return Err(DecodeError::NotAnImage { kind: "a NIfTI file of a connectivity matrix or a surface" });
        }
        // Units of length, by code: metres, millimetres (also where nothing is said) and micrometres.
        let millimetres = match raw.units & 7 {
            1 => 1e3,
            3 => 1e-3,
            _ => 1.0,
        };
        let spacing = [raw.lengths[1], raw.lengths[2], raw.lengths[3]].map(|length| length.abs() * millimetres);
        // Both mean that values are stored as they are.
        let (slope, intercept) = raw.scaling;
        let is_scaled = slope.is_finite() && intercept.is_finite() && slope != 0.0;
        Ok(Self {
            bytes: raw.bytes,
            // A negative or unreadable start becomes 0, which lies inside the header.
            data_start: raw.data_start as u64,
            big_endian: raw.big_endian,
            shape: shape(raw.dimensions)?,
            data_type: DataType::of(raw.data_type)?,
            scaling: is_scaled.then_some(raw.scaling),
            spacing,
            affine: raw.affine().map(|rows| rows.map(|row| row.map(|value| value * millimetres))),
        })
    }
}

/// The fields of either version.
struct Raw {
    bytes: u64,
    data_start: f64,
    big_endian: bool,
    dimensions: [i64; 8],
    data_type: i16,
    scaling: (f64, f64),
    lengths: [f64; 8],
    /// Of the quaternion and of the rows; 0 where they mean nothing.
    codes: [i32; 2],
    quaternion: [f64; 3],
    offset: [f64; 3],
    rows: [[f64; 4]; 3],
    intent: i32,
    units: i32,
}

impl Raw {
    /// The rows before the quaternion: nifti1.h, "method 3" and "method 2".
    fn affine(&self) -> Option<[[f64; 4]; 3]> {
        let [by_quaternion, by_rows] = self.codes.map(|code| code > 0);
        let affine = match (by_rows, by_quaternion) {
            (true, _) => self.rows,
            (false, true) => self.rotation(),
            (false, false) => return None,
        };
        let is_usable = |column: usize| affine.iter().any(|row| row[column] != 0.0);
        (affine.iter().flatten().all(|value| value.is_finite()) && (0..3).all(is_usable)).then_some(affine)
    }

    fn rotation(&self) -> [[f64; 4]; 3] {
        let [b, c, d] = self.quaternion;
        let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
        let rotation = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
            [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
            [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ];
        let handedness = if self.lengths[0] < 0.0 { -1.0 } else { 1.0 };
        let lengths = [self.lengths[1], self.lengths[2], self.lengths[3] * handedness];
        std::array::from_fn(|row| {
            let [x, y, z]: [f64; 3] = std::array::from_fn(|column| rotation[row][column] * lengths[column]);
            [x, y, z, self.offset[row]]
        })
    }
}

fn check_magic(found: Option<&[u8]>, expected: &[u8]) -> Result<(), DecodeError> {
    match found {
        Some(found) if found == expected => Ok(()),
        Some(found) if found.starts_with(b"ni") => {
            let what = "a pair of header and image files".to_owned();
            Err(DecodeError::Unsupported { what, expected: "one file" })
        }
        _ => Err(malformed("the magic code is wrong")),
    }
}

/// The sides of the first volume.
fn shape(dimensions: [i64; 8]) -> Result<[u32; 3], DecodeError> {
    let axes = dimensions[0];
    if !(1..=7).contains(&axes) {
        return Err(malformed("the number of dimensions is not in 1 to 7"));
    }
    let side = |axis: usize| if axis as i64 <= axes { u64::try_from(dimensions[axis]) } else { Ok(1) };
    let (Ok(x), Ok(y), Ok(z)) = (side(1), side(2), side(3)) else { return Err(malformed("a dimension is negative")) };
    check_size(x, y, z)?;
    Ok([x, y, z].map(|side| side as u32))
}

/// Numbers at places of a header. The places are those of the format, inside the bytes.
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        if let Some(found) = self.bytes.get(at..at + N) {
            bytes.copy_from_slice(found);
        }
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.array(at))
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.array(at))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.array(at))
    }

    fn f32(&self, at: usize) -> f64 {
        f32::from_le_bytes(self.array(at)).into()
    }

    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.array(at))
    }
}
