//! What the networks do with a batch: losses, gradients, and learning.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vismae_c10d::{AdamWOptions, FusedAdamW, zero_grad};
use vismae_model::{Classifier, Key, Mode, Segmenter, SwinConfig, SwinMae, loss, mask, normalise_images, patchify};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
const OPTIONS: AdamWOptions = AdamWOptions { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.05 };

fn keys(count: u64) -> Vec<Key> {
    (0..count).map(|sample| Key::root(8).with(sample)).collect()
}

fn autoencoder(config: &SwinConfig) -> (VarStore, SwinMae) {
    // Tests run side by side: more threads would only get in each other's way.
    tch::set_num_threads(1);
    tch::manual_seed(3);
    let store = VarStore::new(Device::Cpu);
    let network = SwinMae::new(&store.root(), config).unwrap();
    (store, network)
}

/// Smooth grey images of 64 pixels that differ from each other.
fn images(count: i64) -> Tensor {
    let axis = Tensor::arange(64, CPU) / 64.0;
    let waves = (0..count).map(|image| {
        let (down, across) = (1.0 + image as f64, 2.0 + 0.5 * image as f64);
        ((&axis * down * 3.0).sin().outer(&(&axis * across * 2.0).cos()) + 1.0) * 127.0
    });
    normalise_images(&Tensor::stack(&waves.collect::<Vec<_>>(), 0).to_kind(Kind::Uint8))
}

fn optimiser(store: &VarStore) -> FusedAdamW {
    FusedAdamW::new(store.trainable_variables(), OPTIONS)
}

#[test]
fn the_loss_is_the_mean_error_of_masked_tokens_alone() {
    let config = SwinConfig::tiny();
    let (_store, network) = autoencoder(&config);
    let (images, mask) = (images(3), mask::draw(&keys(3), &config, Device::Cpu));
    let output = network.forward(&images, &mask, Mode::Evaluate);
    assert_eq!(output.prediction.size(), [3, 256, 48]);
    assert_eq!(output.masked_count.double_value(&[]), (3 * config.masked_tokens()) as f64);
    let chosen = mask.to_kind(Kind::Bool).unsqueeze(-1);
    let errors = (&output.prediction - patchify(&images, 4)).square().masked_select(&chosen);
    let expected = errors.mean(Kind::Float).double_value(&[]);
    assert!((output.loss().double_value(&[]) - expected).abs() < 1e-5);
}

#[test]
fn a_perfect_guess_has_no_loss_and_reconstructs_the_image() {
    let config = SwinConfig::tiny();
    let (store, network) = autoencoder(&config);
    // A head of zeros guesses zero everywhere, which is perfect for an image of zeros.
    for (name, mut tensor) in store.variables() {
        if name.starts_with("decoder_pred") {
            let _ = tch::no_grad(|| tensor.zero_());
        }
    }
    let (blank, mask) = (Tensor::zeros([2, 3, 64, 64], CPU), mask::draw(&keys(2), &config, Device::Cpu));
    let output = network.forward(&blank, &mask, Mode::Evaluate);
    assert_eq!(output.loss().double_value(&[]), 0.0);
    assert!(network.reconstruct(&blank, &mask, &output.prediction).equal(&blank));
}

#[test]
fn a_reconstruction_keeps_what_was_visible_in_both_kinds_of_target() {
    for norm_pix_loss in [false, true] {
        let config = SwinConfig { norm_pix_loss, ..SwinConfig::tiny() };
        let (_store, network) = autoencoder(&config);
        let (images, mask) = (images(2), mask::draw(&keys(2), &config, Device::Cpu));
        let output = network.forward(&images, &mask, Mode::Evaluate);
        let seen = network.reconstruct(&images, &mask, &output.prediction);
        let visible = mask.eq(0.0).unsqueeze(-1);
        let pixels = |images: &Tensor| patchify(images, 4).masked_select(&visible);
        assert!(pixels(&seen).equal(&pixels(&images)));
        assert!(!seen.equal(&images));
        assert!(output.loss().double_value(&[]).is_finite());
    }
}

#[test]
fn every_trainable_tensor_learns_and_no_other() {
    let config = SwinConfig::tiny();
    let (store, network) = autoencoder(&config);
    let mask = mask::draw(&keys(2), &config, Device::Cpu);
    network.forward(&images(2), &mask, Mode::Evaluate).loss().backward();
    for (name, tensor) in store.variables() {
        if name == "pos_embed" || name.ends_with("relative_position_index") {
            assert!(!tensor.requires_grad(), "{name}");
        } else {
            assert!(tensor.grad().defined(), "{name}");
            assert!(tensor.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0, "{name}");
        }
    }
}

