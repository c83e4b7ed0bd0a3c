//! The shape of the Swin networks that a pipeline trains.

use super::Violations;

/// Shape of a Swin masked autoencoder and of the networks fine-tuned from it.
///
/// Every stage but the last halves the token grid and doubles the width.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Side of the square input, in pixels.
    pub image_size: u32,
    /// Side of a patch, in pixels.
    pub patch_size: u32,
    /// Width of the first stage.
    pub embed_dim: u32,
    /// Blocks in each stage.
    pub depths: Vec<u32>,
    /// Attention heads in each stage.
    pub heads: Vec<u32>,
    /// Side of an attention window, in tokens.
    pub window: u32,
    /// Side of a masking unit, in patches.
    pub mask_unit: u32,
    /// Share of masking units hidden from the encoder.
    pub mask_ratio: f64,
    /// Highest rate of stochastic depth.
    pub drop_path: f64,
    /// Whether the loss compares patches normalised by their own mean and variance.
    pub normalise_targets: bool,
}

impl ModelSpec {
    /// The published network: 224 pixels, 26,635,860 trainable parameters.
    pub fn base() -> Self {
        Self {
            image_size: 224,
            patch_size: 4,
            embed_dim: 96,
            depths: vec![2, 2, 2, 2],
            heads: vec![3, 6, 12, 24],
            window: 7,
            mask_unit: 4,
            mask_ratio: 0.75,
            drop_path: 0.1,
            normalise_targets: false,
        }
    }

    /// The same network at 64 pixels with three stages, for two CPU cores.
    pub fn tiny() -> Self {
        Self {
            image_size: 64,
            embed_dim: 32,
            depths: vec![2, 2, 2],
            heads: vec![2, 4, 8],
            window: 4,
            mask_unit: 2,
            ..Self::base()
        }
    }

    pub(super) fn check(&self, field: &str, violations: &mut Violations) {
        let stages = self.depths.len() as u32;
        let at = |name: &str| format!("{field}.model.{name}");
        violations.require(
            (1..=6).contains(&stages) && self.depths.iter().all(|depth| (1..=64).contains(depth)),
            &at("depths"),
            || format!("is {:?}, expected 1 to 6 stages of 1 to 64 blocks", self.depths),
        );
        violations.require(self.heads.len() == self.depths.len(), &at("heads"), || {
            format!("has {} stages, expected {} as in `depths`", self.heads.len(), self.depths.len())
        });
        for (stage, &heads) in self.heads.iter().enumerate() {
            let width = u64::from(self.embed_dim) << stage.min(16);
            violations.require(heads > 0 && width.is_multiple_of(u64::from(heads.max(1))), &at("heads"), || {
                format!("has {heads} heads at width {width}, expected a divisor of the width")
            });
        }
        violations.require(
            self.patch_size > 0 && self.embed_dim > 0 && self.window > 0 && self.mask_unit > 0,
            &at("patch_size"),
            || "and `embed_dim`, `window`, `mask_unit` must be at least 1".to_owned(),
        );
        let cell = (u64::from(self.patch_size) << stages.saturating_sub(1).min(16)).max(1);
        violations.require(
            self.image_size > 0 && u64::from(self.image_size).is_multiple_of(cell),
            &at("image_size"),
            || format!("is {}, expected a multiple of {cell} (patch size times 2 for each merge)", self.image_size),
        );
        let unit = (u64::from(self.patch_size) * u64::from(self.mask_unit)).max(1);
        violations.require(u64::from(self.image_size).is_multiple_of(unit), &at("mask_unit"), || {
            format!("covers {unit} pixels, expected a divisor of image_size {}", self.image_size)
        });
        violations.require(self.mask_ratio > 0.0 && self.mask_ratio < 1.0, &at("mask_ratio"), || {
            format!("is {}, expected a share between 0 and 1", self.mask_ratio)
        });
        violations.require((0.0..1.0).contains(&self.drop_path), &at("drop_path"), || {
            format!("is {}, expected a rate from 0 to below 1", self.drop_path)
        });
    }
}
