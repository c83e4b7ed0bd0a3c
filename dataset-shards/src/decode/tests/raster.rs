//! PNG and JPEG.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Luma, LumaA, Rgb, Rgba};

use super::super::{Decoded, Scale};
use super::Files;

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn ramp() -> image::GrayImage {
    image::GrayImage::from_fn(32, 16, |x, y| Luma([(x * 8 + y) as u8]))
}

#[test]
fn eight_bits_are_levels_and_sixteen_are_measurements() {
    let files = Files::new();
    let decoded = files.decode("a.png", &encode(ramp(), ImageFormat::Png)).unwrap();
    assert_eq!((decoded.volume.width, decoded.volume.height, decoded.scale), (32, 16, Scale::Display));
    assert_eq!(decoded.volume.voxels[..3], [0.0, 8.0, 16.0]);
    let deep = image::ImageBuffer::<Luma<u16>, _>::from_fn(2, 1, |x, _| Luma([x as u16 * 65535]));
    let decoded = files.decode("b.png", &encode(deep, ImageFormat::Png)).unwrap();
    assert_eq!((decoded.volume.voxels, decoded.scale), (vec![0.0, 65535.0], Scale::Measured));
}

#[test]
fn colours_become_luma_and_transparency_is_ignored() {
    let files = Files::new();
    let first = |decoded: Decoded| decoded.volume.voxels[0];
    let grey = image::RgbaImage::from_pixel(2, 2, Rgba([90, 90, 90, 0]));
    assert_eq!(first(files.decode("a.png", &encode(grey, ImageFormat::Png)).unwrap()), 90.0);
    let alpha = image::GrayAlphaImage::from_pixel(2, 2, LumaA([33, 7]));
    assert_eq!(first(files.decode("b.png", &encode(alpha, ImageFormat::Png)).unwrap()), 33.0);
    let green = image::RgbImage::from_pixel(2, 2, Rgb([0, 255, 0]));
    let red = image::RgbImage::from_pixel(2, 2, Rgb([255, 0, 0]));
    let [green, red] =
        [green, red].map(|image| first(files.decode("c.png", &encode(image, ImageFormat::Png)).unwrap()));
    assert!(green > red && red > 0.0, "{green} {red}");
}

#[test]
fn the_format_is_told_by_the_bytes_and_not_by_the_name() {
    let files = Files::new();
    assert!(files.decode("png.jpg", &encode(ramp(), ImageFormat::Png)).is_ok());
    assert!(files.decode("jpeg.png", &encode(ramp(), ImageFormat::Jpeg)).is_ok());
    assert!(files.decode("nothing", &encode(ramp(), ImageFormat::Png)).is_ok());
}

#[test]
fn cut_files_are_truncated_wherever_they_are_cut() {
    let files = Files::new();
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let whole = encode(ramp(), format);
        assert!(files.decode("whole", &whole).is_ok());
        for length in (12..whole.len() - 12).step_by(whole.len() / 20) {
            let code = files.refused("cut", &whole[..length]);
            assert!(code == "truncated" || code == "malformed", "{format:?} cut at {length}: {code}");
        }
    }
}

#[test]
fn an_end_marker_inside_a_segment_is_not_the_end() {
    let files = Files::new();
    let whole = encode(ramp(), ImageFormat::Jpeg);
    // A comment that holds an end marker, and the end of the file cut off.
    let mut tricked = whole[..2].to_vec();
    tricked.extend([0xff, 0xfe, 0x00, 0x06, 0xff, 0xd9, 0xff, 0xd9]);
    tricked.extend(&whole[2..]);
    assert!(files.decode("tricked.jpg", &tricked).is_ok());
    assert_eq!(files.refused("tricked.jpg", &tricked[..tricked.len() - 2]), "truncated");
}

#[test]
fn a_flipped_byte_in_a_png_is_noticed() {
    let files = Files::new();
    let mut bytes = encode(ramp(), ImageFormat::Png);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    assert_eq!(files.refused("a.png", &bytes), "malformed");
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let files = Files::new();
    let mut bytes = encode(ramp(), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let code = files.refused("bomb.png", &bytes);
    assert!(code == "too_large" || code == "malformed", "{code}");
}
