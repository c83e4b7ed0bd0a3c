//! Attention inside a window, with a learned bias for each offset between two tokens.

use crate::init::{LinearInit, SMALL};
use crate::windows::{Windows, relative_position_index};
use tch::nn::{self, Module};
use tch::{Device, Tensor};

/// Multi-head attention inside windows (Liu et al. 2021).
#[derive(Debug)]
pub(crate) struct WindowAttention {
    qkv: nn::Linear,
    proj: nn::Linear,
    /// `[(2 * window - 1)^2, heads]`.
    bias_table: Tensor,
    /// `[tokens * tokens]`: a row of the table for each pair.
    bias_index: Tensor,
    heads: i64,
}

impl WindowAttention {
    pub(crate) fn new(path: &nn::Path<'_>, channels: i64, heads: i64, window: i64, init: LinearInit) -> Self {
        let offsets = (2 * window - 1) * (2 * window - 1);
        let bias_table = path.var("relative_position_bias_table", &[offsets, heads], SMALL);
        let index = relative_position_index(window).to_device(path.device());
        let index = path.add("relative_position_index", index, false);
        WindowAttention {
            qkv: init.linear(&(path / "qkv"), channels, 3 * channels),
            proj: init.linear(&(path / "proj"), channels, channels),
            bias_table,
            bias_index: index.flatten(0, 1),
            heads,
        }
    }

    /// `[N, grid, grid, C]` to the same shape.
    pub(crate) fn forward(&self, tokens: &Tensor, windows: &Windows) -> Tensor {
        let parts = windows.partition(tokens);
        let (_, length, channels) = parts.size3().unwrap_or_default();
        let [query, key, value] = self.heads_of(&self.qkv.forward(&parts), length, channels);
        let attended = attend(&query, &key, &value, &self.bias(length, windows));
        let joined = attended.transpose(1, 2).reshape([-1, length, channels]);
        windows.merge(&self.proj.forward(&joined))
    }

    /// Queries, keys and values, each `[N * windows, heads, tokens, C / heads]` and contiguous.
    fn heads_of(&self, qkv: &Tensor, length: i64, channels: i64) -> [Tensor; 3] {
        let split = qkv.view([-1, length, 3, self.heads, channels / self.heads]).permute([2, 0, 3, 1, 4]).contiguous();
        [split.select(0, 0), split.select(0, 1), split.select(0, 2)]
    }

    /// What is added to the score of each pair of tokens: `[windows, heads, tokens, tokens]`, or `[1, ...]` where all
    /// windows are alike.
    fn bias(&self, length: i64, windows: &Windows) -> Tensor {
        let rows = self.bias_table.index_select(0, &self.bias_index).view([length, length, self.heads]);
        let bias = rows.permute([2, 0, 1]).unsqueeze(0);
        windows.mask().map_or_else(|| bias.contiguous(), |mask| &bias + mask)
    }
}

/// Softmax attention with an additive bias for each window of an image; windows come image by image.
fn attend(query: &Tensor, key: &Tensor, value: &Tensor, bias: &Tensor) -> Tensor {
    // The fused CPU kernel gives no gradient to the bias, and what stands in for it is slower than plain products.
    if bias.requires_grad() && query.device() == Device::Cpu {
        products(query, key, value, bias)
    } else {
        fused(query, key, value, bias)
    }
}

fn products(query: &Tensor, key: &Tensor, value: &Tensor, bias: &Tensor) -> Tensor {
    let (windows, heads, length, _) = bias.size4().unwrap_or_default();
    let width = *query.size().last().unwrap_or(&1);
    let scaled = query.flatten(0, 1) * (width as f64).powf(-0.5);
    let scores = scaled.bmm(&key.flatten(0, 1).transpose(1, 2)).view([-1, windows, heads, length, length]) + bias;
    let weights = scores.softmax(-1, None).view([-1, length, length]);
    weights.bmm(&value.flatten(0, 1)).view([-1, heads, length, width])
}

fn fused(query: &Tensor, key: &Tensor, value: &Tensor, bias: &Tensor) -> Tensor {
    let (windows, heads, length, _) = bias.size4().unwrap_or_default();
    let images = query.size()[0] / windows;
    let bias = bias.unsqueeze(0).expand([images, -1, -1, -1, -1], false).reshape([-1, heads, length, length]);
    Tensor::scaled_dot_product_attention(query, key, value, Some(&bias), 0.0, false, None::<f64>, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, nn::VarStore};

    /// The formula of the paper, with every intermediate spelt out.
    fn explicit(query: &Tensor, key: &Tensor, value: &Tensor, bias: &Tensor) -> Tensor {
        let (windows, width) = (query.size()[0], query.size()[3]);
        let scores = query.matmul(&key.transpose(2, 3)) / (width as f64).sqrt();
        let scores = scores + bias.repeat([windows / bias.size()[0], 1, 1, 1]);
        scores.softmax(-1, Kind::Float).matmul(value)
    }

    fn close(left: &Tensor, right: &Tensor) -> bool {
        left.allclose(right, 1e-4, 1e-5, false)
    }

    #[test]
    fn attention_equals_the_explicit_formula_in_value_and_gradient() {
        tch::manual_seed(1);
        let (images, heads, length, width) = (2, 3, 16, 8);
        for windows in [1, 4] {
            let leaf = |shape: [i64; 4]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
            let part = || leaf([images * 4, heads, length, width]);
            let inputs = [part(), part(), part(), leaf([windows, heads, length, length])];
            let [query, key, value, bias] = &inputs;
            let expected = explicit(query, key, value, bias);
            let weights = expected.randn_like();
            let gradients =
                |output: &Tensor| Tensor::run_backward(&[(output * &weights).sum(Kind::Float)], &inputs, true, false);
            for way in [attend, products, fused] {
                let found = way(query, key, value, bias);
                assert!(close(&found, &expected));
                assert!(tch::no_grad(|| close(&way(query, key, value, bias), &expected)));
                for (found, expected) in gradients(&found).iter().zip(gradients(&expected)) {
                    assert!(close(found, &expected));
                }
            }
        }
    }

    #[test]
    fn attention_keeps_the_shape_of_a_padded_grid() {
        let store = VarStore::new(Device::Cpu);
        let attention = WindowAttention::new(&store.root(), 12, 3, 4, LinearInit::Xavier);
        let tokens = Tensor::randn([2, 10, 10, 12], (Kind::Float, Device::Cpu));
        for windows in [Windows::aligned(10, 4), Windows::shifted(10, 4, Device::Cpu)] {
            let trained = attention.forward(&tokens, &windows);
            assert_eq!(trained.size(), [2, 10, 10, 12]);
            assert!(close(&trained, &tch::no_grad(|| attention.forward(&tokens, &windows))));
        }
    }
}
