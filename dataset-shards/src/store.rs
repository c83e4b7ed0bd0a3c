//! The object store that corpora and runs live in, reached by URL.

mod open;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

pub use open::OpenStoreError;

/// Why reading or writing an object failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("`{path}` does not exist in `{store}`")]
    NotFound {
        /// The object asked for.
        path: String,
        /// URL of the store.
        store: String,
    },
    /// The store refused, or could not be reached.
    #[error("could not {operation} `{path}` in `{store}`")]
    Failed {
        /// What was tried: `read`, `write`, `list` or `delete`.
        operation: &'static str,
        /// The object or prefix.
        path: String,
        /// URL of the store.
        store: String,
        /// The store's own words.
        source: Box<object_store::Error>,
    },
}

/// What became of a create-if-absent write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is new and holds the bytes given.
    Created,
    /// An object of that name was there before and is unchanged.
    AlreadyExists,
}

/// A handle on an object store and a prefix in it; paths are relative to that prefix. Clones share one connection pool.
#[derive(Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    url: Arc<str>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.url).finish()
    }
}

impl Store {
    /// Opens `s3://bucket/prefix` (credentials and endpoint from the usual `AWS_*` variables; plain-http endpoints when
    /// `AWS_ALLOW_HTTP` is `true`), `file:///folder`, a plain path, absolute or relative (the folder is created), or
    /// `memory://` (empty, gone with its last clone).
    ///
    /// # Errors
    /// [`OpenStoreError`] when the URL has another scheme, or the folder or bucket cannot be used.
    pub fn open(url: &str) -> Result<Self, OpenStoreError> {
        let (inner, url) = open::open(url)?;
        Ok(Self { inner, url: url.into() })
    }

    /// A handle on a store of a test's own making.
    #[cfg(test)]
    pub(crate) fn over(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, url: "test://".into() }
    }

    /// The URL it was opened by; a plain path comes back as a `file://` URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The store itself, for readers of ranges. Paths are those of this handle.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner)
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Failed`].
    pub async fn get(&self, path: &str) -> Result<Bytes, StoreError> {
        let read = async { self.inner.get(&Path::from(path)).await?.bytes().await };
        read.await.map_err(|error| self.failed("read", path, error))
    }

    /// Writes a whole object, replacing what was there. Readers see the old bytes or the new, never a part.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn put(&self, path: &str, bytes: impl Into<Bytes>) -> Result<(), StoreError> {
        let payload = PutPayload::from_bytes(bytes.into());
        self.inner.put(&Path::from(path), payload).await.map_err(|error| self.failed("write", path, error))?;
        Ok(())
    }

    /// Writes a whole object unless one of that name exists: the commit of everything in this crate.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; that the object exists is an outcome, not an error.
    pub async fn put_if_absent(&self, path: &str, bytes: impl Into<Bytes>) -> Result<PutOutcome, StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let payload = PutPayload::from_bytes(bytes.into());
        match self.inner.put_opts(&Path::from(path), payload, options).await {
            Ok(_) => Ok(PutOutcome::Created),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(PutOutcome::AlreadyExists),
            Err(error) => Err(self.failed("write", path, error)),
        }
    }

    /// Every object under a folder, however deep, sorted by path.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; a folder that does not exist is empty.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let prefix_path = Path::from(prefix);
        let found = self.inner.list(Some(&prefix_path)).map_ok(|meta| meta.location.to_string());
        let mut paths: Vec<String> = found.try_collect().await.map_err(|error| self.failed("list", prefix, error))?;
        paths.sort_unstable();
        Ok(paths)
    }

    /// The names of the folders directly under a folder, sorted.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; a folder that does not exist is empty.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let prefix_path = Path::from(prefix);
        let found = self.inner.list_with_delimiter(Some(&prefix_path)).await;
        let listing = found.map_err(|error| self.failed("list", prefix, error))?;
        let mut names: Vec<String> =
            listing.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Whether an object exists.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn exists(&self, path: &str) -> Result<bool, StoreError> {
        match self.inner.head(&Path::from(path)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("read", path, error)),
        }
    }

    /// Removes an object; one that does not exist is removed already.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        match self.inner.delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", path, error)),
        }
    }

    fn failed(&self, operation: &'static str, path: &str, source: object_store::Error) -> StoreError {
        let (path, store) = (path.to_owned(), self.url.to_string());
        match source {
            object_store::Error::NotFound { .. } => StoreError::NotFound { path, store },
            source => StoreError::Failed { operation, path, store, source: Box::new(source) },
        }
    }
}

#[cfg(test)]
mod tests;
