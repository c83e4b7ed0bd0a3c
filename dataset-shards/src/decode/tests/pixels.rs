//! What the samples of a DICOM file mean: depth, sign, colour, tables, and frames with values of their own.

use dicom_core::{PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};

use super::super::{Scale, luma};
use super::build::Image;

fn words(words: &[u16]) -> PrimitiveValue {
    PrimitiveValue::U16(words.into())
}

/// Grey of colours of 8 bits.
fn lumas(pixels: &[[u8; 3]]) -> Vec<f32> {
    pixels.iter().map(|pixel| luma(pixel.map(f32::from))).collect()
}

#[test]
fn bits_outside_the_stored_ones_are_not_read() {
    let dirty = [0xf001, 0x1fff, 0x8800];
    let twelve = Image::grey(3, 1, 12).words(&dirty);
    assert_eq!(twelve.voxels(), [1.0, 4095.0, 2048.0]);
    let signed = twelve.clone().numbers(&[(tags::PIXEL_REPRESENTATION, 1)]);
    assert_eq!(signed.voxels(), [1.0, -1.0, -2048.0]);
    let high = twelve.numbers(&[(tags::HIGH_BIT, 15)]);
    assert_eq!(high.voxels(), [3840.0, 511.0, 2176.0]);
    let seven = Image::grey(4, 1, 7).bytes(&[0x80, 0xff, 0x7f, 0x01]);
    assert_eq!(seven.voxels(), [0.0, 127.0, 127.0, 1.0]);
    let signed = seven.numbers(&[(tags::PIXEL_REPRESENTATION, 1)]);
    assert_eq!(signed.voxels(), [0.0, -1.0, -1.0, 1.0]);
}

#[test]
fn the_whole_range_of_sixteen_bits_is_read_with_and_without_a_sign() {
    let image = Image::grey(4, 1, 16).words(&[0, 1, 0x8000, 0xffff]);
    assert_eq!(image.voxels(), [0.0, 1.0, 32768.0, 65535.0]);
    assert_eq!(image.numbers(&[(tags::PIXEL_REPRESENTATION, 1)]).voxels(), [0.0, 1.0, -32768.0, -1.0]);
}

