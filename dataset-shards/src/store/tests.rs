//! Stores on a temporary folder and in memory.

use super::*;

#[tokio::test]
async fn a_folder_is_created_and_named_by_its_url() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b c");
    let store = Store::open(folder.to_str().unwrap()).unwrap();
    assert!(folder.is_dir());
    assert!(store.url().starts_with("file:///") && store.url().ends_with("/a/b%20c"), "{}", store.url());
    store.put("x/y.bin", vec![1, 2, 3]).await.unwrap();
    let again = Store::open(store.url()).unwrap();
    assert_eq!(again.get("x/y.bin").await.unwrap().as_ref(), [1, 2, 3]);
}

#[tokio::test]
async fn the_first_writer_of_a_name_wins() {
    let folder = tempfile::tempdir().unwrap();
    for url in [folder.path().to_str().unwrap(), "memory://"] {
        let store = Store::open(url).unwrap();
        assert_eq!(store.put_if_absent("a/1", "first").await.unwrap(), PutOutcome::Created);
        assert_eq!(store.put_if_absent("a/1", "second").await.unwrap(), PutOutcome::AlreadyExists);
        assert_eq!(store.get("a/1").await.unwrap().as_ref(), b"first");
        assert!(store.exists("a/1").await.unwrap());
        assert!(!store.exists("a/2").await.unwrap());
        store.delete("a/1").await.unwrap();
        assert!(!store.exists("a/1").await.unwrap());
        store.delete("a/1").await.unwrap();
    }
}

#[tokio::test]
async fn listings_are_sorted_and_empty_where_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    for path in ["c/modality=CT/2", "c/modality=CT/1", "c/x", "d/y"] {
        store.put(path, "").await.unwrap();
    }
    assert_eq!(store.list("c").await.unwrap(), ["c/modality=CT/1", "c/modality=CT/2", "c/x"]);
    assert_eq!(store.folders("c").await.unwrap(), ["modality=CT"]);
    assert!(store.list("none").await.unwrap().is_empty());
    assert!(store.folders("none").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let store = Store::open("memory://").unwrap();
    let error = store.get("a/b").await.unwrap_err();
    assert_eq!(error.to_string(), "`a/b` does not exist in `memory://`");
}

#[test]
fn other_schemes_are_refused_by_name() {
    let error = Store::open("ftp://host/x").unwrap_err();
    assert!(error.to_string().contains("`ftp`"), "{error}");
    assert!(Store::open("s3://").is_err());
    assert!(Store::open("").is_err());
}
