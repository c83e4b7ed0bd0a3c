//! The shards of one ingest: one series of Parquet files for each modality and split.

mod encode;
mod file;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::errors::ParquetError;
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;
use vismae_core::spec::Modality;

use self::encode::{EncodedGroup, GroupEncoder};
use self::file::ShardFile;
use super::IngestError;
use crate::manifest::{ContentHash, Shard};
use crate::schema::FrameRow;
use crate::split::Split;
use crate::store::{PutOutcome, Store};

/// A shard is closed at the row group that brings it to this size: large enough for object stores, small enough that the open
/// shards of all modalities and splits fit in memory.
const SHARD_BYTES: usize = 64 << 20;
/// Raw pixels of a row group, at most.
const GROUP_BYTES: usize = 16 << 20;
/// Rows of a row group, at most: small images would otherwise leave a corpus with too few row groups to shuffle.
const GROUP_ROWS: usize = 256;
/// Closed shards that are being stored while the next ones fill.
const UPLOADS: usize = 2;

/// What a [`ShardWriter`] makes, and how.
#[derive(Debug, Clone)]
pub struct ShardWriterOptions {
    /// The folder of the corpus in the store.
    pub folder: String,
    /// The columns: [`shard_schema`](crate::schema::shard_schema) of the classes.
    pub schema: SchemaRef,
    /// Side of a frame in pixels.
    pub image_size: u32,
    /// Row groups encoded at the same time, at least 1. The bytes written are the same for any number.
    pub threads: usize,
}

/// Collects rows and writes them out shard by shard, in the order they come. Names are made of contents, so what an
/// interrupted run left behind is taken up again and never clashes.
///
/// Row groups are encoded side by side and appended in order. It holds at most `threads + 1` row groups of at most 16 MiB of
/// pixels and as much of masks, and the open shard of each modality and split, which ends at 64 MiB, besides two that are being
/// stored.
pub struct ShardWriter {
    store: Store,
    folder: String,
    encoder: Arc<GroupEncoder>,
    rows_per_group: usize,
    groups_ahead: usize,
    partitions: BTreeMap<Partition, Open>,
    /// Oldest first, over all partitions.
    encoding: VecDeque<(Partition, Task<Result<EncodedGroup, ParquetError>>)>,
    /// Oldest first.
    storing: VecDeque<Task<Result<Shard, IngestError>>>,
    stored: Vec<Shard>,
}

type Partition = (Modality, Split);
type Task<T> = AbortOnDropHandle<T>;

/// What waits to be written of one modality and split.
#[derive(Default)]
struct Open {
    rows: Vec<FrameRow>,
    file: Option<ShardFile>,
    /// Shards closed.
    closed: usize,
}

impl ShardWriter {
    /// A writer without a row.
    ///
    /// # Errors
    /// [`IngestError::Encode`] when the schema has no form in Parquet.
    pub fn new(store: &Store, options: ShardWriterOptions) -> Result<Self, IngestError> {
        let ShardWriterOptions { folder, schema, image_size, threads } = options;
        let pixels = (image_size as usize).pow(2).max(1);
        Ok(Self {
            store: store.clone(),
            folder,
            encoder: Arc::new(GroupEncoder::new(schema)?),
            rows_per_group: (GROUP_BYTES / pixels).clamp(1, GROUP_ROWS),
            groups_ahead: threads.max(1) + 1,
            partitions: BTreeMap::new(),
            encoding: VecDeque::new(),
            storing: VecDeque::new(),
            stored: Vec::new(),
        })
    }

    /// Adds a row. Where that fills a row group, it is encoded in the background, and this waits only while too many are.
    ///
    /// # Errors
    /// [`IngestError`], of this row group or of an earlier one.
    pub async fn push(&mut self, row: FrameRow) -> Result<(), IngestError> {
        let partition = (row.modality, row.split);
        let open = self.partitions.entry(partition).or_default();
        open.rows.push(row);
        if open.rows.len() >= self.rows_per_group {
            self.encode(partition).await?;
        }
        Ok(())
    }

