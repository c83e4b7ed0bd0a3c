//! NIfTI volumes of every data type, in both versions and byte orders.

use std::path::Path;

use super::super::{decode_bytes, luma};

/// Numbers in the byte order of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    /// Of a number in little-endian order.
    fn of<const N: usize>(self, mut bytes: [u8; N]) -> [u8; N] {
        if self == Self::Big {
            bytes.reverse();
        }
        bytes
    }
}

/// A row of as many voxels as the data hold, under a header of the version.
fn file(version: usize, order: Order, code: i16, voxels: usize, data: &[u8]) -> Vec<u8> {
    let (header, start) = if version == 1 { (348, 352) } else { (540, 544) };
    let mut bytes = vec![0; start];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &order.of(i32::to_le_bytes(header)));
    let shape = [3, voxels as i64, 1, 1];
    if version == 1 {
        for (axis, side) in shape.into_iter().enumerate() {
            put(40 + 2 * axis, &order.of((side as i16).to_le_bytes()));
        }
        put(70, &order.of(code.to_le_bytes()));
        put(108, &order.of((start as f32).to_le_bytes()));
        put(344, b"n+1\0");
    } else {
        put(4, b"n+2\0\r\n\x1a\n");
        put(12, &order.of(code.to_le_bytes()));
        for (axis, side) in shape.into_iter().enumerate() {
            put(16 + 8 * axis, &order.of(side.to_le_bytes()));
        }
        put(168, &order.of((start as i64).to_le_bytes()));
    }
    bytes.extend(data);
    bytes
}

fn read(bytes: &[u8]) -> Vec<f32> {
    decode_bytes(Path::new("a.nii"), bytes).unwrap().volume.voxels
}

/// More voxels than are converted at a time, which the last ones are not of the same number as.
const MANY: usize = (1 << 14) + 3;

#[test]
fn every_data_type_is_read_in_both_versions_and_byte_orders() {
    macro_rules! check {
        ($code:expr, $type:ty, $($value:expr),+) => {
            let values: Vec<$type> = [$($value),+].into_iter().cycle().take(MANY).collect();
            let expected: Vec<f32> = values.iter().map(|&value| value as f64 as f32).collect();
            for (version, order) in [(1, Order::Little), (1, Order::Big), (2, Order::Little), (2, Order::Big)] {
                let data: Vec<u8> = values.iter().flat_map(|value| order.of(value.to_le_bytes())).collect();
                let found = read(&file(version, order, $code, MANY, &data));
                assert!(found == expected, "{} of version {version}, {order:?}", stringify!($type));
            }
        };
    }
    check!(2, u8, 0, 1, 255);
    check!(256, i8, -128, -1, 127);
    check!(512, u16, 0, 258, 65535);
    check!(4, i16, -32768, -2, 32767);
    check!(768, u32, 0, 16909060, u32::MAX);
    check!(8, i32, i32::MIN, -3, 16909060);
    check!(1280, u64, 0, 1 << 40, u64::MAX);
    check!(1024, i64, i64::MIN, -4, 1 << 40);
    check!(16, f32, -1.5, 1e-30, 3e38);
    check!(64, f64, -2.5, 1e-30, 3e38);
}

#[test]
fn colours_become_luma_whether_or_not_they_are_transparent() {
    let expected = [luma([255.0, 0.0, 0.0]), luma([1.0, 2.0, 3.0])];
    assert_eq!(read(&file(1, Order::Little, 128, 2, &[255, 0, 0, 1, 2, 3])), expected);
    assert_eq!(read(&file(2, Order::Big, 2304, 2, &[255, 0, 0, 9, 1, 2, 3, 0])), expected);
}
