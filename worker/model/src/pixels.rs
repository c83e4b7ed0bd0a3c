//! Images as tensors: their scale, and their cutting into patches.

use tch::{Kind, Tensor};

/// Mean of the grey values of the pre-training images, on a scale from 0 to 1.
pub const MEAN: f64 = 0.223;

/// Standard deviation of the grey values of the pre-training images, on a scale from 0 to 1.
pub const STANDARD_DEVIATION: f64 = 0.202;

/// Grey images `[N, H, W]` of 8 bits (or floats from 0 to 255) to what the networks take: `[N, 3, H, W]` floats, the
/// channels being three views of one.
pub fn normalise_images(images: &Tensor) -> Tensor {
    let scaled = images.to_kind(Kind::Float) * (1.0 / (255.0 * STANDARD_DEVIATION)) - MEAN / STANDARD_DEVIATION;
    scaled.unsqueeze(1).expand([-1, 3, -1, -1], false)
}

/// The inverse of [`normalise_images`]: `[N, 3, H, W]` to 8-bit `[N, H, W]`, channels averaged, clamped and rounded.
pub fn denormalise_images(images: &Tensor) -> Tensor {
    let grey = images.mean_dim(1, false, Kind::Float);
    ((grey * STANDARD_DEVIATION + MEAN) * 255.0).clamp(0.0, 255.0).round().to_kind(Kind::Uint8)
}

/// Cuts `[N, C, H, W]` into patches `[N, tokens, patch * patch * C]`, in raster order; inside a patch the order is row,
/// column, channel.
pub fn patchify(images: &Tensor, patch: i64) -> Tensor {
    let (_, channels, height, width) = images.size4().unwrap_or_default();
    let (rows, columns) = (height / patch, width / patch);
    images.reshape([-1, channels, rows, patch, columns, patch]).permute([0, 2, 4, 3, 5, 1]).reshape([
        -1,
        rows * columns,
        patch * patch * channels,
    ])
}

/// The inverse of [`patchify`] for square images of `channels` channels.
pub fn unpatchify(patches: &Tensor, patch: i64, channels: i64) -> Tensor {
    let (_, tokens, _) = patches.size3().unwrap_or_default();
    let side = tokens.isqrt();
    patches.reshape([-1, side, side, patch, patch, channels]).permute([0, 5, 1, 3, 2, 4]).reshape([
        -1,
        channels,
        side * patch,
        side * patch,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn scaling_is_undone_exactly() {
        let images = Tensor::arange(256, (Kind::Uint8, Device::Cpu)).view([4, 8, 8]);
        let normal = normalise_images(&images);
        assert_eq!(normal.size(), [4, 3, 8, 8]);
        assert!((normal.double_value(&[0, 2, 0, 0]) + MEAN / STANDARD_DEVIATION).abs() < 1e-6);
        assert!((normal.double_value(&[3, 1, 7, 7]) - (1.0 - MEAN) / STANDARD_DEVIATION).abs() < 1e-5);
        assert!(denormalise_images(&normal).equal(&images));
    }

    #[test]
    fn patches_are_ordered_by_row_column_channel_and_can_be_put_back() {
        let images = Tensor::arange(2 * 3 * 8 * 8, (Kind::Float, Device::Cpu)).view([2, 3, 8, 8]);
        let patches = patchify(&images, 4);
        assert_eq!(patches.size(), [2, 4, 48]);
        // Second patch, second row, third column, last channel.
        let value = patches.double_value(&[0, 1, (4 + 2) * 3 + 2]);
        assert_eq!(value, images.double_value(&[0, 2, 1, 6]));
        assert!(unpatchify(&patches, 4, 3).equal(&images));
    }
}
