//! How weights start.

use tch::nn::{self, Init};

/// How the weights of linear layers start; their biases start at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinearInit {
    /// Uniform, with a bound that keeps the variance of activations and gradients (Glorot and Bengio 2010).
    Xavier,
    /// Normal with standard deviation 0.02. The reference cuts at ±2, a hundred deviations away: the cut never acts.
    Normal,
}

/// Normal with standard deviation 0.02, for tokens and bias tables.
pub(crate) const SMALL: Init = Init::Randn { mean: 0.0, stdev: 0.02 };

impl LinearInit {
    /// A linear layer with a bias.
    pub(crate) fn linear(self, path: &nn::Path<'_>, inputs: i64, outputs: i64) -> nn::Linear {
        let config = nn::LinearConfig { bias: true, ..self.config(inputs, outputs) };
        nn::linear(path, inputs, outputs, config)
    }

    /// A linear layer without a bias.
    pub(crate) fn projection(self, path: &nn::Path<'_>, inputs: i64, outputs: i64) -> nn::Linear {
        let config = nn::LinearConfig { bias: false, ..self.config(inputs, outputs) };
        nn::linear(path, inputs, outputs, config)
    }

    fn config(self, inputs: i64, outputs: i64) -> nn::LinearConfig {
        let ws_init = match self {
            LinearInit::Xavier => {
                let bound = (6.0 / (inputs + outputs) as f64).sqrt();
                Init::Uniform { lo: -bound, up: bound }
            }
            LinearInit::Normal => SMALL,
        };
        nn::LinearConfig { ws_init, bs_init: Some(Init::Const(0.0)), bias: true }
    }
}

/// PyTorch's default for convolutions, weight and bias alike: uniform, bounded by one over the root of the inputs.
pub(crate) fn convolution(inputs: i64) -> Init {
    let bound = 1.0 / (inputs as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

/// Layer normalisation over the last dimension.
pub(crate) fn layer_norm(path: &nn::Path<'_>, channels: i64, eps: f64) -> nn::LayerNorm {
    nn::layer_norm(path, vec![channels], nn::LayerNormConfig { eps, ..Default::default() })
}
