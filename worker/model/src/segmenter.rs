//! The segmenter: encoder and decoder as pre-trained, joined by skip connections, with a head for each pixel.

use crate::decoder::{Decoder, drop_path_rates};
use crate::drop_path::{DropPath, Mode};
use crate::encoder::Encoder;
use crate::expand::PatchExpand;
use crate::init::{LinearInit, convolution};
use crate::{InvalidConfig, SwinConfig};
use tch::Tensor;
use tch::nn;

/// Assigns one of a number of classes to each pixel.
#[derive(Debug)]
pub struct Segmenter {
    rates: Vec<f64>,
    encoder: Encoder,
    decoder: Decoder,
    expand: PatchExpand,
    /// `[classes, E, 1, 1]`, without a bias.
    head: Tensor,
}

impl Segmenter {
    /// Builds the network under `path`; all its tensors but the skip connections, the last expansion and the head have
    /// the autoencoder's names. Class 0 is the background.
    ///
    /// # Errors
    ///
    /// When no such network exists.
    pub fn new(path: &nn::Path<'_>, config: &SwinConfig, classes: i64) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let init = LinearInit::Normal;
        let (channels, eps) = (config.dim(0), config.layer_norm_eps);
        let expand = path / "final_patch_expanding";
        Ok(Segmenter {
            rates: drop_path_rates(config),
            encoder: Encoder::new(path, config, init),
            decoder: Decoder::with_skips(path, config, init),
            expand: PatchExpand::to_pixels(&expand, channels, config.patch_size, eps, init),
            head: (path / "head").var("weight", &[classes, channels, 1, 1], convolution(channels)),
        })
    }

    /// The scores of each class and pixel before softmax, `[N, classes, H, W]`, for images `[N, channels, H, W]`.
    ///
    /// # Panics
    ///
    /// When shapes or devices do not fit, or memory is exhausted.
    pub fn forward(&self, images: &Tensor, mode: Mode<'_>) -> Tensor {
        let drop_path = DropPath::draw(&self.rates, mode, images.device());
        let encoded = self.encoder.forward(&self.encoder.embed(images), &drop_path);
        let pixels = self.expand.forward(&self.decoder.forward(&encoded, &drop_path));
        pixels.linear(&self.head.flatten(1, 3), None::<&Tensor>).permute([0, 3, 1, 2])
    }
}
