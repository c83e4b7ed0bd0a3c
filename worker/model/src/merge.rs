//! Halving the resolution between encoder stages.

use crate::init::{LinearInit, layer_norm};
use tch::Tensor;
use tch::nn::{self, Module};

/// Joins each square of four tokens into one of twice the channels.
#[derive(Debug)]
pub(crate) struct PatchMerge {
    norm: nn::LayerNorm,
    reduction: nn::Linear,
}

impl PatchMerge {
    pub(crate) fn new(path: &nn::Path<'_>, channels: i64, eps: f64, init: LinearInit) -> Self {
        PatchMerge {
            norm: layer_norm(&(path / "norm"), 4 * channels, eps),
            reduction: init.projection(&(path / "reduction"), 4 * channels, 2 * channels),
        }
    }

    /// `[N, H, W, C]` to `[N, H / 2, W / 2, 2 C]`.
    pub(crate) fn forward(&self, tokens: &Tensor) -> Tensor {
        self.reduction.forward(&self.norm.forward(&gather(tokens)))
    }
}

/// Puts the channels of four tokens behind each other: column by column, each from top to bottom.
fn gather(tokens: &Tensor) -> Tensor {
    let (_, height, width, channels) = tokens.size4().unwrap_or_default();
    tokens.view([-1, height / 2, 2, width / 2, 2, channels]).permute([0, 1, 3, 4, 2, 5]).reshape([
        -1,
        height / 2,
        width / 2,
        4 * channels,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn tokens_are_gathered_column_by_column() {
        let tokens = Tensor::arange(16, (Kind::Float, Device::Cpu)).view([1, 4, 4, 1]);
        let first: Vec<f32> = Vec::try_from(gather(&tokens).get(0).get(0).get(0)).unwrap();
        // (0,0), (1,0), (0,1), (1,1) in (row, column).
        assert_eq!(first, [0.0, 4.0, 1.0, 5.0]);
        let last: Vec<f32> = Vec::try_from(gather(&tokens).get(0).get(1).get(1)).unwrap();
        assert_eq!(last, [10.0, 14.0, 11.0, 15.0]);
    }
}
