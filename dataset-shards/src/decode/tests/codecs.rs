//! Every transfer syntax that is read, on pixels of our own. What is compressed by others lies in `data`, beside the script that
//! made it.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::super::luma;
use super::build::Image;

const COLUMNS: u16 = 16;
const ROWS: u16 = 12;
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("data/", $name))
    };
}

/// The pixels of the script: flat on the left, which makes runs; steep on the right, which makes long codes.
fn grey(bits: u32) -> Vec<u16> {
    let value = |x: u32, y: u32| if x < 6 { y / 4 * 9 } else { x * x + y * 5 + x * y % 7 * 3 };
    let places = (0..ROWS.into()).flat_map(|y| (0..COLUMNS.into()).map(move |x| (x, y)));
    places.map(|(x, y)| ((value(x, y) % 256) << (bits - 8)) as u16).collect()
}

/// Three planes, beside each other for each pixel: those pixels, upside down, and moved three columns to the right.
fn colour() -> Vec<[u16; 3]> {
    let (one, columns) = (grey(8), usize::from(COLUMNS));
    let place = |row: usize, column: usize| one[row * columns + column];
    let rows = usize::from(ROWS);
    (0..rows * columns)
        .map(|at| (at / columns, at % columns))
        .map(|(y, x)| [place(y, x), place(rows - 1 - y, x), place(y, (x + columns - 3) % columns)])
        .collect()
}

fn floats(words: &[u16]) -> Vec<f32> {
    words.iter().copied().map(f32::from).collect()
}

fn lumas() -> Vec<f32> {
    colour().into_iter().map(|pixel| luma(pixel.map(f32::from))).collect()
}

fn decode_grey(bits: u16, uid: &str, stream: &[u8]) -> Vec<f32> {
    Image::grey(COLUMNS, ROWS, bits).fragments(&[stream]).decode(uid).volume.voxels
}

fn decode_colour(uid: &str, photometric: &str, stream: &[u8]) -> Vec<f32> {
    Image::colour(COLUMNS, ROWS, 8, photometric).fragments(&[stream]).decode(uid).volume.voxels
}

/// The largest difference of two images of one size.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

#[test]
fn pixels_that_are_not_compressed_are_read_in_every_byte_order() {
    let image = Image::grey(COLUMNS, ROWS, 16).words(&grey(16));
    for uid in [
        uids::IMPLICIT_VR_LITTLE_ENDIAN,
        uids::EXPLICIT_VR_LITTLE_ENDIAN,
        BIG_ENDIAN,
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    ] {
        assert!(image.decode(uid).volume.voxels == floats(&grey(16)), "{uid}");
    }
    let fragment: Vec<u8> = grey(16).into_iter().flat_map(u16::to_le_bytes).collect();
    let uid = uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN;
    assert!(decode_grey(16, uid, &fragment) == floats(&grey(16)));
}

/// A frame of RLE: a segment for each byte of a sample, from the highest on, packed by PackBits.
fn run_lengths(planes: &[Vec<u8>]) -> Vec<u8> {
    let packed: Vec<Vec<u8>> = planes
        .iter()
        .map(|plane| {
            let runs = plane.chunk_by(|one, other| one == other).flat_map(|run| run.chunks(128));
            let mut packed: Vec<u8> = runs
                .flat_map(|run| match run {
                    [byte] => [0, *byte],
                    [byte, ..] => [(1 - run.len() as i32) as i8 as u8, *byte],
                    [] => unreachable!(),
                })
                .collect();
            packed.resize(packed.len().next_multiple_of(2), 0x80);
            packed
        })
        .collect();
    let mut words = vec![packed.len() as u32];
    words.extend(packed.iter().scan(64, |at, segment| {
        *at += segment.len() as u32;
        Some(*at - segment.len() as u32)
    }));
    words.resize(16, 0);
    let mut frame: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    frame.extend(packed.concat());
    frame
}

