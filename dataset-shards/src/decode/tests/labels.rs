//! Masks of every encoding seen in the wild.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Luma, Rgb};

use super::super::{Decoded, LabelError, Scale, Volume, decode_labels};
use super::Files;
use super::nifti::{gzip, volume};

fn image_of(width: u32, height: u32) -> Decoded {
    let voxels = vec![0.0; (width * height) as usize];
    let volume = Volume { width, height, voxels, spacing_mm: None };
    Decoded {
        volume,
        modality: None,
        patient: None,
        study: None,
        scale: Scale::Display,
        inverted: false,
        voi: Vec::new(),
        notes: Vec::new(),
        grid: None,
    }
}

fn grey(levels: &[u8]) -> Vec<u8> {
    let image = image::GrayImage::from_raw(levels.len() as u32, 1, levels.to_vec()).unwrap();
    encode(image, ImageFormat::Png)
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn packed(colour: png::ColorType, depth: png::BitDepth, width: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, 1);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == png::ColorType::Indexed {
        // Colours that say nothing about the class.
        encoder.set_palette(vec![9, 9, 9, 200, 0, 0, 3, 250, 3, 0, 0, 0]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

fn classes(bytes: &[u8], width: u32) -> Result<Vec<u8>, LabelError> {
    let files = Files::new();
    decode_labels(&files.put("mask", bytes), &image_of(width, 1)).map(|labels| labels.classes)
}

#[test]
fn two_values_of_any_spelling_are_background_and_foreground() {
    assert_eq!(classes(&grey(&[0, 255, 255]), 3).unwrap(), [0, 1, 1]);
    assert_eq!(classes(&grey(&[0, 1, 1]), 3).unwrap(), [0, 1, 1]);
    assert_eq!(classes(&grey(&[0, 0, 0]), 3).unwrap(), [0, 0, 0]);
    assert_eq!(
        classes(&packed(png::ColorType::Grayscale, png::BitDepth::One, 3, &[0b0110_0000]), 3).unwrap(),
        [0, 1, 1]
    );
}

#[test]
fn whole_numbers_stay_classes() {
    assert_eq!(classes(&grey(&[0, 2, 7]), 3).unwrap(), [0, 2, 7]);
    assert_eq!(
        classes(&packed(png::ColorType::Grayscale, png::BitDepth::Two, 3, &[0b0011_0100]), 3).unwrap(),
        [0, 3, 1]
    );
    assert_eq!(classes(&packed(png::ColorType::Indexed, png::BitDepth::Two, 3, &[0b0001_1000]), 3).unwrap(), [0, 1, 2]);
    assert_eq!(classes(&packed(png::ColorType::Indexed, png::BitDepth::Eight, 3, &[3, 0, 1]), 3).unwrap(), [3, 0, 1]);
}

#[test]
fn a_jpeg_is_cut_in_two() {
    let image = image::GrayImage::from_fn(16, 16, |x, _| Luma([if x < 8 { 3 } else { 240 }]));
    let files = Files::new();
    let path = files.put("mask.jpg", &encode(image, ImageFormat::Jpeg));
    let labels = decode_labels(&path, &image_of(16, 16)).unwrap();
    assert_eq!(labels.classes.iter().filter(|&&class| class == 1).count(), 128);
    assert!(labels.classes.iter().all(|&class| class <= 1));
}

#[test]
fn what_is_no_mask_is_refused_with_its_values() {
    let photograph: Vec<u8> = (0..100).collect();
    let error = classes(&grey(&photograph), 100).unwrap_err();
    assert_eq!((error.code(), error.to_string().contains("100 different values")), ("mask_not_labels", true));
    let red = image::RgbImage::from_pixel(3, 1, Rgb([255, 0, 0]));
    assert_eq!(classes(&encode(red, ImageFormat::Png), 3).unwrap_err().code(), "mask_unreadable");
    assert_eq!(classes(b"no image at all", 3).unwrap_err().code(), "mask_unreadable");
    let error = classes(&grey(&[0, 1]), 3).unwrap_err();
    assert_eq!(error.to_string(), "the mask is 2 x 1 x 1, the image 3 x 1 x 1: expected the same shape");
}

#[test]
fn equal_channels_are_one() {
    let image = image::RgbImage::from_fn(3, 1, |x, _| Rgb([x as u8; 3]));
    assert_eq!(classes(&encode(image, ImageFormat::Png), 3).unwrap(), [0, 1, 2]);
}

#[test]
fn a_label_volume_is_cut_as_its_image_and_must_lie_where_it_lies() {
    let files = Files::new();
    let place = |mut bytes: Vec<u8>, shift: f32| {
        bytes[254..256].copy_from_slice(&1i16.to_le_bytes());
        for (offset, value) in [(280, 5.0), (300, 1.0), (320, 1.0), (292, shift)] {
            let value: f32 = value;
            bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    };
    let image = files.decode("image.nii", &place(volume([2, 3, 4], [5.0, 1.0, 1.0]), 0.0)).unwrap();
    // The label's own header has no spacing: it is cut as the image says.
    let labels = |bytes: &[u8]| decode_labels(&files.put("labels.nii.gz", &gzip(bytes)), &image);
    let cut = labels(&place(volume([2, 3, 4], [0.0; 3]), 0.2)).unwrap();
    // Voxel x + 2 y + 6 z: from the left plane on, from the top and from the front.
    assert_eq!(cut.classes[..4], [22, 20, 18, 16]);
    assert_eq!(labels(&place(volume([2, 3, 4], [0.0; 3]), 37.0)).unwrap_err(), LabelError::Grid { distance_mm: 37 });
    assert_eq!(labels(&volume([2, 3, 5], [0.0; 3])).unwrap_err().code(), "mask_shape_mismatch");
    assert_eq!(labels(&volume([4, 3, 2], [0.0; 3])).unwrap_err().code(), "mask_shape_mismatch");
}

#[test]
fn soft_and_negative_labels_are_refused() {
    let files = Files::new();
    let scaled = |slope: f32| {
        let mut bytes = volume([2, 1, 1], [1.0; 3]);
        bytes[112..116].copy_from_slice(&slope.to_le_bytes());
        decode_labels(&files.put("soft.nii", &bytes), &image_of(2, 1)).unwrap_err().code()
    };
    assert_eq!(scaled(0.7), "mask_not_labels");
    assert_eq!(scaled(-1.0), "mask_not_labels");
}