    /// Writes what is left; the shards by modality, split and number.
    ///
    /// # Errors
    /// [`IngestError`].
    pub async fn finish(mut self) -> Result<Vec<Shard>, IngestError> {
        let partitions: Vec<Partition> = self.partitions.keys().copied().collect();
        for &partition in &partitions {
            self.encode(partition).await?;
        }
        while !self.encoding.is_empty() {
            self.append_oldest().await?;
        }
        for partition in partitions {
            self.close(partition).await?;
        }
        while !self.storing.is_empty() {
            self.await_oldest_stored().await?;
        }
        // A name begins with the number of the shard in its partition.
        self.stored.sort_by(|one, other| {
            (one.modality, one.split, &one.path).cmp(&(other.modality, other.split, &other.path))
        });
        Ok(self.stored)
    }

    /// Has the waiting rows encoded as one row group.
    async fn encode(&mut self, partition: Partition) -> Result<(), IngestError> {
        let Some(open) = self.partitions.get_mut(&partition).filter(|open| !open.rows.is_empty()) else {
            return Ok(());
        };
        let (rows, encoder) = (std::mem::take(&mut open.rows), Arc::clone(&self.encoder));
        while self.encoding.len() >= self.groups_ahead {
            self.append_oldest().await?;
        }
        let task = spawn_blocking(move || encoder.encode(&rows));
        self.encoding.push_back((partition, AbortOnDropHandle::new(task)));
        Ok(())
    }

    /// Waits for the row group that was begun first, puts it behind the others of its shard, and closes a shard that is full.
    async fn append_oldest(&mut self) -> Result<(), IngestError> {
        let Some((partition, encoding)) = self.encoding.pop_front() else { return Ok(()) };
        let group = encoding.await.map_err(IngestError::Thread)??;
        let open = self.partitions.entry(partition).or_default();
        let (file, encoder) = (open.file.take(), Arc::clone(&self.encoder));
        let append = move || -> Result<ShardFile, ParquetError> {
            let mut file = file.map_or_else(|| ShardFile::new(&encoder), Ok)?;
            file.append(group)?;
            Ok(file)
        };
        let file = spawn_blocking(append).await.map_err(IngestError::Thread)??;
        let full = file.bytes() >= SHARD_BYTES;
        self.partitions.entry(partition).or_default().file = Some(file);
        if full { self.close(partition).await } else { Ok(()) }
    }

    /// Ends the open shard and has it stored.
    async fn close(&mut self, partition: Partition) -> Result<(), IngestError> {
        let open = self.partitions.entry(partition).or_default();
        let Some(file) = open.file.take() else { return Ok(()) };
        let number = open.closed;
        open.closed += 1;
        while self.storing.len() >= UPLOADS {
            self.await_oldest_stored().await?;
        }
        let task = tokio::spawn(store_shard(self.store.clone(), self.folder.clone(), partition, (number, file)));
        self.storing.push_back(AbortOnDropHandle::new(task));
        Ok(())
    }

    async fn await_oldest_stored(&mut self) -> Result<(), IngestError> {
        if let Some(storing) = self.storing.pop_front() {
            self.stored.push(storing.await.map_err(IngestError::Thread)??);
        }
        Ok(())
    }
}

async fn store_shard(
    store: Store,
    folder: String,
    (modality, split): Partition,
    (number, file): (usize, ShardFile),
) -> Result<Shard, IngestError> {
    let finish = move || -> Result<_, ParquetError> {
        let (bytes, row_groups) = file.finish()?;
        let hash = ContentHash::of(&bytes);
        Ok((bytes, row_groups, hash))
    };
    let (bytes, row_groups, blake3) = spawn_blocking(finish).await.map_err(IngestError::Thread)??;
    let name = format!("part-{number:05}-{:.16}.parquet", blake3.to_string());
    let shard = Shard {
        path: format!("{folder}/data/modality={modality}/split={split}/{name}"),
        modality,
        split,
        rows: row_groups.iter().map(|group| u64::from(group.rows)).sum(),
        bytes: bytes.len() as u64,
        blake3,
        row_groups,
    };
    let bytes = Bytes::from(bytes);
    // What lies there under this hash and is something else was damaged since.
    if store.put_if_absent(&shard.path, bytes.clone()).await? == PutOutcome::AlreadyExists {
        store.put(&shard.path, bytes).await?;
    }
    Ok(shard)
}

#[cfg(test)]
mod tests;
