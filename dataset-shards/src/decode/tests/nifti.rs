//! NIfTI volumes and the traps of their headers.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::{Decoded, Note, Scale};
use super::Files;

/// Offsets in the header.
const DIM: usize = 40;
const DATATYPE: usize = 70;
const PIXDIM: usize = 76;
const VOX_OFFSET: usize = 108;
const SCL_SLOPE: usize = 112;
const SCL_INTER: usize = 116;

/// A volume of 16-bit numbers that count up from 0, little-endian.
pub(super) fn volume(shape: [u16; 3], spacing: [f32; 3]) -> Vec<u8> {
    let mut bytes = vec![0; 352];
    bytes[..4].copy_from_slice(&348i32.to_le_bytes());
    for (axis, number) in [3, shape[0], shape[1], shape[2], 1, 1, 1, 1].into_iter().enumerate() {
        bytes[DIM + 2 * axis..][..2].copy_from_slice(&number.to_le_bytes());
    }
    bytes[DATATYPE..][..2].copy_from_slice(&4i16.to_le_bytes());
    bytes[72..74].copy_from_slice(&16i16.to_le_bytes());
    for (axis, length) in spacing.into_iter().enumerate() {
        bytes[PIXDIM + 4 * (axis + 1)..][..4].copy_from_slice(&length.to_le_bytes());
    }
    bytes[VOX_OFFSET..][..4].copy_from_slice(&352f32.to_le_bytes());
    bytes[344..348].copy_from_slice(b"n+1\0");
    let voxels = shape.iter().map(|&side| i32::from(side)).product::<i32>();
    bytes.extend((0..voxels).flat_map(|value| (value as i16).to_le_bytes()));
    bytes
}

