//! Raising the resolution between decoder stages.

use crate::init::{LinearInit, layer_norm};
use tch::Tensor;
use tch::nn::{self, Module};

/// Splits each token into a square of tokens.
#[derive(Debug)]
pub(crate) struct PatchExpand {
    expand: nn::Linear,
    norm: nn::LayerNorm,
    factor: i64,
}

impl PatchExpand {
    /// Twice the resolution, half the channels.
    pub(crate) fn doubling(path: &nn::Path<'_>, channels: i64, eps: f64, init: LinearInit) -> Self {
        PatchExpand {
            expand: init.projection(&(path / "expand"), channels, 2 * channels),
            norm: layer_norm(&(path / "norm"), channels / 2, eps),
            factor: 2,
        }
    }

    /// From patches to pixels: `patch` times the resolution, the same channels.
    pub(crate) fn to_pixels(path: &nn::Path<'_>, channels: i64, patch: i64, eps: f64, init: LinearInit) -> Self {
        PatchExpand {
            expand: init.projection(&(path / "expand"), channels, patch * patch * channels),
            norm: layer_norm(&(path / "norm"), channels, eps),
            factor: patch,
        }
    }

    /// `[N, H, W, C]` to `[N, H * factor, W * factor, outputs]`.
    pub(crate) fn forward(&self, tokens: &Tensor) -> Tensor {
        self.norm.forward(&scatter(&self.expand.forward(tokens), self.factor))
    }
}

/// Lays the channels of a token out as a square: rows first, then columns, then the channels that remain.
fn scatter(tokens: &Tensor, factor: i64) -> Tensor {
    let (_, height, width, channels) = tokens.size4().unwrap_or_default();
    let remaining = channels / (factor * factor);
    tokens.view([-1, height, width, factor, factor, remaining]).permute([0, 1, 3, 2, 4, 5]).reshape([
        -1,
        height * factor,
        width * factor,
        remaining,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn channels_are_laid_out_by_row_then_column() {
        let tokens = Tensor::arange(16, (Kind::Float, Device::Cpu)).view([1, 1, 2, 8]);
        let square = scatter(&tokens, 2);
        assert_eq!(square.size(), [1, 2, 4, 2]);
        let row = |row: i64| Vec::<f32>::try_from(square.get(0).get(row).flatten(0, 1)).unwrap();
        assert_eq!(row(0), [0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(row(1), [4.0, 5.0, 6.0, 7.0, 12.0, 13.0, 14.0, 15.0]);
    }
}
