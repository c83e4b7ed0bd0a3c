//! Weights written, read back, and carried from the autoencoder to the networks that start from it.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::fs;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vismae_model::{Classifier, LoadReport, Mode, Segmenter, ShapeMismatch, SwinConfig, SwinMae, load_matching, save};

fn autoencoder(seed: i64) -> (VarStore, SwinMae) {
    tch::manual_seed(seed);
    let store = VarStore::new(Device::Cpu);
    let network = SwinMae::new(&store.root(), &SwinConfig::tiny()).unwrap();
    (store, network)
}

#[test]
fn weights_survive_a_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (store, network) = autoencoder(1);
    save(&store, &path).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file is left");

    let (copy, copied) = autoencoder(2);
    let images = Tensor::randn([1, 3, 64, 64], (Kind::Float, Device::Cpu));
    let mask = Tensor::zeros([1, 256], (Kind::Float, Device::Cpu));
    let guess = |network: &SwinMae| network.forward(&images, &mask, Mode::Evaluate).prediction;
    assert!(!guess(&network).equal(&guess(&copied)));
    let report = load_matching(&copy, &path).unwrap();
    assert!(report.is_complete());
    assert_eq!(report.loaded.len(), store.len());
    assert!(guess(&network).equal(&guess(&copied)));
    assert!(copy.trainable_variables().iter().all(Tensor::requires_grad));
}

#[test]
fn a_classifier_takes_the_encoder_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (pretrained, _) = autoencoder(1);
    save(&pretrained, &path).unwrap();
    let store = VarStore::new(Device::Cpu);
    let network = Classifier::new(&store.root(), &SwinConfig::tiny(), 3).unwrap();
    let LoadReport { loaded, missing, unexpected, shape_mismatch } = load_matching(&store, &path).unwrap();
    assert_eq!(missing, ["head.bias", "head.weight", "norm.bias", "norm.weight"]);
    assert_eq!(loaded.len(), store.len() - 4);
    assert!(unexpected.contains(&"mask_token".to_owned()));
    assert!(shape_mismatch.is_empty());
    let (name, tensor) = ("layers.1.blocks.0.attn.qkv.weight", store.variables());
    assert!(tensor[name].equal(&pretrained.variables()[name]));

    let scores = network.forward(&Tensor::zeros([2, 3, 64, 64], (Kind::Float, Device::Cpu)), Mode::Evaluate);
    assert_eq!(scores.size(), [2, 3]);
}

#[test]
fn a_segmenter_takes_encoder_and_decoder_and_says_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (pretrained, _) = autoencoder(1);
    save(&pretrained, &path).unwrap();
    let store = VarStore::new(Device::Cpu);
    let network = Segmenter::new(&store.root(), &SwinConfig::tiny(), 4).unwrap();
    let report = load_matching(&store, &path).unwrap();
    let new = ["skip_connection_layers.", "final_patch_expanding.", "head."];
    assert!(report.missing.iter().all(|name| new.iter().any(|prefix| name.starts_with(prefix))), "{report:?}");
    assert_eq!(report.missing.len(), 2 * 2 + 3 + 1);
    assert_eq!(report.unexpected, ["decoder_pred.bias", "decoder_pred.weight", "mask_token", "pos_embed"]);

    let scores = network.forward(&Tensor::zeros([2, 3, 64, 64], (Kind::Float, Device::Cpu)), Mode::Evaluate);
    assert_eq!(scores.size(), [2, 4, 64, 64]);
}

#[test]
fn tensors_of_another_shape_are_left_alone_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let store = VarStore::new(Device::Cpu);
    Classifier::new(&store.root(), &SwinConfig::tiny(), 3).unwrap();
    save(&store, &path).unwrap();
    let wider = VarStore::new(Device::Cpu);
    Classifier::new(&wider.root(), &SwinConfig::tiny(), 5).unwrap();
    let before = wider.variables()["head.weight"].copy();
    let report = load_matching(&wider, &path).unwrap();
    let mismatch = |name: &str, expected: &[i64], found: &[i64]| ShapeMismatch {
        name: name.to_owned(),
        expected: expected.to_vec(),
        found: found.to_vec(),
    };
    let expected = [mismatch("head.bias", &[5], &[3]), mismatch("head.weight", &[5, 128], &[3, 128])];
    assert_eq!(report.shape_mismatch, expected);
    assert!(wider.variables()["head.weight"].equal(&before));
}

#[test]
fn a_missing_or_torn_file_is_named_and_nothing_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (store, _) = autoencoder(1);
    let error = load_matching(&store, &path).unwrap_err();
    assert!(error.to_string().contains("model.safetensors"), "{error}");

    save(&store, &path).unwrap();
    let whole = fs::read(&path).unwrap();
    let torn = folder.path().join("torn.safetensors");
    for length in [0, 4, 200, whole.len() - 1] {
        fs::write(&torn, &whole[..length]).unwrap();
        let error = load_matching(&store, &torn).unwrap_err();
        assert!(error.to_string().contains("torn.safetensors"), "{length}: {error}");
    }
    assert!(save(&store, &folder.path().join("absent/model.safetensors")).is_err());
}
