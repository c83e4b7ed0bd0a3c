//! Swin blocks, and the row of them that works at one resolution.

use crate::SwinConfig;
use crate::attention::WindowAttention;
use crate::drop_path::{Branch, DropPath};
use crate::init::{LinearInit, layer_norm};
use crate::windows::Windows;
use tch::Tensor;
use tch::nn::{self, Module};

/// Attention in windows and then two linear layers, each normalised before and added to its input.
#[derive(Debug)]
struct Block {
    norm1: nn::LayerNorm,
    attention: WindowAttention,
    norm2: nn::LayerNorm,
    fc1: nn::Linear,
    fc2: nn::Linear,
    /// The block's place among all blocks of the network, by which drop path tells it from the others.
    number: usize,
}

impl Block {
    fn forward(&self, tokens: &Tensor, windows: &Windows, drop_path: &DropPath) -> Tensor {
        let attended = self.attention.forward(&self.norm1.forward(tokens), windows);
        let tokens = drop_path.add(tokens, &attended, self.number, Branch::Attention);
        let hidden = self.fc1.forward(&self.norm2.forward(&tokens)).gelu("none");
        drop_path.add(&tokens, &self.fc2.forward(&hidden), self.number, Branch::Mlp)
    }
}

/// The blocks of one stage; every second one shifts its windows.
#[derive(Debug)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    aligned: Windows,
    shifted: Windows,
}

impl Blocks {
    /// The blocks of `stage` under the name `blocks`; the first of them is number `first` of the network.
    pub(crate) fn new(path: &nn::Path<'_>, config: &SwinConfig, stage: usize, first: usize, init: LinearInit) -> Self {
        let channels = config.dim(stage);
        let hidden = channels * config.mlp_ratio;
        let eps = config.layer_norm_eps;
        let blocks = (0..config.depth(stage)).map(|index| {
            let path = path / "blocks" / index;
            let mlp = &path / "mlp";
            Block {
                norm1: layer_norm(&(&path / "norm1"), channels, eps),
                attention: WindowAttention::new(
                    &(&path / "attn"),
                    channels,
                    config.num_heads[stage],
                    config.window,
                    init,
                ),
                norm2: layer_norm(&(&path / "norm2"), channels, eps),
                fc1: init.linear(&(&mlp / "fc1"), channels, hidden),
                fc2: init.linear(&(&mlp / "fc2"), hidden, channels),
                number: first + index,
            }
        });
        let grid = config.grid_at(stage);
        Blocks {
            blocks: blocks.collect(),
            aligned: Windows::aligned(grid, config.window),
            shifted: Windows::shifted(grid, config.window, path.device()),
        }
    }

    /// `[N, grid, grid, C]` to the same shape.
    pub(crate) fn forward(&self, tokens: &Tensor, drop_path: &DropPath) -> Tensor {
        let mut tokens = tokens.shallow_clone();
        for (index, block) in self.blocks.iter().enumerate() {
            let windows = if index % 2 == 0 { &self.aligned } else { &self.shifted };
            tokens = block.forward(&tokens, windows, drop_path);
        }
        tokens
    }
}
