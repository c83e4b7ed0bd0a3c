//! The frames of one split that match a selection.

mod origins;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use vismae_core::ids::Epoch;
use vismae_core::spec::Selection;

use super::cache::GroupCache;
use super::group::DecodedGroup;
use super::index::{self, GroupIndex, index_shard};
use super::shard::OpenShard;
use super::{Batch, LoadError, OpenDatasetError, fraction};
use crate::manifest::Manifest;
use crate::order::RowRef;
use crate::split::Split;
use crate::store::Store;

pub use origins::Origins;

/// Shards or row groups read at the same time: hides the latency of an object store without crowding a disk.
const CONCURRENT_READS: usize = 8;

/// What a frame must have to be part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Pixels.
    Any,
    /// A class label.
    Label,
    /// A mask, which batches then carry.
    Mask,
}

/// An index of the frames of one split that match a selection; their pixels stay in the store. The order of its row groups
/// is that of the manifest, so that the same manifest and selection give the same [`Plan`](crate::order::Plan) anywhere.
pub struct Dataset {
    shards: Vec<OpenShard>,
    groups: Vec<GroupIndex>,
    side: u32,
    needs: Needs,
    classes: Vec<String>,
}

impl Dataset {
    /// Indexes the matching frames; reads footers and small columns only.
    ///
    /// # Errors
    /// [`OpenDatasetError::Empty`] when nothing matches, saying what the corpus holds instead.
    pub async fn open(
        store: &Store,
        manifest: &Manifest,
        split: Split,
        selection: &Selection,
        needs: Needs,
    ) -> Result<Self, OpenDatasetError> {
        let modalities = &selection.modalities;
        let wanted = manifest
            .shards
            .iter()
            .filter(|shard| shard.split == split && (modalities.is_empty() || modalities.contains(&shard.modality)));
        let opening = wanted.map(|shard| OpenShard::open(store, shard));
        let shards: Vec<OpenShard> = stream::iter(opening).buffered(CONCURRENT_READS).try_collect().await?;
        let indexing = shards.iter().enumerate().map(|(at, shard)| index_shard(at, shard, &selection.sources, needs));
        let groups: Vec<Vec<GroupIndex>> = stream::iter(indexing).buffered(CONCURRENT_READS).try_collect().await?;
        let groups = groups.concat();
        if groups.is_empty() {
            return Err(OpenDatasetError::Empty {
                corpus: manifest.corpus.clone(),
                version: manifest.version,
                wanted: describe_wanted(split, selection, needs),
                present: describe_present(manifest),
            });
        }
        Ok(Self { shards, groups, side: manifest.recipe.image_size, needs, classes: manifest.classes.clone() })
    }

