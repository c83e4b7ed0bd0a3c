//! Planes of any shape to squares.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U16;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

/// Stretches 16-bit levels to a square of 8 bits, averaging what falls into one pixel. In integers, so that every machine gives
/// the same bytes. Nothing when the sides do not fit the levels.
pub(super) fn levels(deep: &[u16], width: u32, height: u32, side: u32) -> Option<Vec<u8>> {
    if deep.len() as u64 != u64::from(width) * u64::from(height) {
        return None;
    }
    if (width, height) == (side, side) {
        return Some(deep.iter().map(|&level| to_8_bits(level)).collect());
    }
    let deep: Vec<U16> = deep.iter().map(|&level| U16::new(level)).collect();
    let source = TypedImageRef::new(width, height, &deep).ok()?;
    let mut square = TypedImage::<U16>::new(side, side);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize_typed(&source, &mut square, &options).ok()?;
    Some(square.pixels().iter().map(|pixel| to_8_bits(pixel.0)).collect())
}

/// Stretches class indices to a square; each pixel takes the class at its centre.
pub(super) fn nearest(classes: &[u8], width: u32, height: u32, side: u32) -> Vec<u8> {
    let source = |place: u32, length: u32| {
        // The centre of a pixel, in exact integers: (place + 1/2) * length / side.
        ((2 * u64::from(place) + 1) * u64::from(length) / (2 * u64::from(side))) as usize
    };
    let columns: Vec<usize> = (0..side).map(|column| source(column, width)).collect();
    (0..side)
        .flat_map(|row| {
            let start = source(row, height) * width as usize;
            columns.iter().map(move |&column| classes[start + column])
        })
        .collect()
}

/// 65535 is 255 times 257.
fn to_8_bits(level: u16) -> u8 {
    ((u32::from(level) + 128) / 257) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bit_levels_survive_sixteen_bits_exactly() {
        assert!((0..=255u8).all(|level| to_8_bits(u16::from(level) * 257) == level));
    }

    #[test]
    fn shrinking_averages_instead_of_skipping() {
        let stripes: Vec<u16> = (0..64 * 64).map(|at| if at % 2 == 0 { 0 } else { u16::MAX }).collect();
        let small = levels(&stripes, 64, 64, 16).unwrap();
        assert!(small.iter().all(|level| (118..=137).contains(level)), "{small:?}");
    }

    #[test]
    fn any_shape_becomes_a_square_and_a_constant_stays_one() {
        for (width, height) in [(1, 1), (900, 12), (16, 16), (3, 200)] {
            let constant = vec![257 * 99; (width * height) as usize];
            assert_eq!(levels(&constant, width, height, 16).unwrap(), [99; 256], "{width} x {height}");
        }
        assert_eq!(levels(&[0; 5], 2, 2, 4), None);
    }

    #[test]
    fn masks_take_the_class_at_the_centre_and_make_up_none() {
        assert_eq!(nearest(&[0, 7, 7, 0], 2, 2, 4), [0, 0, 7, 7, 0, 0, 7, 7, 7, 7, 0, 0, 7, 7, 0, 0]);
        assert_eq!(nearest(&[1, 2, 3, 4, 5, 6, 7, 8, 9], 3, 3, 1), [5]);
    }
}
