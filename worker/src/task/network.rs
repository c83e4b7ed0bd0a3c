//! From a specification to the networks, optimisers and schedules that train it.

use std::collections::BTreeMap;

use tch::Tensor;
use tch::nn::VarStore;
use vismae_c10d::{AdamWOptions, FusedAdamW};
use vismae_core::spec::{ModelSpec, OptimiserSpec};
use vismae_model::{SwinConfig, WarmupCosine};

/// The betas of VISION-MAE's recipe.
const BETAS: (f64, f64) = (0.9, 0.95);
/// libtorch's default.
const EPSILON: f64 = 1e-8;

/// The network's configuration; what the specification leaves open is as published.
pub(super) fn config(spec: &ModelSpec) -> SwinConfig {
    let wide = |sizes: &[u32]| sizes.iter().copied().map(i64::from).collect();
    SwinConfig {
        image_size: spec.image_size.into(),
        patch_size: spec.patch_size.into(),
        embed_dim: spec.embed_dim.into(),
        depths: wide(&spec.depths),
        num_heads: wide(&spec.heads),
        window: spec.window.into(),
        drop_path: spec.drop_path,
        mask_unit: spec.mask_unit.into(),
        mask_ratio: spec.mask_ratio,
        norm_pix_loss: spec.normalise_targets,
        ..SwinConfig::base()
    }
}

/// The network in words.
pub(super) fn describe(spec: &ModelSpec) -> String {
    let depths = Vec::from_iter(spec.depths.iter().map(u32::to_string)).join("-");
    format!("Swin-MAE, {} px, depths {depths}, width {}, window {}", spec.image_size, spec.embed_dim, spec.window)
}

/// What a run was told, for its results: by the keys of the job file, and the version of this program.
pub(super) fn settings(batch: (&str, u32), seed: u64, spec: &OptimiserSpec) -> Vec<(String, String)> {
    let (batch_key, batch) = batch;
    [
        (batch_key, batch.to_string()),
        ("learning_rate", spec.learning_rate.to_string()),
        ("weight_decay", spec.weight_decay.to_string()),
        ("warmup_epochs", spec.warmup_epochs.to_string()),
        ("clip_norm", spec.clip_norm.map_or_else(|| "none".to_owned(), |norm| norm.to_string())),
        ("seed", seed.to_string()),
        ("vismae", env!("CARGO_PKG_VERSION").to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec()
}

/// Fixes the first weights of a network that is built next. libtorch takes the seed's bits as a signed number.
pub(super) fn seed(seed: u64) {
    tch::manual_seed(seed.cast_signed());
}

/// Every tensor in the order of the names, which is the same in every process.
pub(super) fn in_order(variables: &VarStore) -> Vec<Tensor> {
    BTreeMap::from_iter(variables.variables()).into_values().collect()
}

/// The trainable tensors, in the same order.
pub(super) fn trainable(variables: &VarStore) -> Vec<Tensor> {
    in_order(variables).into_iter().filter(Tensor::requires_grad).collect()
}

/// How many numbers are trained.
pub(super) fn parameter_count(variables: &VarStore) -> u64 {
    trainable(variables).iter().map(|tensor| tensor.numel() as u64).sum()
}

pub(super) fn optimiser(parameters: &[Tensor], spec: &OptimiserSpec) -> FusedAdamW {
    let options = AdamWOptions { beta1: BETAS.0, beta2: BETAS.1, epsilon: EPSILON, weight_decay: spec.weight_decay };
    FusedAdamW::new(parameters.iter().map(Tensor::shallow_clone).collect(), options)
}

pub(super) fn schedule(spec: &OptimiserSpec, steps_per_epoch: u64, epochs: u32) -> WarmupCosine {
    let warmup_steps = (spec.warmup_epochs * steps_per_epoch as f64).round() as u64;
    let total_steps = steps_per_epoch * u64::from(epochs);
    WarmupCosine { peak: spec.learning_rate, lowest: 0.0, warmup_steps, total_steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_sizes_are_those_of_the_model() {
        assert_eq!(config(&ModelSpec::base()), SwinConfig::base());
        assert_eq!(config(&ModelSpec::tiny()), SwinConfig::tiny());
    }

    #[test]
    fn the_rate_rises_over_the_warm_up_and_ends_at_zero() {
        let spec = OptimiserSpec { learning_rate: 1e-3, weight_decay: 0.05, warmup_epochs: 0.5, clip_norm: None };
        let schedule = schedule(&spec, 10, 4);
        assert_eq!((schedule.warmup_steps, schedule.total_steps), (5, 40));
        assert!(schedule.at(0) < schedule.at(5));
        assert!((schedule.at(5) - 1e-3).abs() < 1e-6);
        assert!(schedule.at(39) < 1e-5);
    }
}
