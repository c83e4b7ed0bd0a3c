//! The object store that corpora and runs live in, reached by URL.

mod open;
mod retry;
mod settings;

use std::fmt;
use std::io;
use std::path::Path as Folder;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use retry::retried;

pub use open::OpenStoreError;

/// Objects removed at the same time.
const CONCURRENT_DELETES: usize = 16;

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
        /// What was tried: `read`, `write`, `copy`, `list` or `delete`.
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
    /// An object of that name holds the bytes given and is unchanged: those of an equal write, perhaps of this very one, of
    /// which the store told only when it was repeated.
    AlreadyWritten,
    /// An object of that name holds other bytes and is unchanged.
    AlreadyExists,
}

/// A handle on an object store and a prefix in it; paths are relative to that prefix. Clones share one connection pool.
#[derive(Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    /// The same, where a write to a folder has been done once its disk has it.
    synced: Arc<dyn ObjectStore>,
    /// Where a folder lies on this machine.
    folder: Option<Arc<Folder>>,
    url: Arc<str>,
    patience: Duration,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.url).finish()
    }
}

impl Store {
    /// Opens a store by its URL:
    ///
    /// - `s3://bucket/prefix`, set up by the usual `AWS_*` variables (plain-http endpoints when `AWS_ALLOW_HTTP` is `true`);
    /// - `gs://bucket/prefix`, by the `GOOGLE_*` variables;
    /// - `az://container/prefix` or `abfss://container@account.dfs.core.windows.net/prefix`, by the `AZURE_*` variables;
    /// - `file:///folder`, or a plain path, absolute or relative (the folder is created);
    /// - `memory://` (empty, gone with its last clone).
    ///
    /// Whatever passes by itself is tried again for a minute, with jitter. The query of the first three sets other times:
    /// `retry_timeout`, `connect_timeout`, `read_timeout` (of silence) and `timeout` (of one request) as `30s`, and
    /// `skip_signature=true` where anybody may read; for S3 also `endpoint`, `region` and `allow_http`.
    ///
    /// # Errors
    /// [`OpenStoreError`] when the URL has another scheme, or the folder or bucket cannot be used. No bucket is asked for
    /// anything yet.
    pub fn open(url: &str) -> Result<Self, OpenStoreError> {
        let open::Opened { inner, synced, folder, url, patience } = open::open(url)?;
        Ok(Self { inner, synced, folder, url: url.into(), patience })
    }

    /// The same store, for what must outlast a loss of power: a write to a folder has been done once its disk has the object and the
    /// name of it. Buckets always keep what they acknowledge.
    #[must_use]
    pub fn synced(&self) -> Self {
        Self { inner: Arc::clone(&self.synced), ..self.clone() }
    }

    /// A handle on a store of a test's own making.
    #[cfg(test)]
    pub(crate) fn over(inner: Arc<dyn ObjectStore>) -> Self {
        Self { synced: Arc::clone(&inner), inner, folder: None, url: "test://".into(), patience: Duration::ZERO }
    }

    /// As [`Store::over`], with another one for what must outlast a loss of power.
    #[cfg(test)]
    pub(crate) fn over_both(inner: Arc<dyn ObjectStore>, synced: Arc<dyn ObjectStore>) -> Self {
        Self { synced, ..Self::over(inner) }
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
        let location = &Path::from(path);
        let read = retried(self.patience, || async move { whole(self.inner.get(location).await?).await });
        read.await.map_err(|error| self.failed("read", path, error))
    }

