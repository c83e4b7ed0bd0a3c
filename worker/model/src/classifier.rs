//! The classifier: the encoder as pre-trained, with a new head.

use crate::drop_path::{DropPath, Mode};
use crate::encoder::Encoder;
use crate::init::{LinearInit, layer_norm};
use crate::{InvalidConfig, SwinConfig};
use tch::nn::{self, Module};
use tch::{Kind, Tensor};

/// Assigns one of a number of classes to an image.
#[derive(Debug)]
pub struct Classifier {
    rates: Vec<f64>,
    encoder: Encoder,
    norm: nn::LayerNorm,
    head: nn::Linear,
}

impl Classifier {
    /// Builds the network under `path`; all its tensors but `norm` and `head` have the autoencoder's names.
    ///
    /// # Errors
    ///
    /// When no such network exists.
    pub fn new(path: &nn::Path<'_>, config: &SwinConfig, classes: i64) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let init = LinearInit::Normal;
        let channels = config.dim(config.stages() - 1);
        Ok(Classifier {
            rates: config.drop_path_rates().concat(),
            encoder: Encoder::new(path, config, init),
            norm: layer_norm(&(path / "norm"), channels, config.layer_norm_eps),
            head: init.linear(&(path / "head"), channels, classes),
        })
    }

    /// The scores of each class before softmax, `[N, classes]`, for images `[N, channels, H, W]`.
    ///
    /// # Panics
    ///
    /// When shapes or devices do not fit, or memory is exhausted.
    pub fn forward(&self, images: &Tensor, mode: Mode<'_>) -> Tensor {
        let drop_path = DropPath::draw(&self.rates, mode, images.device());
        let encoded = self.encoder.forward(&self.encoder.embed(images), &drop_path);
        let pooled = self.norm.forward(&encoded.tokens).mean_dim([1, 2].as_slice(), false, Kind::Float);
        self.head.forward(&pooled)
    }
}
