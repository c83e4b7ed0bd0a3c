//! The frames of one split that match a selection.

mod origins;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;
use vismae_core::ids::Epoch;
use vismae_core::spec::{Modality, Selection};

use super::columns::Columns;
use super::group::{Contents, DecodedGroup};
use super::index::GroupIndex;
use super::located::Located;
use super::row_set::RowSet;
use super::schedule::GroupSize;
use super::source::{GroupSource, Means};
use super::{Batch, LoadError, OpenDatasetError, fraction};
use crate::manifest::{Manifest, Shard};
use crate::order::RowRef;
use crate::sample::SampleId;
use crate::split::Split;
use crate::store::Store;

pub use origins::Origins;

/// Indices read at the same time: small reads, whose latency is all there is to hide.
const CONCURRENT_INDICES: usize = 32;
/// Row groups read at the same time outside a [`Loader`](super::Loader), each whole in memory for a while.
const CONCURRENT_READS: usize = 4;

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
    source: Arc<GroupSource>,
    groups: Vec<GroupIndex>,
    classes: Vec<String>,
}

impl Dataset {
    /// Indexes the matching frames. Where every frame of the split matches, the manifest says all; where labels, masks or
    /// sources decide, the small columns are read, by one ranged read a row group. Pixels and footers are not.
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
        let columns = Columns::new().map_err(LoadError::Schema)?;
        let wanted = manifest
            .shards
            .iter()
            .filter(|shard| shard.split == split && (modalities.is_empty() || modalities.contains(&shard.modality)));
        let located: Vec<Vec<Located>> = wanted.map(|shard| locate(shard, &columns)).collect::<Result<_, _>>()?;
        let contents = Contents { side: manifest.recipe.image_size, masks: needs == Needs::Mask };
        let source = GroupSource::new(store.object_store(), columns, contents);
        let located = located.into_iter().flatten().filter(|located| located.entry().rows > 0);
        let mut groups: Vec<GroupIndex> = if needs == Needs::Any && selection.sources.is_empty() {
            located.map(GroupIndex::whole).collect()
        } else {
            let matching = located.map(|located| GroupIndex::matching(&source, located, &selection.sources, needs));
            stream::iter(matching).buffered(CONCURRENT_INDICES).try_collect().await?
        };
        groups.retain(|group| group.rows.len() > 0);
        if groups.is_empty() {
            return Err(OpenDatasetError::Empty {
                corpus: manifest.corpus.clone(),
                version: manifest.version,
                wanted: describe_wanted(split, selection, needs),
                present: describe_present(manifest),
            });
        }
        Ok(Self { source: Arc::new(source), groups, classes: manifest.classes.clone() })
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
        let frames: Vec<Vec<(String, String)>> = {
            let reading = self.groups.iter().map(|group| group.groups_and_strata(&self.source));
            stream::iter(reading).buffered(CONCURRENT_INDICES).try_collect().await?
        };
        let strata = fraction::strata(frames.iter().flatten().map(|(group, label)| (group.as_str(), label.clone())));
        let chosen = fraction::chosen_groups(&strata, fraction);
        for (index, frames) in self.groups.iter_mut().zip(&frames) {
            let kept = index.rows.iter().zip(frames).filter(|(_, (group, _))| chosen.contains(group.as_str()));
            let kept: Vec<u32> = kept.map(|(row, _)| row).collect();
            index.rows = RowSet::Of(kept.into());
        }
        self.groups.retain(|group| group.rows.len() > 0);
        Ok(self)
    }

    /// Frames in it; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a dataset is never empty: opening it would have failed")]
    pub fn len(&self) -> u64 {
        self.groups.iter().map(|group| u64::from(group.rows.len())).sum()
    }

    /// Matching rows of each row group: what a [`Plan`](crate::order::Plan) is made from.
    pub fn row_counts(&self) -> Vec<u32> {
        self.groups.iter().map(|group| group.rows.len()).collect()
    }

    /// Side of every image, in pixels.
    pub fn size(&self) -> u32 {
        self.source.contents.side
    }

    /// The labels that occur in it, ascending, with the names of their classes. None where it was opened for any frame of any
    /// source: labels are not looked at then.
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
            .flat_map(|(index, group)| (0..index.rows.len()).map(move |row| RowRef { group, row }))
    }

    /// At most `count` rows, spread evenly from front to back.
    pub fn spread(&self, count: u64) -> Vec<RowRef> {
        let (total, count) = (self.len(), count.min(self.len()));
        let wanted: BTreeSet<u64> =
            (0..count).map(|at| (u128::from(at) * u128::from(total) / u128::from(count)) as u64).collect();
        self.rows().zip(0u64..).filter(|(_, at)| wanted.contains(at)).map(|(row, _)| row).collect()
    }

    /// Reads some rows, in the order given, as one batch of epoch 0, step 0. What it holds grows with the rows, not with their
    /// row groups.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn read(&self, rows: &[RowRef]) -> Result<Batch, LoadError> {
        let mut wanted: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for row in rows {
            wanted.entry(row.group).or_default().insert(row.row);
        }
        let means = Means { decoders: Arc::new(Semaphore::new(CONCURRENT_READS)), cache: None };
        let reading = wanted.iter().map(async |(&group, rows)| {
            let index = self.group(group)?;
            let all: Vec<u32> = index.rows.iter().collect();
            let chosen = rows.iter().map(|&row| all.get(row as usize).copied().ok_or_else(|| self.outside(group, row)));
            let chosen: Vec<u32> = chosen.collect::<Result<_, _>>()?;
            let load = Arc::clone(&self.source).load(index.located.clone(), RowSet::Of(chosen.into()), means.clone());
            Ok((group, load.await?))
        });
        let held: BTreeMap<u32, DecodedGroup> = stream::iter(reading).buffered(CONCURRENT_READS).try_collect().await?;
        // Of each group only the wanted rows were decoded: a row is now known by its place among them.
        let places: BTreeMap<RowRef, u32> = wanted
            .iter()
            .flat_map(|(&group, rows)| rows.iter().zip(0..).map(move |(&row, at)| (RowRef { group, row }, at)))
            .collect();
        let renamed = rows.iter().map(|row| RowRef { row: places.get(row).copied().unwrap_or(row.row), ..*row });
        self.assemble(&renamed.collect::<Vec<_>>(), |group| held.get(&group))
    }

    /// The matching rows of a row group, by its number in this dataset.
    pub(super) fn group(&self, group: u32) -> Result<&GroupIndex, LoadError> {
        self.groups.get(group as usize).ok_or_else(|| self.outside(group, 0))
    }

    /// What each row group takes.
    pub(super) fn group_sizes(&self) -> Vec<GroupSize> {
        let size = |index: &GroupIndex| GroupSize {
            rows: index.rows.len(),
            bytes: self.source.contents.bytes(index.located.entry(), &index.rows),
            encoded: index.located.entry().bytes(),
        };
        self.groups.iter().map(size).collect()
    }

    /// Bytes that a batch of so many samples takes in memory, about.
    pub(super) fn batch_bytes(&self, samples: usize) -> u64 {
        let planes = if self.source.contents.masks { 2 } else { 1 };
        let small = size_of::<SampleId>() + size_of::<RowRef>() + size_of::<Option<i64>>() + size_of::<Modality>();
        samples as u64 * (u64::from(self.size()).pow(2) * planes + small as u64)
    }

    /// Where its row groups come from.
    pub(super) fn source(&self) -> &Arc<GroupSource> {
        &self.source
    }

    /// Copies rows of decoded groups into a batch of epoch 0, step 0. The rows of a group are those that were decoded.
    pub(super) fn assemble<'a>(
        &self,
        rows: &[RowRef],
        held: impl Fn(u32) -> Option<&'a DecodedGroup>,
    ) -> Result<Batch, LoadError> {
        let bytes = rows.len() * (self.size() as usize).pow(2);
        let mut batch = Batch {
            epoch: Epoch(0),
            step: 0,
            size: self.size(),
            images: Vec::with_capacity(bytes),
            labels: Vec::with_capacity(rows.len()),
            masks: self.source.contents.masks.then(|| Vec::with_capacity(bytes)),
            rows: Vec::with_capacity(rows.len()),
            samples: Vec::with_capacity(rows.len()),
            modalities: Vec::with_capacity(rows.len()),
            global_samples: rows.len() as u32,
        };
        for &RowRef { group, row } in rows {
            let at = row as usize;
            let decoded = held(group).filter(|decoded| at < decoded.samples.len());
            let decoded = decoded.ok_or_else(|| self.outside(group, row))?;
            batch.images.extend_from_slice(decoded.image(at));
            batch.labels.push(decoded.labels[at]);
            batch.rows.push(RowRef { group, row });
            batch.samples.push(decoded.samples[at]);
            batch.modalities.push(decoded.modality);
            if let (Some(masks), Some(mask)) = (&mut batch.masks, decoded.mask(at)) {
                masks.extend_from_slice(mask);
            }
        }
        Ok(batch)
    }

    fn outside(&self, group: u32, row: u32) -> LoadError {
        LoadError::OutOfRange { group, row, groups: self.groups.len() }
    }
}

/// The row groups of a shard.
fn locate(shard: &Shard, columns: &Columns) -> Result<Vec<Located>, LoadError> {
    let shard = Arc::new(shard.clone());
    for group in &shard.row_groups {
        if group.columns.len() != columns.count() {
            let (found, expected) = (group.columns.len(), columns.count());
            let (found, expected) = (format!("row groups of {found} columns"), format!("{expected}"));
            return Err(LoadError::Changed { shard: shard.path.clone(), found, expected });
        }
    }
    let located = |row_group| Located { shard: Arc::clone(&shard), row_group };
    Ok((0..shard.row_groups.len()).map(located).collect())
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
