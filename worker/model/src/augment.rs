//! Keyed changes to training images that keep their meaning.
//!
//! What happens to a sample depends on its key alone. Images are `[N, C, H, W]`, label masks `[N, H, W]`; the same keys
//! move both alike.

use crate::Key;
use tch::{Kind, Tensor};

/// Separates the choice to flip from the other choices made with a sample's key.
const FLIP_STREAM: u64 = 0x464C_4950;

/// Separates the choice of an affine map from the other choices made with a sample's key.
const AFFINE_STREAM: u64 = 0x4146_464E;

/// Mirrors half of the samples, left to right; the width is the last dimension of `images`.
pub fn horizontal_flip(images: &Tensor, keys: &[Key]) -> Tensor {
    let chosen: Vec<bool> = keys.iter().map(|key| key.with(FLIP_STREAM).bits(0) & 1 == 1).collect();
    let mut shape = vec![1; images.dim()];
    shape[0] = keys.len() as i64;
    let chosen = Tensor::from_slice(&chosen).to_device(images.device()).view(shape.as_slice());
    images.flip([-1]).where_self(&chosen, images)
}

/// How far a random affine map may go; each number is drawn evenly from minus to plus its limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffineLimits {
    /// Rotation, in degrees.
    pub degrees: f64,
    /// Shift along each axis, as a share of the side.
    pub shift: f64,
    /// Change of size, as a share of it.
    pub scale: f64,
}

/// A map from places in the result to places in the source, for each sample of a batch.
#[derive(Debug)]
pub struct Affine {
    /// `[N, 2, 3]`, in coordinates from -1 to 1.
    maps: Tensor,
}

impl Affine {
    /// Draws a map for each key.
    pub fn draw(keys: &[Key], limits: &AffineLimits) -> Self {
        let mut maps = Vec::with_capacity(keys.len() * 6);
        for key in keys {
            let key = key.with(AFFINE_STREAM);
            let (sine, cosine) = (limits.degrees * key.signed_unit(0)).to_radians().sin_cos();
            let size = 1.0 + limits.scale * key.signed_unit(1);
            // A side is two units long in these coordinates.
            let shift = [2, 3].map(|counter| 2.0 * limits.shift * key.signed_unit(counter));
            let rows = [cosine / size, -sine / size, shift[0], sine / size, cosine / size, shift[1]];
            maps.extend(rows.map(|number| number as f32));
        }
        Affine { maps: Tensor::from_slice(&maps).view([keys.len() as i64, 2, 3]) }
    }

    /// Moves float images `[N, C, H, W]`, mixing neighbouring pixels; what comes from outside repeats the border.
    pub fn apply_to_images(&self, images: &Tensor) -> Tensor {
        self.sample(images, Interpolation::Bilinear, Padding::Border)
    }

    /// Moves label masks `[N, H, W]` without inventing labels; what comes from outside is class 0.
    pub fn apply_to_masks(&self, masks: &Tensor) -> Tensor {
        let moved = self.sample(&masks.unsqueeze(1).to_kind(Kind::Float), Interpolation::Nearest, Padding::Zeros);
        moved.squeeze_dim(1).to_kind(masks.kind())
    }

    fn sample(&self, images: &Tensor, interpolation: Interpolation, padding: Padding) -> Tensor {
        let maps = self.maps.to_device(images.device());
        let grid = Tensor::affine_grid_generator(&maps, images.size(), false);
        images.grid_sampler(&grid, interpolation as i64, padding as i64, false)
    }
}

/// The numbers by which libtorch's grid sampler knows how to read between pixels.
#[derive(Debug, Clone, Copy)]
enum Interpolation {
    Bilinear = 0,
    Nearest = 1,
}

/// The numbers by which libtorch's grid sampler knows how to read beyond the image.
#[derive(Debug, Clone, Copy)]
enum Padding {
    Zeros = 0,
    Border = 1,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    const NOWHERE: AffineLimits = AffineLimits { degrees: 0.0, shift: 0.0, scale: 0.0 };

    fn keys(count: u64) -> Vec<Key> {
        (0..count).map(|sample| Key::root(4).with(sample)).collect()
    }

    #[test]
    fn about_half_are_flipped_and_masks_with_them() {
        let images = Tensor::from_slice(&[1_i64, 2, 3]).view([1, 1, 1, 3]).expand([400, 1, 1, 3], false);
        let flipped = horizontal_flip(&images, &keys(400));
        let count = flipped.select(3, 0).eq(3).sum(Kind::Int64).int64_value(&[]);
        assert!((150..250).contains(&count), "{count}");
        let masks = horizontal_flip(&images.squeeze_dim(1), &keys(400));
        assert!(masks.equal(&flipped.squeeze_dim(1)));
    }

    #[test]
    fn a_sample_is_moved_alike_in_every_batch() {
        let images = Tensor::rand([4, 1, 8, 8], (Kind::Float, Device::Cpu));
        let limits = AffineLimits { degrees: 20.0, shift: 0.1, scale: 0.1 };
        let all = Affine::draw(&keys(4), &limits).apply_to_images(&images);
        let last = Affine::draw(&keys(4)[3..], &limits).apply_to_images(&images.narrow(0, 3, 1));
        assert!(all.narrow(0, 3, 1).allclose(&last, 1e-6, 1e-6, false));
        assert!(!all.allclose(&images, 1e-3, 1e-3, false));
    }

    #[test]
    fn limits_of_zero_move_nothing() {
        let images = Tensor::rand([2, 3, 8, 8], (Kind::Float, Device::Cpu));
        let affine = Affine::draw(&keys(2), &NOWHERE);
        assert!(affine.apply_to_images(&images).allclose(&images, 1e-5, 1e-5, false));
        let masks = Tensor::randint(3, [2, 8, 8], (Kind::Int64, Device::Cpu));
        assert!(affine.apply_to_masks(&masks).equal(&masks));
    }

    #[test]
    fn masks_keep_to_their_labels() {
        let masks = Tensor::randint(2, [4, 16, 16], (Kind::Int64, Device::Cpu)) * 5;
        let limits = AffineLimits { degrees: 45.0, shift: 0.3, scale: 0.2 };
        let moved = Affine::draw(&keys(4), &limits).apply_to_masks(&masks);
        assert_eq!(moved.kind(), Kind::Int64);
        let strays = (moved.ne(0).logical_and(&moved.ne(5))).sum(Kind::Int64).int64_value(&[]);
        assert_eq!(strays, 0);
    }
}
