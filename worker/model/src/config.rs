//! The size of a network, and whether it is possible.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that fixes the shapes and the arithmetic of a Swin masked autoencoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwinConfig {
    /// Side of the square input, in pixels.
    pub image_size: i64,
    /// Side of a patch, in pixels: one token.
    pub patch_size: i64,
    /// Channels of the input; grey images are replicated.
    pub in_channels: i64,
    /// Channels of a token in the first stage; they double with each stage.
    pub embed_dim: i64,
    /// Blocks in each stage, first stage first.
    pub depths: Vec<i64>,
    /// Attention heads in each stage.
    pub num_heads: Vec<i64>,
    /// Side of an attention window, in tokens.
    pub window: i64,
    /// Width of a block's hidden layer, in multiples of its channels.
    pub mlp_ratio: i64,
    /// Drop-path rate of the last encoder block; the first has none, those between rise evenly.
    pub drop_path: f64,
    /// Side of the square that is masked as one, in patches.
    pub mask_unit: i64,
    /// Share of the mask units that is hidden.
    pub mask_ratio: f64,
    /// Whether each patch is normalised by its own mean and variance before it is a target.
    pub norm_pix_loss: bool,
    /// Added to the variance in layer normalisation.
    pub layer_norm_eps: f64,
}

impl SwinConfig {
    /// The network of the paper: 224 pixels, four stages of two blocks, 26,635,860 trainable parameters.
    pub fn base() -> Self {
        SwinConfig {
            image_size: 224,
            patch_size: 4,
            in_channels: 3,
            embed_dim: 96,
            depths: vec![2, 2, 2, 2],
            num_heads: vec![3, 6, 12, 24],
            window: 7,
            mlp_ratio: 4,
            drop_path: 0.1,
            mask_unit: 4,
            mask_ratio: 0.75,
            norm_pix_loss: false,
            layer_norm_eps: 1e-6,
        }
    }

    /// A network that trains in minutes on two CPU cores: 64 pixels, three stages of two blocks, no padding anywhere.
    pub fn tiny() -> Self {
        SwinConfig {
            image_size: 64,
            embed_dim: 32,
            depths: vec![2, 2, 2],
            num_heads: vec![2, 4, 8],
            window: 4,
            mask_unit: 2,
            ..Self::base()
        }
    }

    /// Checks that a network of this configuration can be built.
    ///
    /// # Errors
    ///
    /// Every fault at once.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let mut faults = Vec::new();
        let sizes = [
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
            ("in_channels", self.in_channels),
            ("embed_dim", self.embed_dim),
            ("window", self.window),
            ("mlp_ratio", self.mlp_ratio),
            ("mask_unit", self.mask_unit),
        ];
        let lists = [("depths", &self.depths), ("num_heads", &self.num_heads)];
        let listed = lists.iter().flat_map(|&(name, list)| list.iter().map(move |&size| (name, size)));
        for (field, value) in sizes.into_iter().chain(listed) {
            if value < 1 {
                faults.push(ConfigFault::NotPositive { field, value });
            }
        }
        if self.depths.len() < 2 || self.depths.len() != self.num_heads.len() {
            let (depths, num_heads) = (self.depths.len(), self.num_heads.len());
            faults.push(ConfigFault::Stages { depths, num_heads });
        }
        for (field, value) in [("drop_path", self.drop_path), ("mask_ratio", self.mask_ratio)] {
            if !(0.0..1.0).contains(&value) {
                faults.push(ConfigFault::NotAShare { field, value });
            }
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps.is_finite()) {
            faults.push(ConfigFault::Epsilon { value: self.layer_norm_eps });
        }
        // The rest divides by what was checked so far.
        if faults.is_empty() {
            self.check_divisions(&mut faults);
        }
        if faults.is_empty() { Ok(()) } else { Err(InvalidConfig { faults }) }
    }

    fn check_divisions(&self, faults: &mut Vec<ConfigFault>) {
        let mut divides = |field, value: i64, by: &'static str, divisor: i64| {
            if value % divisor != 0 {
                faults.push(ConfigFault::NotDivisible { field, value, by, divisor });
            }
            value % divisor == 0
        };
        if divides("image_size", self.image_size, "patch_size", self.patch_size) {
            divides("image_size / patch_size", self.grid(), "2^(stages - 1)", 1 << (self.stages() - 1));
            divides("image_size / patch_size", self.grid(), "mask_unit", self.mask_unit);
        }
        divides("embed_dim", self.embed_dim, "4", 4);
        for stage in 0..self.stages() {
            divides("channels of a stage", self.dim(stage), "its num_heads", self.num_heads[stage]);
        }
        if faults.is_empty() && !(1..self.units()).contains(&self.kept_units()) {
            faults.push(ConfigFault::NothingToLearn { units: self.units(), kept: self.kept_units() });
        }
    }

    /// Number of stages.
    pub fn stages(&self) -> usize {
        self.depths.len()
    }

    /// Blocks of a stage.
    pub(crate) fn depth(&self, stage: usize) -> usize {
        usize::try_from(self.depths[stage]).unwrap_or(0)
    }

    /// Side of the token grid of the first stage.
    pub fn grid(&self) -> i64 {
        self.image_size / self.patch_size
    }

    /// Side of the token grid of a stage.
    pub fn grid_at(&self, stage: usize) -> i64 {
        self.grid() >> stage
    }

    /// Tokens of an image in the first stage.
    pub fn tokens(&self) -> i64 {
        self.grid() * self.grid()
    }

    /// Channels of a token in a stage.
    pub fn dim(&self, stage: usize) -> i64 {
        self.embed_dim << stage
    }

    /// Mask units of an image.
    pub fn units(&self) -> i64 {
        let side = self.grid() / self.mask_unit;
        side * side
    }

    /// Mask units of an image that stay visible.
    pub fn kept_units(&self) -> i64 {
        (self.units() as f64 * (1.0 - self.mask_ratio)) as i64
    }

    /// Tokens of an image that are masked.
    pub fn masked_tokens(&self) -> i64 {
        (self.units() - self.kept_units()) * self.mask_unit * self.mask_unit
    }

    /// Numbers in one patch.
    pub fn patch_values(&self) -> i64 {
        self.patch_size * self.patch_size * self.in_channels
    }

    /// The drop-path rates of the blocks of each encoder stage; a decoder stage uses those of its mirror image.
    pub(crate) fn drop_path_rates(&self) -> Vec<Vec<f64>> {
        let blocks: i64 = self.depths.iter().sum();
        let last = (blocks - 1).max(1) as f64;
        let mut rates = (0..blocks).map(|block| self.drop_path * block as f64 / last);
        (0..self.stages()).map(|stage| rates.by_ref().take(self.depth(stage)).collect()).collect()
    }
}

