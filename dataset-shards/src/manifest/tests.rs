//! Manifests in a store in memory.

use super::*;

fn manifest(version: u64) -> Manifest {
    Manifest {
        format: FORMAT,
        corpus: "demo".to_owned(),
        version,
        recipe: Recipe {
            fit: "stretch".to_owned(),
            image_size: 64,
            ct_windows: vec![[-1000.0, 1000.0], [-160.0, 240.0]],
            percentiles: [0.5, 99.5],
            xray_range: "voi".to_owned(),
            minimum_content: 0.05,
        },
        classes: vec!["benign".to_owned(), "malignant".to_owned()],
        shards: vec![Shard {
            path: "corpora/demo/data/x.parquet".to_owned(),
            modality: Modality::Ultrasound,
            split: Split::Val,
            rows: 3,
            bytes: 100,
            blake3: "00".to_owned(),
            row_groups: vec![2, 1],
        }],
        counts: Counts { frames: 3, labels: 2, masks: 0 },
    }
}

fn name(text: &str) -> CorpusName {
    CorpusName::new(text).unwrap()
}

async fn commit(store: &Store, manifest: &Manifest) {
    let path = Manifest::path(&name(&manifest.corpus), manifest.version);
    store.put(&path, serde_json::to_vec(manifest).unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_latest_version_is_read_unless_one_is_named() {
    let store = Store::open("memory://").unwrap();
    commit(&store, &manifest(9)).await;
    commit(&store, &manifest(10)).await;
    assert_eq!(Manifest::load(&store, &name("demo"), None).await.unwrap(), manifest(10));
    assert_eq!(Manifest::load(&store, &name("demo"), Some(9)).await.unwrap(), manifest(9));
    let error = Manifest::load(&store, &name("demo"), Some(3)).await.unwrap_err();
    assert_eq!(error.to_string(), "corpus `demo` has no version 3, expected one of [9, 10]");
}

#[tokio::test]
async fn a_missing_corpus_is_answered_with_those_that_exist() {
    let store = Store::open("memory://").unwrap();
    let error = Manifest::load(&store, &name("other"), None).await.unwrap_err();
    assert!(error.to_string().ends_with("it holds no corpus: ingest one first"), "{error}");
    commit(&store, &manifest(1)).await;
    let error = Manifest::load(&store, &name("other"), None).await.unwrap_err();
    assert_eq!(error.to_string(), "corpus `other` does not exist in `memory://`; expected one of `demo`");
}

#[tokio::test]
async fn a_manifest_of_another_format_or_torn_is_refused_by_its_path() {
    let store = Store::open("memory://").unwrap();
    commit(&store, &Manifest { format: 2, ..manifest(1) }).await;
    let error = Manifest::load(&store, &name("demo"), None).await.unwrap_err();
    assert!(error.to_string().contains("has format 2, expected 1"), "{error}");
    store.put("corpora/demo/manifests/000002.json", "{\"format\": 1").await.unwrap();
    let error = Manifest::load(&store, &name("demo"), None).await.unwrap_err();
    assert_eq!(error.to_string(), "manifest `corpora/demo/manifests/000002.json` cannot be read");
}

#[test]
fn a_recipe_of_one_window_and_no_word_on_x_rays_is_read() {
    let mut json = serde_json::to_value(manifest(1).recipe).unwrap();
    let recipe = json.as_object_mut().unwrap();
    recipe.retain(|key, _| key != "ct_windows" && key != "xray_range");
    recipe.insert("ct_window".to_owned(), serde_json::json!([-160.0, 240.0]));
    let read: Recipe = serde_json::from_value(json).unwrap();
    assert_eq!((read.ct_windows, read.xray_range.as_str()), (vec![[-160.0, 240.0]], "percentiles"));
}

#[test]
fn modalities_are_stored_as_words_and_labels_have_names() {
    let json = serde_json::to_value(manifest(1)).unwrap();
    assert_eq!(json["shards"][0]["modality"], "US");
    assert_eq!(json["shards"][0]["split"], "val");
    assert_eq!(manifest(1).class_name(1), Some("malignant"));
    assert_eq!(manifest(1).class_name(2), None);
    assert_eq!(manifest(1).class_name(-1), None);
}
