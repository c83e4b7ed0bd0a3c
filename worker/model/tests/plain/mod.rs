//! Swin-MAE once more, in plain numbers: one token at a time, by coordinates instead of rolls and reshapes.

use std::collections::BTreeMap;
use std::f64::consts::PI;
use tch::nn::VarStore;
use tch::{Kind, Tensor};
use vismae_model::SwinConfig;

/// A square grid of tokens, row by row.
pub(crate) type Tokens = Vec<Vec<f64>>;

/// The network, as nothing but its weights.
pub(crate) struct Plain {
    weights: BTreeMap<String, Vec<f64>>,
    config: SwinConfig,
}

pub(crate) fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

impl Plain {
    pub(crate) fn new(store: &VarStore, config: &SwinConfig) -> Self {
        let weights = store.variables().into_iter().map(|(name, tensor)| (name, numbers(&tensor))).collect();
        Plain { weights, config: config.clone() }
    }

    /// The guess for each token, given an image as `[channel][row][column]`.
    pub(crate) fn predict(&self, image: &[Vec<Vec<f64>>], masked: &[bool]) -> Tokens {
        let stages = self.config.stages();
        let mut tokens = self.embed(image);
        for (token, _) in tokens.iter_mut().zip(masked).filter(|(_, masked)| **masked) {
            token.clone_from(&self.weights["mask_token"]);
        }
        for stage in 0..stages {
            tokens = self.blocks(&format!("layers.{stage}"), tokens, stage);
            if stage + 1 < stages {
                tokens = self.merge(&format!("layers.{stage}.downsample"), &tokens, self.grid(stage));
            }
        }
        tokens = self.expand("first_patch_expanding", &tokens, self.grid(stages - 1));
        for index in 0..stages - 1 {
            let stage = stages - 2 - index;
            tokens = self.blocks(&format!("layers_up.{index}"), tokens, stage);
            if stage > 0 {
                tokens = self.expand(&format!("layers_up.{index}.upsample"), &tokens, self.grid(stage));
            }
        }
        tokens.iter().map(|token| self.linear("decoder_pred", &self.norm("norm_up", token))).collect()
    }

    fn grid(&self, stage: usize) -> usize {
        usize::try_from(self.config.grid_at(stage)).unwrap()
    }

    fn embed(&self, image: &[Vec<Vec<f64>>]) -> Tokens {
        let (patch, grid) = (usize::try_from(self.config.patch_size).unwrap(), self.grid(0));
        let mut tokens = Tokens::new();
        for token in 0..grid * grid {
            let (top, left) = (token / grid * patch, token % grid * patch);
            let mut pixels = Vec::new();
            for channel in image {
                for row in &channel[top..top + patch] {
                    pixels.extend_from_slice(&row[left..left + patch]);
                }
            }
            tokens.push(self.norm("patch_embed.norm", &self.linear("patch_embed.proj", &pixels)));
        }
        tokens
    }

    fn blocks(&self, name: &str, mut tokens: Tokens, stage: usize) -> Tokens {
        for block in 0..usize::try_from(self.config.depths[stage]).unwrap() {
            let name = format!("{name}.blocks.{block}");
            let shift = if block % 2 == 0 { 0 } else { usize::try_from(self.config.window / 2).unwrap() };
            let normed: Tokens = tokens.iter().map(|token| self.norm(&format!("{name}.norm1"), token)).collect();
            let attended = self.attention(&format!("{name}.attn"), &normed, stage, shift);
            tokens = add(&tokens, &attended);
            let hidden = |token: &Vec<f64>| {
                let inner = self.linear(&format!("{name}.mlp.fc1"), &self.norm(&format!("{name}.norm2"), token));
                self.linear(&format!("{name}.mlp.fc2"), &inner.into_iter().map(gelu).collect::<Vec<f64>>())
            };
            tokens = add(&tokens, &tokens.iter().map(hidden).collect());
        }
        tokens
    }