/// A network that can't be built, with every reason.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct InvalidConfig {
    /// What is wrong, at least one thing.
    pub faults: Vec<ConfigFault>,
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        write!(formatter, "this network can't be built: {}", faults.join("; "))
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigFault {
    /// A size is zero or negative.
    #[error("`{field}` is `{value}`, expected at least 1")]
    NotPositive {
        /// The field.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// The lists of the stages are too short, or differ in length.
    #[error("`depths` names `{depths}` stages and `num_heads` `{num_heads}`, expected the same number, at least 2")]
    Stages {
        /// Length of `depths`.
        depths: usize,
        /// Length of `num_heads`.
        num_heads: usize,
    },
    /// A share is not one.
    #[error("`{field}` is `{value}`, expected at least 0 and below 1")]
    NotAShare {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// Layer normalisation would divide by zero.
    #[error("`layer_norm_eps` is `{value}`, expected a positive number")]
    Epsilon {
        /// Its value.
        value: f64,
    },
    /// A number must divide another, and does not.
    #[error("`{field}` is `{value}`, expected a multiple of `{by}` = `{divisor}`")]
    NotDivisible {
        /// What is divided.
        field: &'static str,
        /// Its value.
        value: i64,
        /// What it is divided by.
        by: &'static str,
        /// The value of that.
        divisor: i64,
    },
    /// Everything is masked, or nothing.
    #[error("`mask_ratio` leaves `{kept}` of `{units}` mask units visible, expected at least one and not all")]
    NothingToLearn {
        /// Mask units of an image.
        units: i64,
        /// Those that stay visible.
        kept: i64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_sizes_are_possible() {
        SwinConfig::base().validate().unwrap();
        SwinConfig::tiny().validate().unwrap();
    }

    #[test]
    fn the_base_masks_as_the_paper_does() {
        let base = SwinConfig::base();
        assert_eq!((base.units(), base.kept_units(), base.masked_tokens()), (196, 49, 2352));
        assert_eq!((base.grid_at(0), base.grid_at(3), base.dim(3), base.patch_values()), (56, 7, 768, 48));
    }

    #[test]
    fn tiny_fits_its_windows_without_padding() {
        let tiny = SwinConfig::tiny();
        for stage in 0..tiny.stages() {
            assert_eq!(tiny.grid_at(stage) % tiny.window, 0);
        }
        assert_eq!((tiny.units(), tiny.kept_units()), (64, 16));
    }

    #[test]
    fn drop_path_rises_evenly_over_the_blocks() {
        let rates = SwinConfig::base().drop_path_rates();
        assert_eq!(rates.len(), 4);
        for (index, rate) in rates.into_iter().flatten().enumerate() {
            assert!((rate - 0.1 * index as f64 / 7.0).abs() < 1e-12);
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let config = SwinConfig { window: 0, mask_ratio: 1.0, num_heads: vec![3], ..SwinConfig::tiny() };
        let error = config.validate().unwrap_err();
        assert_eq!(error.faults.len(), 3, "{error}");
        assert!(error.to_string().contains("`window` is `0`, expected at least 1"), "{error}");
    }

    #[test]
    fn sizes_that_do_not_divide_are_refused() {
        let cases = [
            (SwinConfig { image_size: 66, ..SwinConfig::tiny() }, "patch_size"),
            (SwinConfig { image_size: 72, ..SwinConfig::tiny() }, "2^(stages - 1)"),
            (SwinConfig { mask_unit: 3, ..SwinConfig::tiny() }, "mask_unit"),
            (SwinConfig { num_heads: vec![5, 6, 12], ..SwinConfig::tiny() }, "num_heads"),
            (SwinConfig { mask_ratio: 0.999, ..SwinConfig::tiny() }, "mask_ratio"),
        ];
        for (config, word) in cases {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