#[test]
fn run_lengths_are_unpacked() {
    let bytes = |at: usize| grey(16).iter().map(|word| word.to_be_bytes()[at]).collect::<Vec<u8>>();
    let frame = run_lengths(&[bytes(0), bytes(1)]);
    assert!(decode_grey(16, uids::RLE_LOSSLESS, &frame) == floats(&grey(16)));
    let planes: Vec<Vec<u8>> = (0..3).map(|at| colour().iter().map(|pixel| pixel[at] as u8).collect()).collect();
    assert!(decode_colour(uids::RLE_LOSSLESS, "RGB", &run_lengths(&planes)) == lumas());
}

#[test]
fn baseline_jpeg_is_close_in_grey_and_in_colour() {
    let encode = |bytes: &[u8], colour| {
        let mut stream = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut stream, 100);
        encoder.write_image(bytes, COLUMNS.into(), ROWS.into(), colour).unwrap();
        stream
    };
    let bytes: Vec<u8> = grey(8).iter().map(|&value| value as u8).collect();
    let found = decode_grey(8, uids::JPEG_BASELINE8_BIT, &encode(&bytes, ExtendedColorType::L8));
    assert!(distance(&found, &floats(&grey(8))) <= 2.0);
    let bytes: Vec<u8> = colour().as_flattened().iter().map(|&value| value as u8).collect();
    let stream = encode(&bytes, ExtendedColorType::Rgb8);
    for photometric in ["YBR_FULL_422", "YBR_FULL"] {
        let found = decode_colour(uids::JPEG_BASELINE8_BIT, photometric, &stream);
        assert!(distance(&found, &lumas()) <= 3.0, "{photometric}: {}", distance(&found, &lumas()));
    }
}

#[test]
fn lossless_jpeg_is_exact() {
    for uid in [uids::JPEG_LOSSLESS_SV1, uids::JPEG_LOSSLESS] {
        assert!(decode_grey(8, uid, data!("grey8.ljpg")) == floats(&grey(8)));
        assert!(decode_grey(16, uid, data!("grey16.ljpg")) == floats(&grey(16)));
    }
}

#[test]
fn jpeg_ls_is_exact_at_any_depth() {
    let decode = |bits, stream| decode_grey(bits, uids::JPEGLS_LOSSLESS, stream);
    assert!(decode(8, data!("grey8.jls")) == floats(&grey(8)));
    assert!(decode(12, data!("grey12.jls")) == floats(&grey(12)));
    assert!(decode(16, data!("grey16.jls")) == floats(&grey(16)));
}

#[test]
fn jpeg_ls_is_exact_in_colour_in_any_order_of_samples() {
    let streams: [&[u8]; 3] =
        [data!("rgb_planes_near0.jls"), data!("rgb_lines_near0.jls"), data!("rgb_pixels_near0.jls")];
    for (order, stream) in ["planes", "lines", "pixels"].into_iter().zip(streams) {
        assert!(decode_colour(uids::JPEGLS_LOSSLESS, "RGB", stream) == lumas(), "{order}");
    }
}

#[test]
fn near_lossless_jpeg_ls_is_as_near_as_it_says() {
    let decode = |bits, stream| decode_grey(bits, uids::JPEGLS_NEAR_LOSSLESS, stream);
    for (bits, found) in [
        (8, decode(8, data!("grey8_near2.jls"))),
        (12, decode(12, data!("grey12_near2.jls"))),
        (16, decode(16, data!("grey16_near2.jls"))),
    ] {
        let distance = distance(&found, &floats(&grey(bits)));
        assert!(distance > 0.0 && distance <= 2.0, "{bits}: {distance}");
    }
    let streams: [&[u8]; 3] =
        [data!("rgb_planes_near3.jls"), data!("rgb_lines_near3.jls"), data!("rgb_pixels_near3.jls")];
    for stream in streams {
        let distance = distance(&decode_colour(uids::JPEGLS_NEAR_LOSSLESS, "RGB", stream), &lumas());
        assert!(distance > 0.0 && distance <= 3.001, "{distance}");
    }
}

