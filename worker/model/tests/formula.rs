//! The whole autoencoder against an independent one in plain numbers.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod plain;

use plain::{Plain, numbers};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vismae_model::{Key, Mode, SwinConfig, SwinMae, mask};

fn check(config: &SwinConfig) {
    tch::manual_seed(11);
    let store = VarStore::new(Device::Cpu);
    let network = SwinMae::new(&store.root(), config).unwrap();
    // Weights as initialised hardly use their biases and norms: move every one of them.
    for mut tensor in store.trainable_variables() {
        tch::no_grad(|| {
            let _ = tensor.g_add_(&(tensor.randn_like() * 0.2));
        });
    }
    let side = config.image_size;
    let images = Tensor::randn([1, 3, side, side], (Kind::Float, Device::Cpu));
    let mask = mask::draw(&[Key::root(1)], config, Device::Cpu);
    let predict = || numbers(&network.forward(&images, &mask, Mode::Evaluate).prediction);

    let rows = |channel: i64| (0..side).map(move |row| (channel, row));
    let image: Vec<Vec<Vec<f64>>> = (0..3)
        .map(|channel| rows(channel).map(|(channel, row)| numbers(&images.get(0).get(channel).get(row))).collect())
        .collect();
    let masked: Vec<bool> = numbers(&mask).into_iter().map(|value| value == 1.0).collect();
    let expected = Plain::new(&store, config).predict(&image, &masked).concat();

    let scale = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    // With gradients and without, attention takes different ways.
    for found in [predict(), tch::no_grad(predict)] {
        assert_eq!(found.len(), expected.len());
        let differences = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
        let worst = differences.fold(0.0_f64, f64::max);
        assert!(scale > 0.1 && worst < 2e-4 * scale, "off by {worst} of {scale}");
    }
}

/// Small enough for plain numbers: grids of 8 and 4 tokens.
fn small() -> SwinConfig {
    SwinConfig {
        image_size: 16,
        patch_size: 2,
        embed_dim: 8,
        depths: vec![2, 2],
        num_heads: vec![2, 4],
        window: 4,
        ..SwinConfig::tiny()
    }
}

#[test]
fn the_network_equals_the_formula_on_whole_windows() {
    check(&small());
}

#[test]
fn the_network_equals_the_formula_on_padded_windows() {
    check(&SwinConfig { window: 3, ..small() });
    check(&SwinConfig { window: 5, ..small() });
}

#[test]
fn the_network_equals_the_formula_with_three_stages_and_a_single_last_window() {
    let config = SwinConfig { depths: vec![1, 2, 2], num_heads: vec![1, 2, 2], window: 2, ..small() };
    check(&config);
}
