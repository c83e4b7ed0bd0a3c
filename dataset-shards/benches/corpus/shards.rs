//! Frames as a committed corpus, in shards as an ingest writes them.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use vismae_core::spec::Modality;
use vismae_shards::frame::{Frame, pgm};
use vismae_shards::manifest::{Counts, FORMAT, Manifest, Recipe, Shard};
use vismae_shards::sample::SampleId;
use vismae_shards::schema::{FrameRow, record_batch, shard_schema};
use vismae_shards::split::Split;
use vismae_shards::store::Store;

use crate::frames::{self, PIXELS, SIDE};
use crate::ingest::{corpus, specification};
use crate::{Outcome, contender};

/// A shard is closed at the row group that brings it to this size.
const SHARD_BYTES: usize = 64 << 20;
const GROUP_ROWS: usize = 256;
const ZSTD_LEVEL: i32 = 1;

/// Writes the corpus that is read, and its manifest.
pub(crate) fn prepare(frames: &Path, store: &Path) -> Outcome<()> {
    let frames: Bytes = frames::read(frames)?.into();
    let store = Store::open(&store.to_string_lossy())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let manifest = runtime.block_on(write(&frames, &store))?;
    runtime.block_on(store.put(&Manifest::path(&corpus()?, manifest.version), serde_json::to_vec(&manifest)?))?;
    contender::say(&serde_json::json!({ "rows": manifest.counts.frames, "bytes": bytes(&manifest) }))
}

/// The size of the shards of a version.
pub(crate) fn bytes(manifest: &Manifest) -> u64 {
    manifest.shards.iter().map(|shard| shard.bytes).sum()
}

/// Writes frames as one split of one modality; gives the manifest, which is not written.
pub(crate) async fn write(frames: &Bytes, store: &Store) -> Outcome<Manifest> {
    let corpus = corpus()?;
    let folder = Manifest::folder(&corpus);
    let (mut shards, mut open) = (Vec::new(), OpenShard::new()?);
    for group in frames.chunks(GROUP_ROWS * PIXELS) {
        open.push(group)?;
        if open.writer.bytes_written() >= SHARD_BYTES {
            let full = std::mem::replace(&mut open, OpenShard::new()?);
            shards.push(full.close(store, &folder, shards.len()).await?);
        }
    }
    if !open.row_groups.is_empty() {
        shards.push(open.close(store, &folder, shards.len()).await?);
    }
    let counts = Counts { frames: (frames.len() / PIXELS) as u64, labels: 0, masks: 0 };
    let recipe = Recipe::from(&specification(&[])?);
    Ok(Manifest { format: FORMAT, corpus: corpus.to_string(), version: 1, recipe, classes: Vec::new(), shards, counts })
}

/// A frame as an ingest would store it.
pub(crate) fn row(levels: &[u8]) -> Outcome<FrameRow> {
    let image = pgm::encode(&Frame::gray8(SIDE as u32, SIDE as u32, levels.to_vec())?);
    Ok(FrameRow {
        sample_id: SampleId::of_pgm(&image),
        image,
        mask: None,
        modality: Modality::XRay,
        group_id: String::new(),
        source: Arc::from("frames"),
        side: SIDE as u32,
        spacing_mm: None,
        split: Split::Train,
        label: None,
    })
}

struct OpenShard {
    writer: ArrowWriter<Vec<u8>>,
    row_groups: Vec<u32>,
}

impl OpenShard {
    fn new() -> Outcome<Self> {
        let image = ColumnPath::new(vec!["image".to_owned(), "bytes".to_owned()]);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_column_dictionary_enabled(image.clone(), false)
            .set_column_statistics_enabled(image, EnabledStatistics::None)
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), shard_schema(&[]), Some(properties))?;
        Ok(Self { writer, row_groups: Vec::new() })
    }

    /// Encodes frames as one row group.
    fn push(&mut self, frames: &[u8]) -> Outcome<()> {
        let rows = frames.chunks_exact(PIXELS).map(row).collect::<Outcome<Vec<_>>>()?;
        self.writer.write(&record_batch(&shard_schema(&[]), &rows)?)?;
        self.writer.flush()?;
        self.row_groups.push(rows.len() as u32);
        Ok(())
    }

    /// Ends the shard and puts it in the store.
    async fn close(self, store: &Store, folder: &str, number: usize) -> Outcome<Shard> {
        let Self { writer, row_groups } = self;
        let bytes = writer.into_inner()?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let path = format!("{folder}/data/modality=XR/split=train/part-{number:05}-{}.parquet", &hash[..16]);
        let shard = Shard {
            path: path.clone(),
            modality: Modality::XRay,
            split: Split::Train,
            rows: row_groups.iter().map(|&rows| u64::from(rows)).sum(),
            bytes: bytes.len() as u64,
            blake3: hash,
            row_groups,
        };
        store.put_if_absent(&path, bytes).await?;
        Ok(shard)
    }
}
