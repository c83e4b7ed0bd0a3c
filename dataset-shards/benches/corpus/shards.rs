//! Frames as a committed corpus, in shards as an ingest writes them.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use vismae_core::spec::Modality;
use vismae_shards::frame::{Frame, pgm};
use vismae_shards::ingest::{ShardWriter, ShardWriterOptions};
use vismae_shards::manifest::{Counts, FORMAT, Manifest, Recipe};
use vismae_shards::sample::SampleId;
use vismae_shards::schema::{FrameRow, shard_schema};
use vismae_shards::split::Split;
use vismae_shards::store::Store;

use crate::frames::{self, PIXELS, SIDE};
use crate::ingest::{corpus, specification};
use crate::{Outcome, contender};

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

/// Writes frames as one split of one modality, on all cores; gives the manifest, which is not written.
pub(crate) async fn write(frames: &Bytes, store: &Store) -> Outcome<Manifest> {
    let corpus = corpus()?;
    let options = ShardWriterOptions {
        folder: Manifest::folder(&corpus),
        schema: shard_schema(&[]),
        image_size: SIDE as u32,
        threads: std::thread::available_parallelism()?.get(),
    };
    let mut writer = ShardWriter::new(store, options)?;
    for levels in frames.chunks_exact(PIXELS) {
        writer.push(row(levels)?).await?;
    }
    let shards = writer.finish().await?;
    let counts = Counts { frames: (frames.len() / PIXELS) as u64, labels: 0, masks: 0 };
    let recipe = Recipe::from(&specification(&[])?);
    Ok(Manifest {
        format: FORMAT,
        corpus: corpus.to_string(),
        version: 1,
        recipe,
        classes: Vec::new(),
        shards,
        counts,
        quarantine: None,
    })
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