#[test]
fn lossless_jpeg_2000_is_exact_with_signs_and_in_colour() {
    let variants: [(&str, [&[u8]; 4]); 3] = [
        (uids::JPEG2000_LOSSLESS, [data!("grey8.j2k"), data!("grey16.j2k"), data!("signed.j2k"), data!("rgb.j2k")]),
        (uids::HTJ2K_LOSSLESS, [data!("grey8.jph"), data!("grey16.jph"), data!("signed.jph"), data!("rgb.jph")]),
        (uids::HTJ2K, [data!("grey8.jph"), data!("grey16.jph"), data!("signed.jph"), data!("rgb.jph")]),
    ];
    for (uid, [grey8, grey16, signed, rgb]) in variants {
        assert!(decode_grey(8, uid, grey8) == floats(&grey(8)), "{uid}");
        assert!(decode_grey(16, uid, grey16) == floats(&grey(16)), "{uid}");
        let image = Image::grey(COLUMNS, ROWS, 16).numbers(&[(tags::PIXEL_REPRESENTATION, 1)]).fragments(&[signed]);
        let expected: Vec<f32> = floats(&grey(12)).iter().map(|value| value - 2048.0).collect();
        assert!(image.decode(uid).volume.voxels == expected, "{uid}");
        assert!(decode_colour(uid, "YBR_RCT", rgb) == lumas(), "{uid}");
    }
}

#[test]
fn lossy_htj2k_is_refused_and_not_read_askew() {
    let image = Image::grey(COLUMNS, ROWS, 8).fragments(&[data!("lossy.jph")]);
    let error = image.try_decode(uids::HTJ2K).err().unwrap();
    assert_eq!(error.to_string(), "lossy HTJ2K is not supported, expected lossless HTJ2K");
}

#[test]
fn frames_are_told_apart_by_fragments_of_their_own_or_by_how_they_begin() {
    let (one, other) = (data!("grey8.jls").as_slice(), data!("grey8_near2.jls").as_slice());
    let two = Image::grey(COLUMNS, ROWS, 8).put(tags::NUMBER_OF_FRAMES, VR::IS, "2");
    let expected = [decode_grey(8, uids::JPEGLS_LOSSLESS, one), decode_grey(8, uids::JPEGLS_LOSSLESS, other)].concat();
    let (start, end) = one.split_at(60);
    for fragments in [vec![one, other], vec![start, end, other]] {
        let decoded = two.clone().fragments(&fragments).decode(uids::JPEGLS_LOSSLESS);
        assert!(decoded.volume.voxels == expected);
    }
}

#[test]
fn compressed_pixels_of_another_size_than_the_header_says_are_refused() {
    let streams: [(&str, &[u8]); 5] = [
        (uids::RLE_LOSSLESS, &run_lengths(&[vec![0; 4]])),
        (uids::JPEG_LOSSLESS_SV1, data!("grey8.ljpg")),
        (uids::JPEGLS_LOSSLESS, data!("grey8.jls")),
        (uids::JPEG2000_LOSSLESS, data!("grey8.j2k")),
        (uids::HTJ2K_LOSSLESS, data!("grey8.jph")),
    ];
    for (uid, stream) in streams {
        for image in [Image::grey(COLUMNS + 1, ROWS, 8), Image::grey(4000, 4000, 8)] {
            assert_eq!(image.fragments(&[stream]).try_decode(uid).err().unwrap().code(), "malformed", "{uid}");
        }
        let colour = Image::colour(COLUMNS, ROWS, 8, "RGB").fragments(&[stream]);
        assert_eq!(colour.try_decode(uid).err().unwrap().code(), "malformed", "{uid}");
    }
}