fn with_f32(mut bytes: Vec<u8>, fields: &[(usize, f32)]) -> Vec<u8> {
    for &(offset, value) in fields {
        bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn with_i16(mut bytes: Vec<u8>, offset: usize, value: i16) -> Vec<u8> {
    bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    bytes
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn first(decoded: &Decoded) -> &[f32] {
    decoded.volume.planes().next().unwrap()
}

#[test]
fn planes_are_cut_across_the_largest_spacing_or_the_third_axis() {
    let files = Files::new();
    let cut = |spacing| files.decode("a.nii", &volume([2, 3, 4], spacing)).unwrap();
    let third = cut([1.0, 1.0, 1.0]);
    assert_eq!((third.volume.width, third.volume.height, third.volume.planes().len()), (2, 3, 4));
    assert_eq!(first(&third), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!((third.volume.spacing_mm, third.scale), (Some([1.0, 1.0]), Scale::Measured));
    let first_axis = cut([5.0, 0.5, 0.7]);
    assert_eq!((first_axis.volume.width, first_axis.volume.height, first_axis.volume.planes().len()), (3, 4, 2));
    assert_eq!(first(&first_axis)[..4], [0.0, 2.0, 4.0, 6.0]);
    assert_eq!(first_axis.volume.spacing_mm, Some([0.7, 0.5]));
    let second = cut([1.0, 2.0, 1.0]);
    assert_eq!((second.volume.width, second.volume.height, second.volume.planes().len()), (2, 4, 3));
    assert_eq!(first(&second)[..4], [0.0, 1.0, 6.0, 7.0]);
}

#[test]
fn a_slope_of_zero_or_nan_means_no_scaling() {
    let files = Files::new();
    let of = |slope, inter| {
        let bytes = with_f32(volume([2, 1, 2], [1.0; 3]), &[(SCL_SLOPE, slope), (SCL_INTER, inter)]);
        files.decode("a.nii", &bytes).unwrap().volume.voxels
    };
    assert_eq!(of(f32::NAN, f32::NAN), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(of(0.0, 7.0), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(of(2.0, -1024.0), [-1024.0, -1022.0, -1020.0, -1018.0]);
}

#[test]
fn gzip_is_told_by_its_bytes() {
    let files = Files::new();
    let plain = volume([2, 2, 2], [1.0; 3]);
    let whole = files.decode("a.nii", &plain).unwrap().volume;
    assert!(files.decode("zipped.nii", &gzip(&plain)).unwrap().volume == whole);
    assert!(files.decode("plain.nii.gz", &plain).unwrap().volume == whole);
}

#[test]
fn of_a_series_of_volumes_the_first_is_taken() {
    let files = Files::new();
    let mut bytes = volume([2, 2, 2], [1.0; 3]);
    for (axis, number) in [4, 2, 2, 2, 3].into_iter().enumerate() {
        bytes = with_i16(bytes, DIM + 2 * axis, number);
    }
    bytes.extend(vec![9; 2 * 8 * 2]);
    assert_eq!(files.decode("a.nii", &bytes).unwrap().volume.voxels, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
}

#[test]
fn a_flat_file_is_one_plane() {
    let files = Files::new();
    let bytes = with_i16(with_i16(volume([4, 3, 1], [1.0; 3]), DIM, 2), DIM + 6, 0);
    let decoded = files.decode("a.nii", &bytes).unwrap();
    assert_eq!((decoded.volume.width, decoded.volume.height, decoded.volume.planes().len()), (4, 3, 1));
}

#[test]
fn a_spacing_of_zero_is_unknown_and_not_made_up() {
    let files = Files::new();
    assert_eq!(files.decode("a.nii", &volume([2, 2, 2], [0.0; 3])).unwrap().volume.spacing_mm, None);
}

#[test]
fn broken_volumes_are_refused_by_kind() {
    let files = Files::new();
    let good = volume([4, 4, 4], [1.0; 3]);
    let cases: [(&str, Vec<u8>); 12] = [
        ("truncated", good[..good.len() - 1].to_vec()),
        ("truncated", good[..300].to_vec()),
        ("truncated", gzip(&good)[..60].to_vec()),
        ("too_large", (0..3).fold(good.clone(), |bytes, axis| with_i16(bytes, DIM + 2 + 2 * axis, 32767))),
        ("malformed", with_i16(good.clone(), DIM + 2, -4)),
        ("malformed", with_i16(good.clone(), DIM, 9)),
        ("malformed", with_i16(good.clone(), DATATYPE, 999)),
        ("unsupported", with_i16(good.clone(), DATATYPE, 32)),
        ("unsupported", with_i16(good.clone(), DATATYPE, 1792)),
        ("malformed", with_f32(good.clone(), &[(VOX_OFFSET, 1e12)])),
        ("truncated", [&540i32.to_le_bytes()[..], &good[4..]].concat()),
        ("malformed", [&540i32.to_le_bytes()[..], &good[4..], &good].concat()),
    ];
    for (index, (expected, bytes)) in cases.into_iter().enumerate() {
        assert_eq!(files.refused("a.nii", &bytes), expected, "case {index}");
    }
}

/// The same numbers under a header of version 2: nifti2.h.
fn version_2(shape: [i64; 3], rows: [[f64; 4]; 3]) -> Vec<u8> {
    let mut bytes = vec![0; 544];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &540i32.to_be_bytes());
    put(4, b"n+2\0\r\n\x1a\n");
    put(12, &4i16.to_be_bytes());
    for (axis, side) in [3].into_iter().chain(shape).enumerate() {
        put(16 + 8 * axis, &side.to_be_bytes());
    }
    put(168, &544i64.to_be_bytes());
    put(348, &1i32.to_be_bytes());
    for (at, value) in (400..).step_by(8).zip(rows.as_flattened()) {
        put(at, &value.to_be_bytes());
    }
    let voxels = shape.iter().product::<i64>();
    bytes.extend((0..voxels).flat_map(|value| (value as i16).to_be_bytes()));
    bytes
}

#[test]
fn planes_are_turned_as_a_radiologist_looks_at_them() {
    let files = Files::new();
    let planes = |rows| {
        let volume = files.decode("a.nii", &version_2([2, 3, 1], rows)).unwrap().volume;
        (volume.width, volume.height, volume.voxels)
    };
    // To the right, to the front, up: seen from the feet with the front on top, as DICOM stores axial slices.
    let right_front_up = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    assert_eq!(planes(right_front_up), (2, 3, vec![5.0, 4.0, 3.0, 2.0, 1.0, 0.0]));
    let left_back_up = [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    assert_eq!(planes(left_back_up), (2, 3, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    // The first axis runs down and the second to the left: a coronal plane stored on its side.
    let down_left = [[0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0]];
    assert_eq!(planes(down_left), (3, 2, vec![0.0, 2.0, 4.0, 1.0, 3.0, 5.0]));
}

#[test]
fn a_file_that_does_not_say_where_it_lies_is_noted() {
    let files = Files::new();
    assert_eq!(files.decode("a.nii", &volume([2, 2, 2], [1.0; 3])).unwrap().notes, [Note::OrientationUnknown]);
}
