//! Raster files of every depth, and turned in every way.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, Luma};

use super::super::{Decoded, Scale, decode_bytes, luma};

fn read(bytes: &[u8]) -> Decoded {
    decode_bytes(Path::new("a"), bytes).unwrap()
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// One row of packed samples.
fn png(colour: png::ColorType, depth: png::BitDepth, width: u32, palette: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, 1);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if !palette.is_empty() {
        encoder.set_palette(palette.to_vec());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn png_is_read_at_every_depth() {
    use png::BitDepth::{Eight, Four, One, Sixteen, Two};
    let grey = |depth, width, data: &[u8]| read(&png(png::ColorType::Grayscale, depth, width, &[], data)).volume.voxels;
    assert_eq!(grey(One, 3, &[0b0110_0000]), [0.0, 255.0, 255.0]);
    assert_eq!(grey(Two, 4, &[0b0001_1011]), [0.0, 85.0, 170.0, 255.0]);
    assert_eq!(grey(Four, 2, &[0x0f]), [0.0, 255.0]);
    assert_eq!(grey(Eight, 3, &[0, 7, 255]), [0.0, 7.0, 255.0]);
    assert_eq!(grey(Sixteen, 2, &[0x01, 0x02, 0xff, 0xff]), [258.0, 65535.0]);
}

#[test]
fn indices_of_a_png_become_the_luma_of_their_colours() {
    let colours = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [90, 90, 90]];
    for (depth, data) in [(png::BitDepth::Two, &[0b0001_1011][..]), (png::BitDepth::Eight, &[0, 1, 2, 3])] {
        let decoded = read(&png(png::ColorType::Indexed, depth, 4, colours.as_flattened(), data));
        assert_eq!(decoded.scale, Scale::Display);
        for (found, colour) in decoded.volume.voxels.iter().zip(colours) {
            let expected = luma(colour.map(f32::from));
            assert!((found - expected).abs() <= 1.0, "{colour:?} is {found}, expected {expected}");
        }
    }
}

#[test]
fn tiff_and_bmp_are_read_at_the_depths_they_have() {
    let levels = image::GrayImage::from_raw(3, 1, vec![0, 100, 255]).unwrap();
    for format in [ImageFormat::Tiff, ImageFormat::Bmp] {
        let decoded = read(&encode(levels.clone(), format));
        assert_eq!((decoded.volume.voxels, decoded.scale), (vec![0.0, 100.0, 255.0], Scale::Display), "{format:?}");
    }
    let deep = image::ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![258, 65535]).unwrap();
    let decoded = read(&encode(deep, ImageFormat::Tiff));
    assert_eq!((decoded.volume.voxels, decoded.scale), (vec![258.0, 65535.0], Scale::Measured));
    // Measurements of any range.
    let floats = image::Rgb32FImage::from_raw(2, 1, vec![-1.5, -1.5, -1.5, 4000.0, 4000.0, 4000.0]).unwrap();
    let decoded = read(&encode(floats, ImageFormat::Tiff));
    assert_eq!(decoded.scale, Scale::Measured);
    for (found, expected) in decoded.volume.voxels.iter().zip([-1.5, 4000.0]) {
        assert!((found / expected - 1.0).abs() < 1e-6, "{found}, expected {expected}");
    }
}

/// A JPEG whose corners have levels of their own, under an orientation of EXIF: a tag of a directory in a TIFF header.
fn turned(orientation: u8) -> Vec<u8> {
    const EXIF: &[u8] = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0";
    let corner = |x: u32, y: u32| [[20, 90], [160, 230]][usize::from(y >= 16)][usize::from(x >= 32)];
    let pixels: Vec<u8> = (0..32).flat_map(|y| (0..64).map(move |x| corner(x, y))).collect();
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
    encoder.write_image(&pixels, 64, 32, ExtendedColorType::L8).unwrap();
    let mut bytes = jpeg[..2].to_vec();
    let segment = [EXIF, &[orientation, 0, 0, 0, 0, 0, 0]].concat();
    bytes.extend([0xff, 0xe1]);
    bytes.extend((segment.len() as u16 + 2).to_be_bytes());
    bytes.extend(segment);
    bytes.extend(&jpeg[2..]);
    bytes
}

#[test]
fn an_image_is_turned_as_its_orientation_says() {
    // Corners from the upper left, row by row: of the eight orientations, whose first four keep rows rows.
    let expected = [
        [20, 90, 160, 230],
        [90, 20, 230, 160],
        [230, 160, 90, 20],
        [160, 230, 20, 90],
        [20, 160, 90, 230],
        [160, 20, 230, 90],
        [230, 90, 160, 20],
        [90, 230, 20, 160],
    ];
    for (orientation, corners) in (1..).zip(expected) {
        let volume = read(&turned(orientation)).volume;
        let (width, height) = if orientation <= 4 { (64, 32) } else { (32, 64) };
        assert_eq!((volume.width, volume.height), (width, height), "orientation {orientation}");
        let (last, row) = (width as usize - 1, width as usize * (height as usize - 1));
        for (at, corner) in [0, last, row, row + last].into_iter().zip(corners) {
            let found = volume.voxels[at];
            assert!((found - corner as f32).abs() <= 4.0, "orientation {orientation}: {found}, expected {corner}");
        }
    }
}
