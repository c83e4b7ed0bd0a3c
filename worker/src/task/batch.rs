//! Rows of the corpus as tensors on a device.

use tch::{Device, Tensor};
use vismae_core::ids::Epoch;
use vismae_model::{Key, normalise_images};
use vismae_shards::loader::Batch;
use vismae_shards::order::sample_key;
use vismae_shards::sample::SampleId;

/// Images ready for a network, with a key for each that decides everything random about it.
pub(super) struct TensorBatch {
    /// `[N, 3, H, W]`, normalised.
    pub(super) images: Tensor,
    /// One for each image.
    pub(super) keys: Vec<Key>,
}

impl TensorBatch {
    /// Uploads a batch. `epoch` makes the keys of a sample differ from epoch to epoch.
    pub(super) fn new(batch: &Batch, seed: u64, epoch: Epoch, device: Device) -> Self {
        let side = i64::from(batch.size);
        let images = Tensor::from_slice(&batch.images).view([-1, side, side]).to_device(device);
        Self { images: normalise_images(&images), keys: keys(&batch.samples, seed, epoch) }
    }
}

fn keys(samples: &[SampleId], seed: u64, epoch: Epoch) -> Vec<Key> {
    samples.iter().map(|sample| Key::root(sample_key(seed, epoch, sample))).collect()
}