    /// Keeps a share of the groups, the same for every class, rounded up: patients with all their frames, so that a share of the
    /// masks is one of the patients who have some. Where frames have no label, as most that have a mask, the same for every
    /// modality. The groups of a smaller share are among those of a larger one.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn with_label_fraction(mut self, fraction: f64) -> Result<Self, LoadError> {
        if fraction >= 1.0 {
            return Ok(self);
        }
        let mut frames: Vec<Vec<(String, String)>> = Vec::new();
        for group in &self.groups {
            let shard = &self.shards[group.shard];
            frames.push(index::groups_and_strata(shard, group).await?);
        }
        let strata = fraction::strata(frames.iter().flatten().map(|(group, label)| (group.as_str(), label.clone())));
        let chosen = fraction::chosen_groups(&strata, fraction);
        for (index, frames) in self.groups.iter_mut().zip(&frames) {
            let kept = index.rows.iter().zip(frames).filter(|(_, (group, _))| chosen.contains(group.as_str()));
            index.rows = kept.map(|(row, _)| *row).collect();
        }
        self.groups.retain(|group| !group.rows.is_empty());
        Ok(self)
    }

    /// Frames in it; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a dataset is never empty: opening it would have failed")]
    pub fn len(&self) -> u64 {
        self.groups.iter().map(|group| group.rows.len() as u64).sum()
    }

    /// Matching rows of each row group: what a [`Plan`](crate::order::Plan) is made from.
    pub fn row_counts(&self) -> Vec<u32> {
        self.groups.iter().map(|group| group.rows.len() as u32).collect()
    }

    /// Side of every image, in pixels.
    pub fn size(&self) -> u32 {
        self.side
    }

    /// The labels that occur in it, ascending, with the names of their classes.
    pub fn classes_present(&self) -> Vec<(i64, String)> {
        let labels: BTreeSet<i64> = self.groups.iter().flat_map(|group| group.labels.iter().copied()).collect();
        let name = |label: i64| usize::try_from(label).ok().and_then(|at| self.classes.get(at)).cloned();
        labels.into_iter().map(|label| (label, name(label).unwrap_or_else(|| label.to_string()))).collect()
    }

    /// Every row, front to back.
    pub fn rows(&self) -> impl Iterator<Item = RowRef> + '_ {
        self.groups
            .iter()
            .zip(0u32..)
            .flat_map(|(index, group)| (0..index.rows.len() as u32).map(move |row| RowRef { group, row }))
    }

    /// At most `count` rows, spread evenly from front to back.
    pub fn spread(&self, count: u64) -> Vec<RowRef> {
        let (total, count) = (self.len(), count.min(self.len()));
        let wanted: BTreeSet<u64> =
            (0..count).map(|at| (u128::from(at) * u128::from(total) / u128::from(count)) as u64).collect();
        self.rows().zip(0u64..).filter(|(_, at)| wanted.contains(at)).map(|(row, _)| row).collect()
    }

    /// Reads some rows, in the order given, as one batch of epoch 0, step 0.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn read(&self, rows: &[RowRef]) -> Result<Batch, LoadError> {
        self.read_through(&mut GroupCache::new(usize::MAX), rows).await
    }

    /// Reads rows, taking from the cache what it holds and leaving there what was fetched.
    pub(super) async fn read_through(&self, cache: &mut GroupCache, rows: &[RowRef]) -> Result<Batch, LoadError> {
        let needed: BTreeSet<u32> = rows.iter().map(|row| row.group).collect();
        let mut held: BTreeMap<u32, Arc<DecodedGroup>> =
            needed.iter().filter_map(|&group| Some((group, cache.get(group)?))).collect();
        let missing = needed.into_iter().filter(|group| !held.contains_key(group)).collect::<Vec<_>>();
        let fetching = missing.into_iter().map(async |group| Ok((group, Arc::new(self.fetch(group).await?))));
        let fetched: Vec<(u32, Arc<DecodedGroup>)> =
            stream::iter(fetching).buffered(CONCURRENT_READS).try_collect().await?;
        for (group, decoded) in fetched {
            cache.put(group, Arc::clone(&decoded));
            held.insert(group, decoded);
        }
        self.assemble(&held, rows)
    }

    fn assemble(&self, held: &BTreeMap<u32, Arc<DecodedGroup>>, rows: &[RowRef]) -> Result<Batch, LoadError> {
        let with_masks = self.needs == Needs::Mask;
        let bytes = rows.len() * (self.side as usize).pow(2);
        let mut batch = Batch {
            epoch: Epoch(0),
            step: 0,
            size: self.side,
            images: Vec::with_capacity(bytes),
            labels: Vec::with_capacity(rows.len()),
            masks: with_masks.then(|| Vec::with_capacity(bytes)),
            samples: Vec::with_capacity(rows.len()),
            modalities: Vec::with_capacity(rows.len()),
            global_samples: rows.len() as u32,
        };
        for &RowRef { group, row } in rows {
            let at = row as usize;
            let decoded = held.get(&group).filter(|decoded| at < decoded.samples.len());
            let decoded = decoded.ok_or(LoadError::OutOfRange { group, row, groups: self.groups.len() })?;
            batch.images.extend_from_slice(decoded.image(at));
            batch.labels.push(decoded.labels[at]);
            batch.samples.push(decoded.samples[at]);
            batch.modalities.push(decoded.modality);
            if let (Some(masks), Some(mask)) = (&mut batch.masks, decoded.mask(at)) {
                masks.extend_from_slice(mask);
            }
        }
        Ok(batch)
    }

    async fn fetch(&self, group: u32) -> Result<DecodedGroup, LoadError> {
        let index = self.groups.get(group as usize);
        let index = index.ok_or(LoadError::OutOfRange { group, row: 0, groups: self.groups.len() })?;
        DecodedGroup::read(&self.shards[index.shard], index, self.side, self.needs == Needs::Mask).await
    }
}

fn describe_wanted(split: Split, selection: &Selection, needs: Needs) -> String {
    let mut wanted = format!("split `{split}`");
    if !selection.modalities.is_empty() {
        let words: Vec<&str> = selection.modalities.iter().map(|modality| modality.word()).collect();
        wanted += &format!(", modalities `{}`", words.join("`, `"));
    }
    if !selection.sources.is_empty() {
        wanted += &format!(", sources `{}`", selection.sources.join("`, `"));
    }
    match needs {
        Needs::Any => wanted,
        Needs::Label => wanted + ", with a label",
        Needs::Mask => wanted + ", with a mask",
    }
}

fn describe_present(manifest: &Manifest) -> String {
    let mut rows: BTreeMap<(&str, Split), u64> = BTreeMap::new();
    for shard in &manifest.shards {
        *rows.entry((shard.modality.word(), shard.split)).or_default() += shard.rows;
    }
    let parts: Vec<String> =
        rows.iter().map(|((modality, split), rows)| format!("{rows} {modality} in `{split}`")).collect();
    let sum = &manifest.counts;
    format!("{}; {} labels, {} masks", parts.join(", "), sum.labels, sum.masks)
}
