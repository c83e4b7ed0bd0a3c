//! Manifests in a store in memory.

use vismae_core::spec::Modality;

use super::*;
use crate::split::Split;

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
            blake3: ContentHash::of(b"shard"),
            row_groups: vec![row_group(2, 4), row_group(1, 34)],
        }],
        counts: Counts { frames: 3, labels: 2, masks: 0 },
        quarantine: None,
    }
}

fn row_group(rows: u32, offset: u64) -> RowGroup {
    let (blake3, index_blake3) = (ContentHash::of(b"group"), ContentHash::of(b"index"));
    RowGroup { rows, offset, columns: vec![20, 10], blake3, index_blake3 }
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
    store.put("corpora/demo/manifests/000001.json", "{\"format\": 1, \"shards\": 7}").await.unwrap();
    let error = Manifest::load(&store, &name("demo"), None).await.unwrap_err();
    assert!(error.to_string().ends_with("has format 1, expected 2: ingest the corpus again"), "{error}");
    commit(&store, &Manifest { format: 3, ..manifest(1) }).await;
    let error = Manifest::load(&store, &name("demo"), None).await.unwrap_err();
    assert!(error.to_string().ends_with("has format 3, expected 2: use a version of vismae that knows it"), "{error}");
    store.put("corpora/demo/manifests/000002.json", "{\"format\": 2").await.unwrap();
    let error = Manifest::load(&store, &name("demo"), None).await.unwrap_err();
    assert_eq!(error.to_string(), "manifest `corpora/demo/manifests/000002.json` cannot be read");
}

#[tokio::test]
async fn a_manifest_that_contradicts_itself_is_refused_by_the_shard() {
    let store = Store::open("memory://").unwrap();
    let refused = async |change: fn(&mut Shard)| {
        let mut manifest = manifest(1);
        change(&mut manifest.shards[0]);
        commit(&store, &manifest).await;
        Manifest::load(&store, &name("demo"), None).await.unwrap_err().to_string()
    };
    let error = refused(|shard| shard.rows += 1).await;
    assert!(error.ends_with("`corpora/demo/data/x.parquet` has row groups of 3 rows together, expected 4"), "{error}");
    let error = refused(|shard| shard.row_groups[1].offset = 33).await;
    assert!(error.ends_with("row group 1 at bytes 33 to 63, expected it between 34 and 100"), "{error}");
    let error = refused(|shard| shard.row_groups[1].columns[0] = u64::MAX).await;
    assert!(error.contains("expected it between 34 and 100"), "{error}");
}

#[test]
fn a_row_group_knows_where_its_bytes_and_those_of_its_index_lie() {
    let group = row_group(2, 4);
    assert_eq!((group.bytes(), group.range(), group.index_range()), (30, 4..34, 24..34));
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
