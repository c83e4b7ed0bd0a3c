//! The version before: which of its rows, and so which of its shards, the next one takes over.

use std::collections::HashMap;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use super::IngestError;
use super::catalogue::Catalogue;
use super::outcome::{Digest, digest};
use crate::manifest::{ContentHash, Manifest, Shard};
use crate::schema::{FrameRow, frame_rows};
use crate::store::Store;

/// The rows of the latest version, and which of them are wanted again.
#[derive(Default)]
pub(super) struct Base {
    shards: Vec<BaseShard>,
    /// By the digest of a row, its shard and its place in that.
    places: HashMap<Digest, (usize, usize)>,
}

/// A shard of the version before.
pub(super) struct BaseShard {
    pub(super) shard: Shard,
    /// Of its rows.
    pub(super) digests: Vec<Digest>,
    wanted: Vec<bool>,
}

impl Base {
    /// Rows that the catalogue knows.
    pub(super) fn new(latest: Option<Manifest>, catalogue: &mut Catalogue) -> Self {
        let mut base = Self::default();
        for shard in latest.into_iter().flat_map(|manifest| manifest.shards) {
            let Some(digests) = catalogue.shards.remove(&shard.blake3.to_string()) else { continue };
            let number = base.shards.len();
            base.places.extend(digests.iter().enumerate().map(|(row, digest)| (*digest, (number, row))));
            base.shards.push(BaseShard { shard, wanted: vec![false; digests.len()], digests });
        }
        base
    }

    /// Takes a row over, if it is there.
    pub(super) fn take_over(&mut self, row: &Digest) -> bool {
        let Some(&(shard, row)) = self.places.get(row) else { return false };
        self.shards[shard].wanted[row] = true;
        true
    }

    /// The shards that are wanted as they are, and the others.
    pub(super) fn divide(self) -> (Vec<BaseShard>, Vec<BaseShard>) {
        self.shards.into_iter().partition(|shard| shard.wanted.iter().all(|&wanted| wanted))
    }
}

impl BaseShard {
    /// Its rows that are wanted.
    ///
    /// # Errors
    /// [`IngestError`] when the shard is not as it was written.
    pub(super) async fn wanted_rows(&self, store: &Store) -> Result<Vec<FrameRow>, IngestError> {
        if !self.wanted.contains(&true) {
            return Ok(Vec::new());
        }
        let rows = read(store, &self.shard).await?.into_iter().zip(&self.wanted);
        Ok(rows.filter(|(_, wanted)| **wanted).map(|(row, _)| row).collect())
    }
}

/// Every row of a shard whose bytes are those of its manifest.
async fn read(store: &Store, shard: &Shard) -> Result<Vec<FrameRow>, IngestError> {
    let bytes = store.get(&shard.path).await?;
    if ContentHash::of(&bytes) != shard.blake3 {
        return Err(IngestError::DamagedShard { shard: shard.path.clone() });
    }
    let decode = move || -> Result<Vec<FrameRow>, ParquetError> {
        let mut rows = Vec::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
            rows.extend(frame_rows(&batch?)?);
        }
        Ok(rows)
    };
    Ok(tokio::task::spawn_blocking(decode).await.map_err(IngestError::Thread)??)
}

impl<'a> RowIdentity<'a> {
    pub(super) fn of(row: &'a FrameRow) -> Self {
        Self {
            frame: row.sample_id.as_bytes(),
            mask: row.mask.as_deref().map(|mask| digest(blake3::Hasher::new().update(mask))),
            place: [row.modality.word(), row.split.word(), &row.group_id, &row.source],
            spacing_mm: row.spacing_mm,
            label: row.label,
        }
    }
}

/// What tells a row from every other: all its columns, the mask by its own digest.
pub(super) fn row_digest(row: &RowIdentity<'_>) -> Digest {
    let RowIdentity { frame, mask, place, spacing_mm, label } = row;
    let mut hasher = blake3::Hasher::new();
    hasher.update(*frame).update(&[u8::from(mask.is_some())]).update(&mask.unwrap_or_default());
    for text in place {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    hasher.update(&[u8::from(spacing_mm.is_some())]);
    for distance in spacing_mm.unwrap_or_default() {
        hasher.update(&distance.to_le_bytes());
    }
    hasher.update(&[u8::from(label.is_some())]).update(&label.unwrap_or_default().to_le_bytes());
    digest(&hasher)
}

/// The columns of a row.
pub(super) struct RowIdentity<'a> {
    /// The sample's identity.
    pub(super) frame: &'a [u8; 16],
    /// Digest of the encoded mask.
    pub(super) mask: Option<Digest>,
    /// Modality, split, group and source.
    pub(super) place: [&'a str; 4],
    pub(super) spacing_mm: Option<[f32; 2]>,
    pub(super) label: Option<i64>,
}