#[test]
fn colours_by_pixel_and_by_plane_are_the_same_image() {
    let pixels = [[255, 0, 10], [0, 200, 20], [1, 2, 30]];
    let by_pixel = Image::colour(3, 1, 8, "RGB").bytes(pixels.as_flattened());
    let planes: Vec<u8> = (0..3).flat_map(|at| pixels.map(|pixel| pixel[at])).collect();
    let by_plane = Image::colour(3, 1, 8, "RGB").numbers(&[(tags::PLANAR_CONFIGURATION, 1)]).bytes(&planes);
    assert_eq!(by_pixel.voxels(), lumas(&pixels));
    assert_eq!(by_plane.voxels(), lumas(&pixels));
    let words: Vec<u16> = pixels.as_flattened().iter().map(|&sample| u16::from(sample) * 257).collect();
    let deep = Image::colour(3, 1, 16, "RGB").words(&words).decode(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    assert_eq!(deep.scale, Scale::Measured);
    let expected = pixels.map(|pixel| luma(pixel.map(|sample| f32::from(sample) * 257.0)));
    assert_eq!(deep.volume.voxels, expected);
}

#[test]
fn of_luma_and_differences_of_colour_the_luma_is_taken() {
    let whole = Image::colour(2, 1, 8, "YBR_FULL").bytes(&[10, 99, 98, 20, 97, 96]);
    assert_eq!(whole.voxels(), [10.0, 20.0]);
    // Two pixels share their differences.
    let halved = Image::colour(4, 1, 8, "YBR_FULL_422").bytes(&[10, 20, 99, 98, 30, 40, 97, 96]);
    assert_eq!(halved.voxels(), [10.0, 20.0, 30.0, 40.0]);
}

/// An image of indices into a table whose first entry is for the second argument.
fn palette(indices: &[u8], first: u16, colours: &[[u16; 3]], bits: u16) -> Image {
    let image = Image::grey(indices.len() as u16, 1, 8)
        .put(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR")
        .bytes(indices);
    let tables = [
        (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA),
        (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA),
        (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA),
    ];
    (0..3).zip(tables).fold(image, |image, (at, (descriptor, data))| {
        let entries: Vec<u16> = colours.iter().map(|colour| colour[at]).collect();
        let says = [colours.len() as u16, first, bits];
        image.put(descriptor, VR::US, words(&says)).put(data, VR::OW, words(&entries))
    })
}

#[test]
fn indices_become_the_luma_of_their_colours() {
    let colours = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [9, 9, 9]];
    let expected = |at: usize| luma(colours[at].map(f32::from));
    // Below the table its first colour holds, and above it its last.
    let image = palette(&[4, 5, 6, 7, 8, 200], 5, &colours, 8);
    let decoded = image.decode(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    assert_eq!(decoded.volume.voxels, [0, 0, 1, 2, 3, 3].map(expected));
    assert_eq!(decoded.scale, Scale::Display);
    let deep = palette(&[0, 1], 0, &[[0, 0, 0], [65535, 65535, 65535]], 16).decode(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    assert_eq!((deep.volume.voxels[1].round(), deep.scale), (65535.0, Scale::Measured));
}

#[test]
fn a_modality_table_stands_in_the_place_of_slope_and_intercept() {
    let table = |first: u16, entries: &[u16]| {
        let says = [entries.len() as u16, first, 16];
        Image::item().put(tags::LUT_DESCRIPTOR, VR::US, words(&says)).put(tags::LUT_DATA, VR::OW, words(entries))
    };
    let image = Image::grey(4, 1, 8)
        .bytes(&[0, 2, 3, 99])
        .put(tags::RESCALE_SLOPE, VR::DS, "7")
        .sequence(tags::MODALITY_LUT_SEQUENCE, [table(2, &[100, 60_000])]);
    assert_eq!(image.voxels(), [100.0, 100.0, 60_000.0, 60_000.0]);
    // For signed pixels the first entry is for a signed value.
    let signed = Image::grey(3, 1, 8)
        .bytes(&[0xfe, 0xff, 0])
        .numbers(&[(tags::PIXEL_REPRESENTATION, 1)])
        .sequence(tags::MODALITY_LUT_SEQUENCE, [table(0xfffe, &[1, 2, 3])]);
    assert_eq!(signed.voxels(), [1.0, 2.0, 3.0]);
}

#[test]
fn each_frame_is_rescaled_by_its_own_group_or_the_shared_one() {
    let group = |slope: &str| {
        let transform = Image::item().put(tags::RESCALE_SLOPE, VR::DS, slope).put(tags::RESCALE_INTERCEPT, VR::DS, "1");
        Image::item().sequence(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, [transform])
    };
    let image = Image::grey(1, 1, 8)
        .put(tags::NUMBER_OF_FRAMES, VR::IS, "3")
        .put(tags::RESCALE_SLOPE, VR::DS, "100")
        .bytes(&[10, 20, 30, 0]);
    assert_eq!(image.voxels(), [1000.0, 2000.0, 3000.0]);
    let shared = image.sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, [group("2")]);
    assert_eq!(shared.voxels(), [21.0, 41.0, 61.0]);
    let own = [group("3"), Image::item(), group("0.5")];
    let own = shared.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, own);
    assert_eq!(own.voxels(), [31.0, 41.0, 16.0]);
}

#[test]
fn an_image_whose_low_values_are_bright_says_so_and_keeps_them() {
    let image = Image::grey(2, 1, 8).put(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1").bytes(&[0, 255]);
    let decoded = image.decode(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    assert_eq!((decoded.volume.voxels, decoded.inverted), (vec![0.0, 255.0], true));
}
