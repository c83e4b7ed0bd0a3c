//! The Swin masked autoencoder: guesses the hidden part of an image from the rest.

use crate::decoder::{Decoder, drop_path_rates};
use crate::drop_path::{DropPath, Mode};
use crate::embed::sine_positions;
use crate::encoder::Encoder;
use crate::init::{LinearInit, SMALL};
use crate::pixels::{patchify, unpatchify};
use crate::{InvalidConfig, SwinConfig};
use tch::nn::{self, Module};
use tch::{Kind, Tensor};

/// Swin-MAE (Xu et al. 2023). The encoder sees every token, the masked ones as one learned token.
#[derive(Debug)]
pub struct SwinMae {
    config: SwinConfig,
    rates: Vec<f64>,
    encoder: Encoder,
    mask_token: Tensor,
    decoder: Decoder,
    predict: nn::Linear,
}

/// What the autoencoder made of a batch.
#[derive(Debug)]
pub struct MaeOutput {
    /// Sum over the masked tokens of the batch of their mean squared error; a scalar.
    pub loss_sum: Tensor,
    /// Number of masked tokens of the batch; a scalar of kind float.
    pub masked_count: Tensor,
    /// The guess for every token, masked or not: `[N, tokens, patch values]`.
    pub prediction: Tensor,
}

impl MaeOutput {
    /// Mean squared error of the masked tokens; zero for an empty batch.
    pub fn loss(&self) -> Tensor {
        &self.loss_sum / self.masked_count.clamp_min(1.0)
    }
}

impl SwinMae {
    /// Builds the network under `path`, with the tensor names of the reference.
    ///
    /// # Errors
    ///
    /// When no such network exists.
    pub fn new(path: &nn::Path<'_>, config: &SwinConfig) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let init = LinearInit::Xavier;
        let channels = config.dim(0);
        // Part of the reference's weights, but never added to a token there either.
        let positions = sine_positions(config.grid(), channels).to_device(path.device());
        let _ = path.add("pos_embed", positions, false);
        Ok(SwinMae {
            rates: drop_path_rates(config),
            encoder: Encoder::new(path, config, init),
            mask_token: path.var("mask_token", &[1, 1, channels], SMALL),
            decoder: Decoder::plain(path, config, init),
            predict: init.linear(&(path / "decoder_pred"), channels, config.patch_values()),
            config: config.clone(),
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &SwinConfig {
        &self.config
    }

    /// Guesses the masked tokens of `images`, `[N, channels, H, W]` as [`normalise_images`](crate::normalise_images)
    /// makes them; `mask` is `[N, tokens]`, 1 where a token is hidden. `N` may be zero.
    ///
    /// # Panics
    ///
    /// When shapes or devices do not fit, or memory is exhausted.
    pub fn forward(&self, images: &Tensor, mask: &Tensor, mode: Mode<'_>) -> MaeOutput {
        let drop_path = DropPath::draw(&self.rates, mode, images.device());
        let tokens = self.encoder.embed(images);
        let grid = self.config.grid();
        let hidden = mask.to_kind(Kind::Bool).view([-1, grid, grid, 1]);
        let tokens = self.mask_token.where_self(&hidden, &tokens);
        let encoded = self.encoder.forward(&tokens, &drop_path);
        let decoded = self.decoder.forward(&encoded, &drop_path).flatten(1, 2);
        let prediction = self.predict.forward(&decoded);
        let errors = (&prediction - self.target(images)).square().mean_dim(-1, false, Kind::Float);
        MaeOutput { loss_sum: (errors * mask).sum(Kind::Float), masked_count: mask.sum(Kind::Float), prediction }
    }

    /// The visible part of `images` with the guesses of `prediction` in place of the rest: `[N, channels, H, W]`.
    pub fn reconstruct(&self, images: &Tensor, mask: &Tensor, prediction: &Tensor) -> Tensor {
        let patches = patchify(images, self.config.patch_size);
        let guess = if self.config.norm_pix_loss {
            let (mean, deviation) = statistics(&patches);
            prediction * deviation + mean
        } else {
            prediction.shallow_clone()
        };
        let mixed = guess.where_self(&mask.to_kind(Kind::Bool).unsqueeze(-1), &patches);
        unpatchify(&mixed, self.config.patch_size, self.config.in_channels)
    }

    fn target(&self, images: &Tensor) -> Tensor {
        let patches = patchify(images, self.config.patch_size);
        if self.config.norm_pix_loss {
            let (mean, deviation) = statistics(&patches);
            (patches - mean) / deviation
        } else {
            patches
        }
    }
}

/// Mean and (unbiased) standard deviation of each patch, the latter kept from zero.
fn statistics(patches: &Tensor) -> (Tensor, Tensor) {
    let mean = patches.mean_dim(-1, true, Kind::Float);
    let variance = patches.var_dim([-1].as_slice(), true, true);
    (mean, (variance + 1e-6).sqrt())
}
