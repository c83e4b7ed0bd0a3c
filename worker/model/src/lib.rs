//! The networks of vismae and what is measured on them: a Swin masked autoencoder ([`SwinMae`]), and the [`Classifier`]
//! and [`Segmenter`] that start from its weights.
//!
//! Shapes, names and initialisation follow Swin-MAE (Xu et al. 2023) as VISION-MAE (arXiv 2402.01034) uses it;
//! [`SwinConfig::base`] is that network, and every other size is a configuration. Every random choice is keyed: a
//! [`Key`] per sample decides masks, augmentation and drop path, so that they don't depend on how a batch is split over
//! ranks. The crate knows no files but weights, no clock, no async runtime and no process group.

#![forbid(unsafe_code)]

mod attention;
pub mod augment;
mod block;
mod classifier;
mod config;
mod decoder;
mod drop_path;
mod embed;
mod encoder;
mod expand;
mod init;
pub mod loss;
mod mae;
pub mod mask;
mod merge;
pub mod metrics;
mod pixels;
mod random;
mod schedule;
mod segmenter;
mod weights;
mod windows;

pub use classifier::Classifier;
pub use config::{ConfigFault, InvalidConfig, SwinConfig};
pub use drop_path::Mode;
pub use mae::{MaeOutput, SwinMae};
pub use pixels::{MEAN, STANDARD_DEVIATION, denormalise_images, normalise_images, patchify, unpatchify};
pub use random::Key;
pub use schedule::WarmupCosine;
pub use segmenter::Segmenter;
pub use weights::{LoadReport, ShapeMismatch, WeightsError, load_matching, save};