#[test]
fn an_empty_batch_has_a_loss_of_zero_and_gradients_of_zero() {
    let config = SwinConfig::tiny();
    let (store, network) = autoencoder(&config);
    let mask = mask::draw(&[], &config, Device::Cpu);
    let output = network.forward(&images(1).narrow(0, 0, 0), &mask, Mode::Train { keys: &[] });
    assert_eq!(output.loss().double_value(&[]), 0.0);
    output.loss().backward();
    for tensor in store.trainable_variables() {
        assert!(tensor.grad().defined());
        assert_eq!(tensor.grad().abs().sum(Kind::Float).double_value(&[]), 0.0);
    }
}

#[test]
fn a_split_batch_sees_the_same_masks_and_the_same_dropped_paths() {
    let config = SwinConfig { drop_path: 0.5, ..SwinConfig::tiny() };
    let (_store, network) = autoencoder(&config);
    let (images, keys) = (images(4), keys(4));
    let guess = |from: usize, to: usize| {
        let part = images.narrow(0, from as i64, (to - from) as i64);
        let mask = mask::draw(&keys[from..to], &config, Device::Cpu);
        network.forward(&part, &mask, Mode::Train { keys: &keys[from..to] }).prediction
    };
    let (whole, parts) = (guess(0, 4), Tensor::cat(&[guess(0, 1), guess(1, 4)], 0));
    assert!(whole.allclose(&parts, 1e-4, 1e-5, false));
    let calm = network.forward(&images, &mask::draw(&keys, &config, Device::Cpu), Mode::Evaluate).prediction;
    assert!(!whole.allclose(&calm, 1e-2, 1e-2, false), "paths were dropped");
}

#[test]
fn a_tiny_autoencoder_learns_four_images_by_heart() {
    // Small units, half of them visible: a hidden patch can be told from its neighbours.
    let config = SwinConfig { mask_unit: 1, mask_ratio: 0.5, ..SwinConfig::tiny() };
    let config = SwinConfig { depths: vec![1, 1], embed_dim: 24, num_heads: vec![1, 2], ..config };
    let (store, network) = autoencoder(&config);
    let (images, mask) = (images(4), mask::draw(&keys(4), &config, Device::Cpu));
    let mut optimiser = optimiser(&store);
    let mut losses = Vec::new();
    for _ in 0..120 {
        zero_grad(optimiser.parameters()).unwrap();
        let loss = network.forward(&images, &mask, Mode::Evaluate).loss();
        loss.backward();
        optimiser.step(3e-3).unwrap();
        losses.push(loss.double_value(&[]));
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last < 0.1 * first, "{first} only fell to {last}");
}

#[test]
fn classifier_and_segmenter_learn_to_tell_two_images_apart() {
    let config = SwinConfig { depths: vec![1, 1], num_heads: vec![1, 2], embed_dim: 16, ..SwinConfig::tiny() };
    let images = images(2);
    let stripes = images.select(1, 0).gt(0.0).to_kind(Kind::Int64);

    let store = VarStore::new(Device::Cpu);
    let classifier = Classifier::new(&store.root(), &config, 2).unwrap();
    let labels = Tensor::from_slice(&[0_i64, 1]);
    let learn = |store: &VarStore, loss: &dyn Fn() -> Tensor| {
        let mut optimiser = optimiser(store);
        let mut last = f64::INFINITY;
        for _ in 0..150 {
            zero_grad(optimiser.parameters()).unwrap();
            let loss = loss();
            loss.backward();
            optimiser.step(1e-3).unwrap();
            last = loss.double_value(&[]);
        }
        last
    };
    let last = learn(&store, &|| loss::cross_entropy(&classifier.forward(&images, Mode::Evaluate), &labels));
    assert!(last < 0.05, "{last}");

    let store = VarStore::new(Device::Cpu);
    let segmenter = Segmenter::new(&store.root(), &config, 2).unwrap();
    let last = learn(&store, &|| loss::segmentation_loss(&segmenter.forward(&images, Mode::Evaluate), &stripes));
    assert!(last < 0.15, "{last}");
}