    /// Each token looks at those that share its window and, where windows wrap around, its side of the image.
    fn attention(&self, name: &str, tokens: &Tokens, stage: usize, shift: usize) -> Tokens {
        let (grid, window) = (self.grid(stage), usize::try_from(self.config.window).unwrap());
        let (heads, channels) = (usize::try_from(self.config.num_heads[stage]).unwrap(), tokens[0].len());
        let padded = grid.div_ceil(window) * window;
        let width = channels / heads;
        let table = &self.weights[&format!("{name}.relative_position_bias_table")];
        let zeros = vec![0.0; channels];
        let qkv: Tokens = (0..padded * padded)
            .map(|place| {
                let (row, column) = (place / padded, place % padded);
                let inside = row < grid && column < grid;
                self.linear(&format!("{name}.qkv"), if inside { &tokens[row * grid + column] } else { &zeros })
            })
            .collect();
        // Along one axis: the window, the place in it, and whether the place wrapped around.
        let axis = |place: usize| {
            let moved = (place + padded - shift) % padded;
            (moved / window, moved % window, place < shift)
        };
        let mut attended = Tokens::new();
        for query in (0..padded * padded).filter(|place| place / padded < grid && place % padded < grid) {
            let (query_row, query_column) = (axis(query / padded), axis(query % padded));
            let mut output = Vec::new();
            for head in 0..heads {
                let part = |place: usize, kind: usize| &qkv[place][kind * channels + head * width..][..width];
                let mut scores = Vec::new();
                for key in 0..padded * padded {
                    let (key_row, key_column) = (axis(key / padded), axis(key % padded));
                    if query_row.0 != key_row.0 || query_column.0 != key_column.0 {
                        continue;
                    }
                    let offset = |query: usize, key: usize| query + window - 1 - key;
                    let entry =
                        offset(query_row.1, key_row.1) * (2 * window - 1) + offset(query_column.1, key_column.1);
                    let product: f64 = part(query, 0).iter().zip(part(key, 1)).map(|(left, right)| left * right).sum();
                    let apart = query_row.2 != key_row.2 || query_column.2 != key_column.2;
                    let penalty = if apart { -100.0 } else { 0.0 };
                    scores.push((key, product / (width as f64).sqrt() + table[entry * heads + head] + penalty));
                }
                let total: f64 = scores.iter().map(|(_, score)| score.exp()).sum();
                for channel in 0..width {
                    output.push(scores.iter().map(|(key, score)| score.exp() / total * part(*key, 2)[channel]).sum());
                }
            }
            attended.push(self.linear(&format!("{name}.proj"), &output));
        }
        attended
    }

    fn merge(&self, name: &str, tokens: &Tokens, grid: usize) -> Tokens {
        let mut merged = Tokens::new();
        for row in (0..grid).step_by(2) {
            for column in (0..grid).step_by(2) {
                let corners = [(0, 0), (1, 0), (0, 1), (1, 1)];
                let joined: Vec<f64> =
                    corners.iter().flat_map(|(y, x)| tokens[(row + y) * grid + column + x].clone()).collect();
                merged.push(self.linear(&format!("{name}.reduction"), &self.norm(&format!("{name}.norm"), &joined)));
            }
        }
        merged
    }

    fn expand(&self, name: &str, tokens: &Tokens, grid: usize) -> Tokens {
        let mut expanded = vec![Vec::new(); tokens.len() * 4];
        for (place, token) in tokens.iter().enumerate() {
            let wide = self.linear(&format!("{name}.expand"), token);
            for (corner, part) in wide.chunks(wide.len() / 4).enumerate() {
                let (row, column) = (place / grid * 2 + corner / 2, place % grid * 2 + corner % 2);
                expanded[row * grid * 2 + column] = self.norm(&format!("{name}.norm"), part);
            }
        }
        expanded
    }

    fn linear(&self, name: &str, input: &[f64]) -> Vec<f64> {
        let rows = self.weights[&format!("{name}.weight")].chunks(input.len());
        let bias = self.weights.get(&format!("{name}.bias"));
        rows.enumerate()
            .map(|(index, row)| {
                let sum: f64 = row.iter().zip(input).map(|(weight, value)| weight * value).sum();
                sum + bias.map_or(0.0, |bias| bias[index])
            })
            .collect()
    }

    fn norm(&self, name: &str, input: &[f64]) -> Vec<f64> {
        let count = input.len() as f64;
        let mean = input.iter().sum::<f64>() / count;
        let variance = input.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (variance + self.config.layer_norm_eps).sqrt();
        let (weight, bias) = (&self.weights[&format!("{name}.weight")], &self.weights[&format!("{name}.bias")]);
        let affine = input.iter().zip(weight).zip(bias);
        affine.map(|((value, weight), bias)| (value - mean) * scale * weight + bias).collect()
    }
}

fn add(left: &Tokens, right: &Tokens) -> Tokens {
    let sum =
        |(left, right): (&Vec<f64>, &Vec<f64>)| left.iter().zip(right).map(|(left, right)| left + right).collect();
    left.iter().zip(right).map(sum).collect()
}

fn gelu(value: f64) -> f64 {
    0.5 * value * (1.0 + erf(value / 2_f64.sqrt()))
}

/// The Maclaurin series of the error function, which is 1 to the last bit beyond 6.
fn erf(value: f64) -> f64 {
    if value.abs() > 6.0 {
        return value.signum();
    }
    let (mut term, mut sum) = (value, value);
    for index in 1..200 {
        let index = f64::from(index);
        term *= -value * value / index;
        sum += term / (2.0 * index + 1.0);
    }
    sum * 2.0 / PI.sqrt()
}
