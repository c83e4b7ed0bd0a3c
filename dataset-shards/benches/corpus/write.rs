//! Writing the frames: PGM, sample ids, Parquet and the hash of each shard, onto the disk.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use vismae_shards::store::Store;

use crate::Outcome;
use crate::contender::{Watch, serve};
use crate::frames::{self, PIXELS};
use crate::shards;

/// Writes all frames anew in each pass, below a folder of this contender's own.
pub(crate) fn run(file: &Path, folder: &Path) -> Outcome<()> {
    let frames: Bytes = frames::read(file)?.into();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    serve(|| {
        clear(folder)?;
        let store = Store::open(&folder.to_string_lossy())?;
        let watch = Watch::start();
        let manifest = runtime.block_on(shards::write(&frames, &store))?;
        Ok(watch.stop((frames.len() / PIXELS) as u64, shards::bytes(&manifest)))
    })
}

/// Removes what the pass before has left.
pub(crate) fn clear(folder: &Path) -> Outcome<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}
