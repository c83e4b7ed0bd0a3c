//! Where row groups come from: the cache of the node, or the store, whose answers are checked and asked for again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tracing::info;

use super::columns::{Columns, Piece};
use super::group::{Contents, DecodedGroup};
use super::located::Located;
use super::row_set::RowSet;
use super::{LoadError, NodeCache, ranged};
use crate::manifest::ContentHash;

/// Further reads of what came damaged or broken off, on top of the store's own retries of requests that it refused.
const RETRIES: usize = 4;
/// Before the first of them; each later one waits twice as long, and all of them up to twice that at random, so that ranks that
/// failed together do not come back together.
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// Reads and decodes the row groups of a corpus.
pub(super) struct GroupSource {
    store: Arc<dyn ObjectStore>,
    pub(super) columns: Columns,
    pub(super) contents: Contents,
}

/// What a reading shares among its row groups.
#[derive(Clone)]
pub(super) struct Means {
    /// One permit for each row group that may be decoded at the same time.
    pub(super) decoders: Arc<Semaphore>,
    pub(super) cache: Option<NodeCache>,
}

impl GroupSource {
    pub(super) fn new(store: Arc<dyn ObjectStore>, columns: Columns, contents: Contents) -> Self {
        Self { store, columns, contents }
    }

    /// Reads a row group by one ranged read, or from the cache, and decodes some of its rows.
    pub(super) async fn load(
        self: Arc<Self>,
        located: Located,
        rows: RowSet,
        means: Means,
    ) -> Result<DecodedGroup, LoadError> {
        let range = located.entry().range();
        let hash = located.entry().blake3;
        let bytes = match means.cache {
            Some(cache) => self.through_cache(&cache, &located, range.clone(), hash).await?,
            None => self.fetch(&located, range.clone(), hash).await?,
        };
        let permit = means.decoders.acquire_owned().await;
        let decode = move || {
            let piece = Piece { start: range.start, bytes };
            let decoded = DecodedGroup::decode(&self.columns, &located, piece, &rows, self.contents);
            drop(permit);
            decoded
        };
        spawn_blocking(decode).await.map_err(|_| LoadError::Panicked)?
    }

    /// The part of a row group that an index is read from.
    pub(super) async fn index(&self, located: &Located) -> Result<Piece, LoadError> {
        let range = located.entry().index_range();
        let bytes = self.fetch(located, range.clone(), located.entry().index_blake3).await?;
        Ok(Piece { start: range.start, bytes })
    }

    async fn through_cache(
        &self,
        cache: &NodeCache,
        located: &Located,
        range: Range<u64>,
        hash: ContentHash,
    ) -> Result<Bytes, LoadError> {
        let held = cache.clone();
        let found = spawn_blocking(move || held.get(hash)).await.map_err(|_| LoadError::Panicked)?;
        if let Some(bytes) = found {
            return Ok(bytes);
        }
        let bytes = self.fetch(located, range, hash).await?;
        let (held, fetched) = (cache.clone(), bytes.clone());
        spawn_blocking(move || held.put(hash, &fetched)).await.map_err(|_| LoadError::Panicked)?;
        Ok(bytes)
    }

    /// Bytes of a shard that have this hash; nothing else is ever given out.
    async fn fetch(&self, located: &Located, range: Range<u64>, hash: ContentHash) -> Result<Bytes, LoadError> {
        let policy = ExponentialBuilder::new().with_min_delay(FIRST_DELAY).with_max_times(RETRIES).with_jitter();
        (|| self.fetch_once(located, range.clone(), hash))
            .retry(policy)
            .when(LoadError::may_pass)
            .notify(|error, wait| {
                let (shard, row_group) = (&located.shard.path, located.row_group);
                info!(shard, row_group, %error, ?wait, "reading a row group again");
            })
            .await
    }

    async fn fetch_once(
        &self,
        located: &Located,
        range: Range<u64>,
        expected: ContentHash,
    ) -> Result<Bytes, LoadError> {
        let (shard, row_group) = (located.shard.path.clone(), located.row_group);
        let path = Path::from(located.shard.path.as_str());
        let (bytes, found) = match ranged::read(&*self.store, &path, range.clone()).await {
            Ok(read) => read,
            Err(source) => return Err(LoadError::Store { shard, row_group, source }),
        };
        if found == expected {
            return Ok(bytes);
        }
        let (got, wanted) = (bytes.len() as u64, range.end - range.start);
        Err(LoadError::WrongBytes { shard, row_group, found, expected, got, wanted })
    }
}
