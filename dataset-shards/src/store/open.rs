//! From a URL to an object store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use url::Url;

/// Why a store URL could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// The scheme is none of ours.
    #[error("store `{url}` has scheme `{scheme}`, expected `file`, `s3`, `memory` or a plain path")]
    UnknownScheme {
        /// The URL as given.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A URL of a known scheme lacks a part.
    #[error("store `{url}` is not usable: {expected}")]
    Malformed {
        /// The URL as given.
        url: String,
        /// What the scheme asks for.
        expected: &'static str,
    },
    /// The folder of a local store could not be created or resolved.
    #[error("could not use the folder `{folder}` as a store")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// The client of the store refused its settings.
    #[error("could not set up the client of store `{url}`")]
    Client {
        /// The URL as given.
        url: String,
        /// Why.
        source: object_store::Error,
    },
}

/// The store, and the URL that names it in messages.
pub(super) fn open(url: &str) -> Result<(Arc<dyn ObjectStore>, String), OpenStoreError> {
    let Some((scheme, _)) = url.split_once("://") else { return open_folder(Path::new(url)) };
    let malformed = |expected| OpenStoreError::Malformed { url: url.to_owned(), expected };
    match scheme {
        "file" => {
            let parsed = Url::parse(url).map_err(|_| malformed("expected `file:///folder`"))?;
            let folder: PathBuf =
                parsed.to_file_path().map_err(|()| malformed("expected `file:///folder`, an absolute path"))?;
            open_folder(&folder)
        }
        "s3" => {
            let parsed = Url::parse(url).map_err(|_| malformed("expected `s3://bucket/prefix`"))?;
            let bucket = parsed.host_str().filter(|host| !host.is_empty());
            let bucket = bucket.ok_or_else(|| malformed("expected `s3://bucket/prefix`"))?;
            let client = AmazonS3Builder::from_env().with_bucket_name(bucket).build();
            let client = client.map_err(|source| OpenStoreError::Client { url: url.to_owned(), source })?;
            Ok((Arc::new(PrefixStore::new(client, parsed.path())), url.to_owned()))
        }
        "memory" => Ok((Arc::new(InMemory::new()), url.to_owned())),
        _ => Err(OpenStoreError::UnknownScheme { url: url.to_owned(), scheme: scheme.to_owned() }),
    }
}

fn open_folder(folder: &Path) -> Result<(Arc<dyn ObjectStore>, String), OpenStoreError> {
    let refused = |source| OpenStoreError::Folder { folder: folder.display().to_string(), source };
    if folder.as_os_str().is_empty() {
        return Err(OpenStoreError::Malformed { url: String::new(), expected: "expected a path or a URL" });
    }
    std::fs::create_dir_all(folder).map_err(refused)?;
    let folder = folder.canonicalize().map_err(refused)?;
    let url = Url::from_directory_path(&folder).map(String::from);
    let url = url.unwrap_or_else(|()| format!("file://{}", folder.display()));
    let url = url.trim_end_matches('/').to_owned();
    let store = LocalFileSystem::new_with_prefix(&folder)
        .map_err(|source| OpenStoreError::Client { url: url.clone(), source })?;
    Ok((Arc::new(store), url))
}
