//! Planes of any shape to squares.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U16;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::placement::Placement;

/// 16-bit levels as a square of 8 bits, averaging what falls into one pixel. In integers, so that every machine gives the same
/// bytes. Nothing when the sides do not fit the levels.
pub(super) fn levels(deep: &[U16], width: u32, height: u32, placement: &Placement) -> Option<Vec<u8>> {
    if deep.len() as u64 != u64::from(width) * u64::from(height) {
        return None;
    }
    if placement.is_identity() {
        return Some(deep.iter().map(|level| to_8_bits(level.0)).collect());
    }
    let Placement { source, target, side } = *placement;
    let plane = TypedImageRef::new(width, height, deep).ok()?;
    let mut resized = TypedImage::<U16>::new(target.width, target.height);
    let kept = [source.left, source.top, source.width, source.height].map(f64::from);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(kept[0], kept[1], kept[2], kept[3]);
    Resizer::new().resize_typed(&plane, &mut resized, &options).ok()?;
    let mut square = vec![0; (side * side) as usize];
    for (row, line) in resized.pixels().chunks_exact(target.width as usize).enumerate() {
        let start = (target.top as usize + row) * side as usize + target.left as usize;
        let place = &mut square[start..start + line.len()];
        place.iter_mut().zip(line).for_each(|(level, pixel)| *level = to_8_bits(pixel.0));
    }
    Some(square)
}

/// Class indices in a square; each pixel takes the class at its centre, and the background is class 0.
pub(super) fn nearest(classes: &[u8], width: u32, placement: &Placement) -> Vec<u8> {
    let Placement { source, target, side } = *placement;
    let centre = |place: u32, kept: u32, length: u32| {
        // The centre of a pixel, in exact integers: (place + 1/2) * kept / length.
        ((2 * u64::from(place) + 1) * u64::from(kept) / (2 * u64::from(length))) as usize
    };
    let columns: Vec<usize> =
        (0..target.width).map(|column| source.left as usize + centre(column, source.width, target.width)).collect();
    let mut square = vec![0; (side * side) as usize];
    for row in 0..target.height {
        let from = (source.top as usize + centre(row, source.height, target.height)) * width as usize;
        let to = ((target.top + row) * side + target.left) as usize;
        for (place, &column) in square[to..].iter_mut().zip(&columns) {
            *place = classes[from + column];
        }
    }
    square
}

/// 65535 is 255 times 257.
fn to_8_bits(level: u16) -> u8 {
    ((u32::from(level) + 128) / 257) as u8
}

#[cfg(test)]
mod tests {
    use vismae_core::spec::Fit;

    use super::*;

    fn words(deep: &[u16]) -> Vec<U16> {
        deep.iter().copied().map(U16::new).collect()
    }

    fn stretched(deep: &[u16], width: u32, height: u32, side: u32) -> Option<Vec<u8>> {
        levels(&words(deep), width, height, &Placement::new(width, height, side, Fit::Stretch))
    }

    #[test]
    fn a_mask_goes_where_its_image_goes() {
        // A bright bar in the middle of a wide plane.
        let (width, height, side) = (64, 32, 16);
        let bar = |at: u32| (28..36).contains(&(at % width));
        let deep: Vec<u16> = (0..width * height).map(|at| if bar(at) { u16::MAX } else { 0 }).collect();
        let classes: Vec<u8> = (0..width * height).map(|at| u8::from(bar(at))).collect();
        for fit in Fit::ALL {
            let placement = Placement::new(width, height, side, fit);
            let levels = levels(&words(&deep), width, height, &placement).unwrap();
            let mask = nearest(&classes, width, &placement);
            let bright = levels.iter().map(|&level| u8::from(level > 127));
            assert!(bright.eq(mask.iter().copied()), "{fit:?}");
            assert!(mask.contains(&1) && mask.contains(&0));
        }
    }

    #[test]
    fn eight_bit_levels_survive_sixteen_bits_exactly() {
        assert!((0..=255u8).all(|level| to_8_bits(u16::from(level) * 257) == level));
    }

    #[test]
    fn shrinking_averages_instead_of_skipping() {
        let stripes: Vec<u16> = (0..64 * 64).map(|at| if at % 2 == 0 { 0 } else { u16::MAX }).collect();
        let small = stretched(&stripes, 64, 64, 16).unwrap();
        assert!(small.iter().all(|level| (118..=137).contains(level)), "{small:?}");
    }

    #[test]
    fn any_shape_becomes_a_square_and_a_constant_stays_one() {
        for (width, height) in [(1, 1), (900, 12), (16, 16), (3, 200)] {
            let constant = vec![257 * 99; (width * height) as usize];
            assert_eq!(stretched(&constant, width, height, 16).unwrap(), [99; 256], "{width} x {height}");
        }
        assert_eq!(stretched(&[0; 5], 2, 2, 4), None);
    }

    #[test]
    fn masks_take_the_class_at_the_centre_and_make_up_none() {
        assert_eq!(
            nearest(&[0, 7, 7, 0], 2, &Placement::new(2, 2, 4, Fit::Stretch)),
            [0, 0, 7, 7, 0, 0, 7, 7, 7, 7, 0, 0, 7, 7, 0, 0]
        );
        assert_eq!(nearest(&[1, 2, 3, 4, 5, 6, 7, 8, 9], 3, &Placement::new(3, 3, 1, Fit::Stretch)), [5]);
    }
}
