//! The half of the networks that all of them share: from pixels to the tokens of the last stage.

use crate::SwinConfig;
use crate::block::Blocks;
use crate::drop_path::DropPath;
use crate::embed::PatchEmbed;
use crate::init::LinearInit;
use crate::merge::PatchMerge;
use tch::Tensor;
use tch::nn;

/// Stages of Swin blocks, with half the resolution and twice the channels from each to the next.
#[derive(Debug)]
pub(crate) struct Encoder {
    embed: PatchEmbed,
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    blocks: Blocks,
    downsample: Option<PatchMerge>,
}

/// What an encoder leaves.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// `[N, grid, grid, C]` of the last stage.
    pub(crate) tokens: Tensor,
    /// What entered each stage, first stage first.
    pub(crate) inputs: Vec<Tensor>,
}

impl Encoder {
    pub(crate) fn new(path: &nn::Path<'_>, config: &SwinConfig, init: LinearInit) -> Self {
        let embed = PatchEmbed::new(&(path / "patch_embed"), config);
        let mut first = 0;
        let stages = (0..config.stages()).map(|stage| {
            let path = path / "layers" / stage;
            let blocks = Blocks::new(&path, config, stage, first, init);
            first += config.depth(stage);
            let downsample = (stage + 1 < config.stages())
                .then(|| PatchMerge::new(&(&path / "downsample"), config.dim(stage), config.layer_norm_eps, init));
            Stage { blocks, downsample }
        });
        Encoder { embed, stages: stages.collect() }
    }

    /// `[N, channels, H, W]` to the tokens of the first stage, `[N, grid, grid, E]`.
    pub(crate) fn embed(&self, images: &Tensor) -> Tensor {
        self.embed.forward(images)
    }

    /// Runs the stages over embedded tokens.
    pub(crate) fn forward(&self, tokens: &Tensor, drop_path: &DropPath) -> Encoded {
        let mut tokens = tokens.shallow_clone();
        let mut inputs = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            inputs.push(tokens.shallow_clone());
            tokens = stage.blocks.forward(&tokens, drop_path);
            if let Some(downsample) = &stage.downsample {
                tokens = downsample.forward(&tokens);
            }
        }
        Encoded { tokens, inputs }
    }
}