    /// Writes a whole object, replacing what was there. Readers see the old bytes or the new, never a part.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn put(&self, path: &str, bytes: impl Into<Bytes>) -> Result<(), StoreError> {
        let (location, payload) = (Path::from(path), PutPayload::from_bytes(bytes.into()));
        let written = retried(self.patience, || self.inner.put(&location, payload.clone()));
        written.await.map(drop).map_err(|error| self.failed("write", path, error))
    }

    /// Writes a whole object unless one of that name exists: the commit of everything in this crate.
    ///
    /// A write whose answer is lost is repeated, and what it finds then may be what it wrote itself: so the bytes of an object
    /// that is there are compared with those given.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; that the object exists is an outcome, not an error.
    pub async fn put_if_absent(&self, path: &str, bytes: impl Into<Bytes>) -> Result<PutOutcome, StoreError> {
        let (location, bytes) = (Path::from(path), bytes.into());
        let put = retried(self.patience, || self.create(&location, &bytes));
        put.await.map_err(|error| self.failed("write", path, error))
    }

    /// One attempt to create an object. An object that is there for the writer and not for the reader is still being fought
    /// over by other writers: that error is one to try again.
    async fn create(&self, location: &Path, bytes: &Bytes) -> object_store::Result<PutOutcome> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let payload = PutPayload::from_bytes(bytes.clone());
        let exists = match self.inner.put_opts(location, payload, options).await {
            Ok(_) => return Ok(PutOutcome::Created),
            Err(error @ object_store::Error::AlreadyExists { .. }) => error,
            Err(error) => return Err(error),
        };
        let there = match self.inner.get(location).await {
            Ok(there) => there,
            Err(object_store::Error::NotFound { .. }) => return Err(exists),
            Err(error) => return Err(error),
        };
        let same = there.meta.size == bytes.len() as u64 && whole(there).await? == *bytes;
        Ok(if same { PutOutcome::AlreadyWritten } else { PutOutcome::AlreadyExists })
    }

    /// Makes an object equal to another, replacing what was there, without its bytes coming here: a bucket copies it by itself, and a
    /// folder gives the same file a second name.
    ///
    /// # Errors
    /// [`StoreError`]; buckets copy so many bytes only (5 GiB on S3).
    pub async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let (source, target) = (Path::from(from), Path::from(to));
        let copied = retried(self.patience, || self.inner.copy(&source, &target));
        copied.await.map_err(|error| self.failed("copy", from, error))
    }

    /// Every object under a folder, however deep, sorted by path.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; a folder that does not exist is empty.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let folder = Path::from(prefix);
        let listed = retried(self.patience, || {
            self.inner.list(Some(&folder)).map_ok(|meta| meta.location.to_string()).try_collect()
        });
        let mut paths: Vec<String> = listed.await.map_err(|error| self.failed("list", prefix, error))?;
        paths.sort_unstable();
        Ok(paths)
    }

    /// The names of the folders directly under a folder, sorted.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; a folder that does not exist is empty.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let folder = Path::from(prefix);
        let listed = retried(self.patience, || self.inner.list_with_delimiter(Some(&folder)));
        let listing = listed.await.map_err(|error| self.failed("list", prefix, error))?;
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
        let location = Path::from(path);
        match retried(self.patience, || self.inner.head(&location)).await {
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
        let location = Path::from(path);
        match retried(self.patience, || self.inner.delete(&location)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", path, error)),
        }
    }

    /// Removes every object under a folder; on a disk also the folder itself, with what broken writes have left in it.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn remove_folder(&self, prefix: &str) -> Result<(), StoreError> {
        let paths = self.list(prefix).await?;
        let deletes = stream::iter(paths.iter().map(Ok));
        deletes.try_for_each_concurrent(CONCURRENT_DELETES, |path| self.delete(path)).await?;
        let Some(folder) = &self.folder else { return Ok(()) };
        let on_disk = folder.join(Path::from(prefix).as_ref());
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(on_disk)).await;
        match removed.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let source = object_store::Error::Generic { store: "folder", source: error.into() };
                Err(self.failed("delete", prefix, source))
            }
            _ => Ok(()),
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

/// All bytes of what was found. A body that ends early is an error of its own: clients tell of a broken connection only.
async fn whole(found: GetResult) -> object_store::Result<Bytes> {
    let expected = found.range.end - found.range.start;
    let bytes = found.bytes().await?;
    if bytes.len() as u64 == expected {
        return Ok(bytes);
    }
    let fault = format!("the body has {} bytes, expected {expected}", bytes.len());
    Err(object_store::Error::Generic { store: "object", source: fault.into() })
}

#[cfg(test)]
mod tests;
