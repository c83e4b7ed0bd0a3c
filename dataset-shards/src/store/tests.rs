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
async fn a_copy_has_the_bytes_and_outlives_what_it_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    for url in [folder.path().to_str().unwrap(), "memory://"] {
        let store = Store::open(url).unwrap();
        for bytes in ["first", "second"] {
            store.put("a/1", bytes).await.unwrap();
            store.synced().copy("a/1", "b/c/2").await.unwrap();
        }
        store.put("a/1", "third").await.unwrap();
        store.remove_folder("a").await.unwrap();
        assert_eq!(store.get("b/c/2").await.unwrap().as_ref(), b"second");
        let missing = store.copy("a/1", "b/3").await.unwrap_err();
        assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    }
}

#[tokio::test]
async fn a_folder_is_removed_with_everything_in_it_and_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    for url in [folder.path().to_str().unwrap(), "memory://"] {
        let store = Store::open(url).unwrap();
        for path in ["a/b/1", "a/b/c/2", "a/bb/3"] {
            store.put(path, "x").await.unwrap();
        }
        store.remove_folder("a/b").await.unwrap();
        store.remove_folder("a/b").await.unwrap();
        assert_eq!(store.list("a").await.unwrap(), ["a/bb/3"]);
        assert_eq!(store.folders("a").await.unwrap(), ["bb"]);
    }
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

#[tokio::test]
async fn an_equal_write_is_told_from_that_of_another() {
    let folder = tempfile::tempdir().unwrap();
    for url in [folder.path().to_str().unwrap(), "memory://"] {
        let store = Store::open(url).unwrap();
        assert_eq!(store.put_if_absent("a/1", "mine").await.unwrap(), PutOutcome::Created);
        assert_eq!(store.put_if_absent("a/1", "mine").await.unwrap(), PutOutcome::AlreadyWritten);
        assert_eq!(store.put_if_absent("a/1", "mint").await.unwrap(), PutOutcome::AlreadyExists);
        assert_eq!(store.put_if_absent("a/1", "mine, and more").await.unwrap(), PutOutcome::AlreadyExists);
        assert_eq!(store.get("a/1").await.unwrap().as_ref(), b"mine");
    }
}

#[test]
fn every_cloud_is_opened_by_its_url() {
    for url in [
        "s3://bucket/prefix?region=eu-west-1&skip_signature=true&endpoint=http://127.0.0.1:1&allow_http=true",
        "s3a://bucket?retry_timeout=5s&read_timeout=2s&connect_timeout=1s&timeout=1m",
        "gs://bucket/prefix?skip_signature=true&read_timeout=10s",
        "abfss://container@account.dfs.core.windows.net/prefix?skip_signature=true",
    ] {
        let store = Store::open(url).unwrap();
        assert_eq!(store.url(), url);
    }
    assert_eq!(Store::open("s3://bucket?retry_timeout=5s").unwrap().patience, Duration::from_secs(5));
    assert_eq!(Store::open("s3://bucket").unwrap().patience, Duration::from_secs(60));
    assert!(Store::open("abfs://container@elsewhere.example/prefix").is_err());
}

#[test]
fn a_setting_that_is_none_is_refused_with_those_there_are() {
    let refusal = |url: &str| Store::open(url).unwrap_err().to_string();
    let unknown = refusal("s3://bucket/prefix?retries=4");
    assert!(
        unknown.starts_with("setting `retries` of the store's url is unknown, expected one of `endpoint`"),
        "{unknown}"
    );
    assert!(unknown.ends_with("`timeout`, `retry_timeout`"), "{unknown}");
    let malformed = refusal("gs://bucket?retry_timeout=soon");
    assert_eq!(malformed, "setting `retry_timeout` of the store's url is `soon`, expected a duration such as `30s`");
    assert!(refusal("gs://bucket?base_url=http://elsewhere").contains("`base_url`"));
}

#[test]
fn secrets_are_refused_in_a_url_and_not_repeated() {
    for url in [
        "s3://KEY:SECRET@bucket/prefix",
        "gs://SECRET@bucket",
        "az://container:SECRET@account.blob.core.windows.net",
        "s3://bucket?secret_access_key=SECRET",
        "az://bucket?sas_token=SECRET",
        "s3://bucket?endpoint=https://KEY:SECRET@host&region=r",
        "https://KEY:SECRET@host/x",
        "https://host/x?sig=SECRET",
        "s3://KEY:SECRET@bu cket",
        "file://KEY:SECRET@host/x",
    ] {
        let error = Store::open(url).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{url}: {error:?}");
    }
}

#[tokio::test]
async fn an_unreachable_store_is_one_clear_error_in_time() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("s3://bucket/a?endpoint=http://127.0.0.1:{closed}&allow_http=true&region=r&skip_signature=true");
    let store = Store::open(&format!("{url}&retry_timeout=300ms")).unwrap();
    let error = store.get("b").await.unwrap_err();
    assert!(matches!(error, StoreError::Failed { operation: "read", .. }), "{error:?}");
    assert!(error.to_string().starts_with("could not read `b` in `s3://bucket/a?endpoint="), "{error}");
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_told_at_once() {
    use std::cell::Cell;

    use object_store::Error;

    let passing = || Error::Generic { store: "test", source: "broken".into() };
    let tried = Cell::new(0);
    let third_time = async || {
        tried.set(tried.get() + 1);
        if tried.get() < 3 { Err(passing()) } else { Ok(tried.get()) }
    };
    assert_eq!(retried(Duration::from_secs(60), third_time).await.unwrap(), 3);
    for (patience, error) in [
        (Duration::from_secs(60), Error::NotFound { path: "a".into(), source: "gone".into() }),
        (Duration::from_secs(60), Error::PermissionDenied { path: "a".into(), source: "no".into() }),
        (Duration::ZERO, passing()),
    ] {
        let (tried, error) = (Cell::new(0), Cell::new(Some(error)));
        let once = async || {
            tried.set(tried.get() + 1);
            Err::<(), _>(error.take().unwrap())
        };
        assert!(retried(patience, once).await.is_err());
        assert_eq!(tried.get(), 1);
    }
}
