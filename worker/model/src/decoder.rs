//! The half that leads back to the first resolution: used to reconstruct, and with skip connections to segment.

use crate::SwinConfig;
use crate::block::Blocks;
use crate::drop_path::DropPath;
use crate::encoder::Encoded;
use crate::expand::PatchExpand;
use crate::init::{LinearInit, convolution, layer_norm};
use tch::Tensor;
use tch::nn::{self, Module};

/// Stages of Swin blocks that mirror the encoder's, with twice the resolution from each to the next.
#[derive(Debug)]
pub(crate) struct Decoder {
    first_expand: PatchExpand,
    stages: Vec<Stage>,
    norm: nn::LayerNorm,
}

#[derive(Debug)]
struct Stage {
    skip: Option<Skip>,
    blocks: Blocks,
    upsample: Option<PatchExpand>,
}

/// Joins what entered an encoder stage with what the decoder made of it, by a convolution of size 1.
#[derive(Debug)]
struct Skip {
    /// `[C, 2 C, 1, 1]`.
    weight: Tensor,
    bias: Tensor,
}

impl Decoder {
    /// A decoder that sees only the last tokens of the encoder.
    pub(crate) fn plain(path: &nn::Path<'_>, config: &SwinConfig, init: LinearInit) -> Self {
        Self::build(path, config, init, |_| None)
    }

    /// A decoder that sees what entered each encoder stage as well.
    pub(crate) fn with_skips(path: &nn::Path<'_>, config: &SwinConfig, init: LinearInit) -> Self {
        Self::build(path, config, init, |index| {
            let channels = config.dim(config.stages() - 2 - index);
            let path = path / "skip_connection_layers" / index;
            let start = convolution(2 * channels);
            Some(Skip {
                weight: path.var("weight", &[channels, 2 * channels, 1, 1], start),
                bias: path.var("bias", &[channels], start),
            })
        })
    }

    fn build(path: &nn::Path<'_>, config: &SwinConfig, init: LinearInit, skip: impl Fn(usize) -> Option<Skip>) -> Self {
        let (last, eps) = (config.stages() - 1, config.layer_norm_eps);
        let expand = path / "first_patch_expanding";
        let first_expand = PatchExpand::doubling(&expand, config.dim(last), eps, init);
        let mut first = (0..=last).map(|stage| config.depth(stage)).sum();
        let stages = (0..last).map(|index| {
            let stage = last - 1 - index;
            let path = path / "layers_up" / index;
            let blocks = Blocks::new(&path, config, stage, first, init);
            first += config.depth(stage);
            let upsample =
                (stage > 0).then(|| PatchExpand::doubling(&(&path / "upsample"), config.dim(stage), eps, init));
            Stage { skip: skip(index), blocks, upsample }
        });
        Decoder { first_expand, stages: stages.collect(), norm: layer_norm(&(path / "norm_up"), config.dim(0), eps) }
    }

    /// The tokens of the first resolution, `[N, grid, grid, E]`, normalised.
    pub(crate) fn forward(&self, encoded: &Encoded, drop_path: &DropPath) -> Tensor {
        let mut tokens = self.first_expand.forward(&encoded.tokens);
        let inputs = encoded.inputs.iter().rev().skip(1);
        for (stage, input) in self.stages.iter().zip(inputs) {
            if let Some(Skip { weight, bias }) = &stage.skip {
                tokens = Tensor::cat(&[&tokens, input], 3).linear(&weight.flatten(1, 3), Some(bias));
            }
            tokens = stage.blocks.forward(&tokens, drop_path);
            if let Some(upsample) = &stage.upsample {
                tokens = upsample.forward(&tokens);
            }
        }
        self.norm.forward(&tokens)
    }
}

/// The drop-path rates of an encoder's blocks followed by its decoder's, by number of block.
pub(crate) fn drop_path_rates(config: &SwinConfig) -> Vec<f64> {
    let rates = config.drop_path_rates();
    let mirrored = rates.iter().rev().skip(1);
    rates.iter().chain(mirrored).flatten().copied().collect()
}
