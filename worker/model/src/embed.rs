//! From pixels to tokens, and where a token lies.

use crate::SwinConfig;
use crate::init::{convolution, layer_norm};
use tch::nn::{self, Module};
use tch::{Kind, Tensor};

/// Cuts an image into patches, each of which becomes a normalised token.
#[derive(Debug)]
pub(crate) struct PatchEmbed {
    /// `[E, channels, patch, patch]`: a convolution whose stride is its size.
    weight: Tensor,
    bias: Tensor,
    norm: nn::LayerNorm,
    patch: i64,
}

impl PatchEmbed {
    pub(crate) fn new(path: &nn::Path<'_>, config: &SwinConfig) -> Self {
        let (patch, channels, outputs) = (config.patch_size, config.in_channels, config.embed_dim);
        let init = convolution(config.patch_values());
        let proj = path / "proj";
        PatchEmbed {
            weight: proj.var("weight", &[outputs, channels, patch, patch], init),
            bias: proj.var("bias", &[outputs], init),
            norm: layer_norm(&(path / "norm"), outputs, config.layer_norm_eps),
            patch,
        }
    }

    /// `[N, channels, H, W]` to `[N, H / patch, W / patch, E]`.
    pub(crate) fn forward(&self, images: &Tensor) -> Tensor {
        let (_, channels, height, width) = images.size4().unwrap_or_default();
        let (rows, columns) = (height / self.patch, width / self.patch);
        // A convolution without overlap is one matrix product, and gives channels last without another copy.
        let patches = images
            .reshape([-1, channels, rows, self.patch, columns, self.patch])
            .permute([0, 2, 4, 1, 3, 5])
            .flatten(3, 5);
        self.norm.forward(&patches.linear(&self.weight.flatten(1, 3), Some(&self.bias)))
    }
}

/// Sine and cosine positions of a square grid, `[1, grid * grid, channels]`: the first half of the channels for the
/// column, the second for the row, each as sines and then cosines (He et al. 2022).
pub(crate) fn sine_positions(grid: i64, channels: i64) -> Tensor {
    let waves = channels / 4;
    let frequency = |wave: i64| 10_000_f64.powf(-(wave as f64) / waves as f64);
    let mut values = Vec::new();
    for token in 0..grid * grid {
        for place in [token % grid, token / grid] {
            let angles = (0..waves).map(|wave| place as f64 * frequency(wave));
            values.extend(angles.clone().map(f64::sin));
            values.extend(angles.map(f64::cos));
        }
    }
    Tensor::from_slice(&values).view([1, grid * grid, channels]).to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, nn::VarStore};

    #[test]
    fn embedding_equals_a_strided_convolution() {
        tch::manual_seed(2);
        let config = SwinConfig::tiny();
        let store = VarStore::new(Device::Cpu);
        let embed = PatchEmbed::new(&store.root(), &config);
        let images = Tensor::randn([2, 3, 64, 64], (Kind::Float, Device::Cpu));
        let convolved =
            images.conv2d(&embed.weight, Some(&embed.bias), [4, 4], [0, 0], [1, 1], 1).permute([0, 2, 3, 1]);
        let expected = embed.norm.forward(&convolved);
        assert!(embed.forward(&images).allclose(&expected, 1e-4, 1e-5, false));
    }

    #[test]
    fn the_first_position_is_all_zeros_and_ones() {
        let positions = sine_positions(4, 8);
        assert_eq!(positions.size(), [1, 16, 8]);
        let first: Vec<f32> = Vec::try_from(positions.get(0).get(0)).unwrap();
        assert_eq!(first, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        // Token 1 lies one column to the right: only the first half changes.
        let second: Vec<f32> = Vec::try_from(positions.get(0).get(1)).unwrap();
        assert!((second[0] - 1_f32.sin()).abs() < 1e-6);
        assert_eq!(second[4..], first[4..]);
    }
}
