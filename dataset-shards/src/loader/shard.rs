//! One Parquet file in the store, read by ranges.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::LoadError;
use crate::manifest::Shard;
use crate::store::Store;

/// A shard whose footer has been read and agrees with the manifest.
#[derive(Clone)]
pub(super) struct OpenShard {
    pub(super) shard: Shard,
    file: RangeReader,
    metadata: ArrowReaderMetadata,
}

impl OpenShard {
    pub(super) async fn open(store: &Store, shard: &Shard) -> std::result::Result<Self, LoadError> {
        let path = Path::from(shard.path.as_str());
        let mut file = RangeReader { store: store.object_store(), path, bytes: shard.bytes };
        let metadata = ArrowReaderMetadata::load_async(&mut file, ArrowReaderOptions::default()).await;
        let metadata = metadata.map_err(|source| LoadError::Shard { shard: shard.path.clone(), source })?;
        let open = Self { shard: shard.clone(), file, metadata };
        let groups = open.metadata.metadata().row_groups();
        let found: Vec<i64> = groups.iter().map(|group| group.num_rows()).collect();
        let expected: Vec<i64> = shard.row_groups.iter().map(|group| i64::from(group.rows)).collect();
        if found != expected {
            let rows = |rows: &[i64]| format!("{} rows in {} row groups", rows.iter().sum::<i64>(), rows.len());
            let (found, expected) = (rows(&found), rows(&expected));
            return Err(LoadError::Changed { shard: shard.path.clone(), found, expected });
        }
        Ok(open)
    }

    /// Reads some leaf columns, named as `mask.path`, of one row group, in one piece.
    pub(super) async fn read_group(
        &self,
        group: usize,
        columns: &[&str],
    ) -> std::result::Result<RecordBatch, LoadError> {
        self.try_read_group(group, columns)
            .await
            .map_err(|source| LoadError::Shard { shard: self.shard.path.clone(), source })
    }

    async fn try_read_group(&self, group: usize, columns: &[&str]) -> Result<RecordBatch> {
        let rows = self.shard.row_groups.get(group).map_or(0, |group| group.rows as usize);
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(self.file.clone(), self.metadata.clone());
        let projection = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let stream = builder.with_row_groups(vec![group]).with_projection(projection).with_batch_size(rows).build()?;
        let schema = Arc::clone(stream.schema());
        let batches: Vec<RecordBatch> = stream.try_collect().await?;
        Ok(arrow::compute::concat_batches(&schema, &batches)?)
    }
}

/// Ranges of one object, whose size the manifest tells.
#[derive(Clone)]
struct RangeReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    bytes: u64,
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for RangeReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.store.get_range(&self.path, range).map_err(external).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.bytes;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}
