//! The shards of one ingest: one series of Parquet files for each modality and split.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use vismae_core::spec::Modality;

use super::IngestError;
use crate::manifest::Shard;
use crate::schema::{FrameRow, record_batch};
use crate::split::Split;
use crate::store::Store;

/// A shard is closed at the row group that brings it to this size: large enough for object stores, small enough that the open
/// shards of all modalities and splits fit in memory.
const SHARD_BYTES: usize = 64 << 20;
/// Raw pixels of a row group, at most.
const GROUP_BYTES: usize = 16 << 20;
/// Rows of a row group, at most: small images would otherwise leave a corpus with too few row groups to shuffle.
const GROUP_ROWS: usize = 256;
/// The lowest level, so that encoding does not hold up decoding.
const ZSTD_LEVEL: i32 = 1;

/// Collects rows and writes them out shard by shard, in the order they come. Names are made of contents, so what an
/// interrupted run left behind is taken up again and never clashes.
pub(super) struct ShardSet {
    store: Store,
    folder: String,
    schema: SchemaRef,
    rows_per_group: usize,
    partitions: BTreeMap<(Modality, Split), Partition>,
}

/// The open shard of one modality and split, and those it has finished.
#[derive(Default)]
struct Partition {
    rows: Vec<FrameRow>,
    open: Option<OpenShard>,
    finished: Vec<Shard>,
}

struct OpenShard {
    writer: ArrowWriter<Vec<u8>>,
    row_groups: Vec<u32>,
}

impl ShardSet {
    pub(super) fn new(store: &Store, folder: String, schema: SchemaRef, image_size: u32) -> Self {
        let pixels = (image_size as usize).pow(2).max(1);
        let rows_per_group = (GROUP_BYTES / pixels).clamp(1, GROUP_ROWS);
        Self { store: store.clone(), folder, schema, rows_per_group, partitions: BTreeMap::new() }
    }

    /// Adds a row; writes a row group, and perhaps a shard, when it is full.
    pub(super) async fn push(&mut self, row: FrameRow) -> Result<(), IngestError> {
        let key = (row.modality, row.split);
        let partition = self.partitions.entry(key).or_default();
        partition.rows.push(row);
        if partition.rows.len() >= self.rows_per_group {
            self.flush(key).await?;
            let full = |open: &OpenShard| open.writer.bytes_written() >= SHARD_BYTES;
            if self.partitions.get(&key).and_then(|partition| partition.open.as_ref()).is_some_and(full) {
                self.close(key).await?;
            }
        }
        Ok(())
    }

    /// Writes what is left; the shards by modality, split and number.
    pub(super) async fn finish(mut self) -> Result<Vec<Shard>, IngestError> {
        let keys: Vec<(Modality, Split)> = self.partitions.keys().copied().collect();
        for key in keys {
            self.flush(key).await?;
            self.close(key).await?;
        }
        Ok(self.partitions.into_values().flat_map(|partition| partition.finished).collect())
    }

    /// Encodes the waiting rows as one row group.
    async fn flush(&mut self, key: (Modality, Split)) -> Result<(), IngestError> {
        let partition = self.partitions.entry(key).or_default();
        if partition.rows.is_empty() {
            return Ok(());
        }
        let (rows, open, schema) =
            (std::mem::take(&mut partition.rows), partition.open.take(), Arc::clone(&self.schema));
        let encode = move || -> Result<OpenShard, ParquetError> {
            let mut open = open.map_or_else(|| OpenShard::new(Arc::clone(&schema)), Ok)?;
            open.writer.write(&record_batch(&schema, &rows)?)?;
            open.writer.flush()?;
            open.row_groups.push(rows.len() as u32);
            Ok(open)
        };
        let open = tokio::task::spawn_blocking(encode).await.map_err(IngestError::Thread)??;
        self.partitions.entry(key).or_default().open = Some(open);
        Ok(())
    }

    /// Ends the open shard and puts it in the store.
    async fn close(&mut self, key: (Modality, Split)) -> Result<(), IngestError> {
        let (modality, split) = key;
        let partition = self.partitions.entry(key).or_default();
        let Some(OpenShard { writer, row_groups }) = partition.open.take() else { return Ok(()) };
        let bytes = writer.into_inner()?;
        let (hash, number) = (blake3::hash(&bytes).to_hex().to_string(), partition.finished.len());
        let path =
            format!("{}/data/modality={modality}/split={split}/part-{number:05}-{}.parquet", self.folder, &hash[..16]);
        let rows = row_groups.iter().map(|&rows| u64::from(rows)).sum();
        partition.finished.push(Shard {
            path: path.clone(),
            modality,
            split,
            rows,
            bytes: bytes.len() as u64,
            blake3: hash,
            row_groups,
        });
        self.store.put_if_absent(&path, bytes).await?;
        Ok(())
    }
}

impl OpenShard {
    fn new(schema: SchemaRef) -> Result<Self, ParquetError> {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_created_by("vismae".to_owned());
        // Every image differs from the last: neither a dictionary nor a range of its bytes says anything.
        for column in ["image", "mask"] {
            let path = ColumnPath::new(vec![column.to_owned(), "bytes".to_owned()]);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties.build()))?;
        Ok(Self { writer, row_groups: Vec::new() })
    }
}
