//! The tensors of the networks: names and shapes as the reference has them, and how many numbers they hold.

use std::collections::BTreeMap;
use tch::nn::VarStore;
use tch::{Device, Kind};
use vismae_model::{Classifier, Segmenter, SwinConfig, SwinMae};

type Shapes = BTreeMap<String, Vec<i64>>;

fn shapes(store: &VarStore) -> Shapes {
    store.variables().into_iter().map(|(name, tensor)| (name, tensor.size())).collect()
}

fn trainable(store: &VarStore) -> i64 {
    store.trainable_variables().iter().map(|tensor| tensor.numel() as i64).sum()
}

fn pair(shapes: &mut Shapes, name: &str, weight: &[i64]) {
    shapes.insert(format!("{name}.weight"), weight.to_vec());
    shapes.insert(format!("{name}.bias"), vec![weight[0]]);
}

fn block(shapes: &mut Shapes, name: &str, dim: i64, heads: i64) {
    for norm in ["norm1", "norm2"] {
        pair(shapes, &format!("{name}.{norm}"), &[dim]);
    }
    shapes.insert(format!("{name}.attn.relative_position_bias_table"), vec![169, heads]);
    shapes.insert(format!("{name}.attn.relative_position_index"), vec![49, 49]);
    pair(shapes, &format!("{name}.attn.qkv"), &[3 * dim, dim]);
    pair(shapes, &format!("{name}.attn.proj"), &[dim, dim]);
    pair(shapes, &format!("{name}.mlp.fc1"), &[4 * dim, dim]);
    pair(shapes, &format!("{name}.mlp.fc2"), &[dim, 4 * dim]);
}

fn encoder() -> Shapes {
    let mut shapes = Shapes::new();
    pair(&mut shapes, "patch_embed.proj", &[96, 3, 4, 4]);
    pair(&mut shapes, "patch_embed.norm", &[96]);
    for stage in 0..4 {
        let (dim, heads) = (96 << stage, 3 << stage);
        for number in 0..2 {
            block(&mut shapes, &format!("layers.{stage}.blocks.{number}"), dim, heads);
        }
        if stage < 3 {
            pair(&mut shapes, &format!("layers.{stage}.downsample.norm"), &[4 * dim]);
            shapes.insert(format!("layers.{stage}.downsample.reduction.weight"), vec![2 * dim, 4 * dim]);
        }
    }
    shapes
}

fn autoencoder() -> Shapes {
    let mut shapes = encoder();
    shapes.insert("pos_embed".to_owned(), vec![1, 3136, 96]);
    shapes.insert("mask_token".to_owned(), vec![1, 1, 96]);
    shapes.insert("first_patch_expanding.expand.weight".to_owned(), vec![1536, 768]);
    pair(&mut shapes, "first_patch_expanding.norm", &[384]);
    for (index, stage) in [2, 1, 0].into_iter().enumerate() {
        let (dim, heads) = (96 << stage, 3 << stage);
        for number in 0..2 {
            block(&mut shapes, &format!("layers_up.{index}.blocks.{number}"), dim, heads);
        }
        if stage > 0 {
            shapes.insert(format!("layers_up.{index}.upsample.expand.weight"), vec![2 * dim, dim]);
            pair(&mut shapes, &format!("layers_up.{index}.upsample.norm"), &[dim / 2]);
        }
    }
    pair(&mut shapes, "norm_up", &[96]);
    pair(&mut shapes, "decoder_pred", &[48, 96]);
    shapes
}

#[test]
fn the_base_autoencoder_has_the_tensors_of_the_reference() {
    let store = VarStore::new(Device::Cpu);
    SwinMae::new(&store.root(), &SwinConfig::base()).unwrap();
    assert_eq!(shapes(&store), autoencoder());
    assert_eq!(store.len(), 224);
    assert_eq!(store.trainable_variables().len(), 209);
    assert_eq!(trainable(&store), 26_635_860);
    let whole = store.variables().into_iter().filter(|(_, tensor)| tensor.kind() == Kind::Int64);
    let mut indices = whole.map(|(name, _)| name);
    assert!(indices.by_ref().all(|name| name.ends_with("attn.relative_position_index")));
}

#[test]
fn the_base_classifier_is_the_encoder_with_a_norm_and_a_head() {
    let store = VarStore::new(Device::Cpu);
    Classifier::new(&store.root(), &SwinConfig::base(), 2).unwrap();
    let mut expected = encoder();
    pair(&mut expected, "norm", &[768]);
    pair(&mut expected, "head", &[2, 768]);
    assert_eq!(shapes(&store), expected);
    assert_eq!(store.len(), 129);
    assert_eq!(trainable(&store), 20_414_924);
    let new: i64 = 2 * 768 + 2 * 768 + 2;
    assert_eq!(trainable(&store) - new, 20_411_850);
}

#[test]
fn the_base_segmenter_adds_skips_an_expansion_and_a_head() {
    let store = VarStore::new(Device::Cpu);
    Segmenter::new(&store.root(), &SwinConfig::base(), 9).unwrap();
    let mut expected = autoencoder();
    for gone in ["pos_embed", "mask_token", "decoder_pred.weight", "decoder_pred.bias"] {
        expected.remove(gone);
    }
    for (index, dim) in [384, 192, 96].into_iter().enumerate() {
        pair(&mut expected, &format!("skip_connection_layers.{index}"), &[dim, 2 * dim, 1, 1]);
    }
    expected.insert("final_patch_expanding.expand.weight".to_owned(), vec![1536, 96]);
    pair(&mut expected, "final_patch_expanding.norm", &[96]);
    expected.insert("head.weight".to_owned(), vec![9, 96, 1, 1]);
    assert_eq!(shapes(&store), expected);
}

#[test]
fn a_segmenter_as_deep_as_the_published_one_has_its_size() {
    let config = SwinConfig { depths: vec![2, 2, 6, 2], ..SwinConfig::base() };
    for (classes, parameters) in [(2, 41_378_628), (14, 41_379_780)] {
        let store = VarStore::new(Device::Cpu);
        Segmenter::new(&store.root(), &config, classes).unwrap();
        assert_eq!(store.len(), 342);
        assert_eq!(trainable(&store), parameters);
    }
}

#[test]
fn an_impossible_network_is_refused_by_every_constructor() {
    let config = SwinConfig { window: 0, ..SwinConfig::tiny() };
    let store = VarStore::new(Device::Cpu);
    assert!(SwinMae::new(&store.root(), &config).is_err());
    assert!(Classifier::new(&store.root(), &config, 2).is_err());
    assert!(Segmenter::new(&store.root(), &config, 2).is_err());
    assert!(store.is_empty());
}
