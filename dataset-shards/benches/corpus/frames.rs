//! The frames that every contender is given: square, of 8 bits, end to end in one file.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use vismae_core::spec::Selection;
use vismae_shards::ingest;
use vismae_shards::loader::{Dataset, Loader, LoaderOptions, Needs};
use vismae_shards::manifest::Manifest;
use vismae_shards::phantom::{self, PhantomOptions};
use vismae_shards::split::Split;
use vismae_shards::store::Store;

use crate::ingest::{corpus, options, specification};
use crate::{Outcome, contender};

/// Side of a frame, in pixels: that of the published network.
pub(crate) const SIDE: usize = 224;
/// Bytes of a frame.
pub(crate) const PIXELS: usize = SIDE * SIDE;
/// Rows and columns that a copy of a frame is moved by, times its number: odd, so that many copies differ.
const MOVE: [usize; 2] = [37, 53];
const BATCH: u32 = 256;

/// Draws the corpus that stands in where no real files are at hand.
pub(crate) fn phantom(folder: &Path) -> Outcome<()> {
    let summary = phantom::write(folder, &PhantomOptions::demo(1))?;
    contender::say(&json!({ "files": summary.files, "frames": summary.frames }))
}

/// Ingests files and writes `count` of their frames, spread evenly over them. Where they are fewer, copies follow that are moved
/// in both directions: as hard to compress as the frames are, and never equal to one.
pub(crate) fn gather(file: &Path, count: usize, inputs: &[PathBuf]) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let store = Store::open("memory://")?;
    let spec = specification(inputs)?;
    runtime.block_on(ingest::ingest(&store, &spec, &options(), |_| {}, &CancellationToken::new()))?;
    let manifest = runtime.block_on(Manifest::load(&store, &corpus()?, None))?;
    let everything = Selection::default();
    let mut distinct: Vec<Vec<u8>> = Vec::new();
    for split in Split::ALL {
        if !manifest.shards.iter().any(|shard| shard.split == split) {
            continue;
        }
        let opening = Dataset::open(&store, &manifest, split, &everything, Needs::Any);
        let dataset = Arc::new(runtime.block_on(opening)?);
        let options = LoaderOptions { bytes: 256 << 20, threads: 1, cache: None };
        let mut loader = Loader::sequential(dataset, BATCH, None, options, runtime.handle())?;
        while let Some(batch) = loader.next()? {
            distinct.extend(batch.images.chunks_exact(PIXELS).map(<[u8]>::to_vec));
        }
    }
    let partial = file.with_extension("partial");
    let mut output = BufWriter::new(File::create(&partial)?);
    for at in 0..count {
        if count <= distinct.len() {
            output.write_all(&distinct[at * distinct.len() / count])?;
        } else {
            output.write_all(&moved(&distinct[at % distinct.len()], at / distinct.len()))?;
        }
    }
    output.into_inner()?.sync_all()?;
    fs::rename(&partial, file)?;
    contender::say(&json!({ "frames": count, "distinct": distinct.len().min(count) }))
}

/// A frame moved round its edges.
fn moved(frame: &[u8], copy: usize) -> Vec<u8> {
    let [down, right] = MOVE.map(|by| by * copy % SIDE);
    let mut moved = frame.to_vec();
    moved.rotate_right(down * SIDE);
    moved.chunks_exact_mut(SIDE).for_each(|row| row.rotate_right(right));
    moved
}

/// Reads the file of frames.
pub(crate) fn read(file: &Path) -> Outcome<Vec<u8>> {
    let frames = fs::read(file).map_err(|error| format!("frames `{}` cannot be read: {error}", file.display()))?;
    if frames.is_empty() || !frames.len().is_multiple_of(PIXELS) {
        return Err(
            format!("`{}` holds {} bytes, expected whole frames of {PIXELS}", file.display(), frames.len()).into()
        );
    }
    Ok(frames)
}
