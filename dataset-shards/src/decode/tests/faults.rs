//! What would end the process, were it let in: calls nested too deep, and memory for what a header claims.

use std::path::Path;

use dicom_dictionary_std::{tags, uids};
use image::ImageFormat;
use proptest::prelude::*;

use super::super::{DecodeError, decode_bytes};
use super::build::Image;

fn code(bytes: &[u8]) -> &'static str {
    decode_bytes(Path::new("a.dcm"), bytes).map_or_else(|error| error.code(), |_| "decoded")
}

/// How the length of a sequence and its items is given.
#[derive(Debug, Clone, Copy)]
enum Length {
    Told,
    Untold,
}

/// Sequences within sequences, as deep as is asked for.
fn nested(depth: usize, length: Length, uid: &str) -> Vec<u8> {
    let is_explicit = uid == uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let header = if is_explicit { 12 } else { 8 };
    let mut bytes = Image::grey(1, 1, 8).write(uid);
    for level in 0..depth {
        // Shared functional groups, and an item.
        bytes.extend([0x00, 0x52, 0x29, 0x92]);
        if is_explicit {
            bytes.extend(b"SQ\0\0");
        }
        let inner = (depth - level - 1) * (header + 8);
        let lengths = match length {
            Length::Told => [inner as u32 + 8, inner as u32],
            Length::Untold => [u32::MAX; 2],
        };
        bytes.extend(lengths[0].to_le_bytes());
        bytes.extend([0xfe, 0xff, 0x00, 0xe0]);
        bytes.extend(lengths[1].to_le_bytes());
    }
    bytes
}

#[test]
fn sequences_nested_beyond_any_stack_are_refused() {
    for uid in [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN] {
        for length in [Length::Told, Length::Untold] {
            for depth in [100, 200_000] {
                assert_eq!(code(&nested(depth, length, uid)), "malformed", "{depth}, {length:?}, {uid}");
            }
        }
    }
}

/// The first bytes of files that claim 65,500 columns and rows, or as many as their format allows.
fn claims() -> Vec<(&'static str, Vec<u8>)> {
    let side = 65_500_u16;
    let png = {
        let mut bytes = Vec::new();
        image::GrayImage::new(1, 1).write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes[16..24].copy_from_slice(&[u32::from(side).to_be_bytes(); 2].concat());
        bytes
    };
    let bmp = {
        let mut bytes = Vec::new();
        image::GrayImage::new(1, 1).write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Bmp).unwrap();
        bytes[18..26].copy_from_slice(&[u32::from(side).to_le_bytes(); 2].concat());
        bytes
    };
    let jpeg = {
        let mut bytes = Vec::new();
        image::GrayImage::new(1, 1).write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Jpeg).unwrap();
        let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        bytes[frame + 5..frame + 9].copy_from_slice(&[side.to_be_bytes(); 2].concat());
        bytes
    };
    // Of one strip that would hold it all.
    let tiff = {
        let mut bytes = b"II*\0\x08\0\0\0".to_vec();
        let entries: [(u16, u32); 8] = [
            (256, side.into()),
            (257, side.into()),
            (258, 8),
            (259, 1),
            (262, 1),
            (273, 8),
            (278, side.into()),
            (279, u32::MAX),
        ];
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, value) in entries {
            bytes.extend([tag.to_le_bytes(), 4_u16.to_le_bytes()].concat());
            bytes.extend([1, value].map(u32::to_le_bytes).concat());
        }
        bytes.extend([0; 4]);
        bytes
    };
    let dicom = Image::grey(side, side, 16).words(&[0; 4]).write(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    vec![("PNG", png), ("BMP", bmp), ("JPEG", jpeg), ("TIFF", tiff), ("DICOM", dicom)]
}

#[test]
fn memory_is_not_set_aside_for_what_is_only_claimed() {
    for (format, bytes) in claims() {
        let code = code(&bytes);
        assert!(matches!(code, "too_large" | "malformed"), "{format}: {code}");
    }
    // Just within the limits of sides, and far beyond the bytes.
    let many = Image::grey(8000, 8000, 16).words(&[0; 4]).put(tags::NUMBER_OF_FRAMES, dicom_core::VR::IS, "4");
    assert_eq!(code(&many.write(uids::EXPLICIT_VR_LITTLE_ENDIAN)), "truncated");
}

/// Streams of every codec, with their transfer syntaxes.
const STREAMS: [(&str, &[u8], u16); 9] = [
    (uids::JPEGLS_LOSSLESS, include_bytes!("data/grey8.jls"), 1),
    (uids::JPEGLS_LOSSLESS, include_bytes!("data/grey16.jls"), 1),
    (uids::JPEGLS_NEAR_LOSSLESS, include_bytes!("data/rgb_planes_near3.jls"), 3),
    (uids::JPEGLS_NEAR_LOSSLESS, include_bytes!("data/rgb_lines_near3.jls"), 3),
    (uids::JPEGLS_NEAR_LOSSLESS, include_bytes!("data/rgb_pixels_near3.jls"), 3),
    (uids::JPEG_LOSSLESS_SV1, include_bytes!("data/grey16.ljpg"), 1),
    (uids::JPEG2000_LOSSLESS, include_bytes!("data/grey16.j2k"), 1),
    (uids::JPEG2000_LOSSLESS, include_bytes!("data/rgb.j2k"), 3),
    (uids::HTJ2K_LOSSLESS, include_bytes!("data/grey16.jph"), 1),
];

/// The codecs that are written here.
const OURS: [&str; 2] = [uids::JPEGLS_LOSSLESS, uids::JPEGLS_NEAR_LOSSLESS];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_broken_stream_costs_its_file_and_nothing_else(
        which in 0..STREAMS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (uid, stream, samples) = STREAMS[which];
        let mut stream = stream.to_vec();
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        // Every second one is cut short, too.
        if cut.index(2) == 0 {
            stream.truncate(cut.index(stream.len()) + 1);
        }
        let image = if samples == 1 { Image::grey(16, 12, 16) } else { Image::colour(16, 12, 8, "RGB") };
        match image.fragments(&[&stream]).try_decode(uid) {
            Ok(decoded) => prop_assert_eq!(decoded.volume.voxels.len(), 16 * 12),
            // Those of others are let off under the guard; ours has nothing to give up on.
            Err(error) => {
                let is_panic = matches!(error, DecodeError::Panicked { .. });
                prop_assert!(!(is_panic && OURS.contains(&uid)), "panicked");
            }
        }
    }
}
