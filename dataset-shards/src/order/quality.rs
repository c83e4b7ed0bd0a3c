//! How well an order shuffles: how far rows travel from where they are stored, and how much a batch is like the corpus.
//!
//! Rows that are stored together are alike, since shards are of one modality and are written set by set. An order that reads
//! whole row groups can't mix as well as one that takes any row at any time; the figures say how much worse it is.

use serde::Serialize;
use vismae_core::ids::Epoch;

use super::Plan;
use super::keyed::KeyedStream;

/// What each row is, in the order of storage: row group after row group of the plan, front to back. Kinds are numbered from 0
/// without large gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowKinds {
    /// The source of each row.
    pub sources: Vec<u32>,
    /// The modality of each row.
    pub modalities: Vec<u32>,
}

/// The kinds are not those of the plan's rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there are {sources} sources and {modalities} modalities of rows, expected one of each for {rows} rows")]
pub struct RowKindsError {
    /// Sources given.
    pub sources: usize,
    /// Modalities given.
    pub modalities: usize,
    /// Rows of the plan.
    pub rows: u64,
}

/// Figures of one epoch in one order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShuffleQuality {
    /// Mean distance of a row's place in the epoch from its place in storage, over the number of rows. A full shuffle has 1/3.
    pub mean_travel: f64,
    /// The median of these distances. A full shuffle has 1 - 1/sqrt(2), about 0.293.
    pub median_travel: f64,
    /// Correlation of the two places, which are ranks: 1 where nothing moves, about 0 in a full shuffle.
    pub rank_correlation: f64,
    /// Total variation distance of a batch's sources from those of the corpus, in 0 to 1, as the mean over samples: the share of
    /// a batch that would have to be of other sources.
    pub source_distance: f64,
    /// The same of modalities.
    pub modality_distance: f64,
    /// Row groups that a batch draws from, as the mean over batches.
    pub groups_per_batch: f64,
}

/// An order beside the best and the worst one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The plan.
    pub planned: ShuffleQuality,
    /// Every order of all rows as likely as the next.
    pub shuffled: ShuffleQuality,
    /// As the rows are stored.
    pub unshuffled: ShuffleQuality,
}

/// Measures an epoch of a plan, and a full shuffle and no shuffle in batches of the same size. Looks at every row; takes 16
/// bytes of memory for each.
///
/// # Errors
/// [`RowKindsError`].
pub fn compare(plan: &Plan, epoch: Epoch, kinds: &RowKinds) -> Result<Comparison, RowKindsError> {
    let rows = plan.samples();
    let (sources, modalities) = (kinds.sources.len(), kinds.modalities.len());
    if sources as u64 != rows || modalities as u64 != rows {
        return Err(RowKindsError { sources, modalities, rows });
    }
    let storage = Storage::new(&plan.row_counts, kinds);
    let batch = plan.spec.global_batch as usize;
    let steps = plan.epoch(epoch).into_steps(plan.all_lanes(), 0);
    let planned = storage.judge(steps.map(|(rows, _)| {
        rows.into_iter().map(|row| storage.starts[row.group as usize] + u64::from(row.row)).collect::<Vec<_>>()
    }));
    let mut places: Vec<u64> = (0..rows).collect();
    let unshuffled = storage.judge(places.chunks(batch));
    KeyedStream::new(plan.spec.seed, epoch, "reference", [0, 0]).shuffle(&mut places);
    Ok(Comparison { planned, shuffled: storage.judge(places.chunks(batch)), unshuffled })
}

/// The rows of a corpus by their places.
struct Storage<'a> {
    /// The place that each row group begins at, and that the last one ends at.
    starts: Vec<u64>,
    sources: Mixture<'a>,
    modalities: Mixture<'a>,
}

impl<'a> Storage<'a> {
    fn new(row_counts: &[u32], kinds: &'a RowKinds) -> Self {
        let mut end = 0;
        let ends = row_counts.iter().map(|&rows| {
            end += u64::from(rows);
            end
        });
        Self {
            starts: std::iter::once(0).chain(ends).collect(),
            sources: Mixture::new(&kinds.sources),
            modalities: Mixture::new(&kinds.modalities),
        }
    }

    /// The figures of an order that is given step by step, as places; every place occurs once.
    fn judge(&self, steps: impl Iterator<Item = impl AsRef<[u64]>>) -> ShuffleQuality {
        let rows = self.starts.last().copied().unwrap_or_default();
        let (count, middle) = (rows as f64, (rows as f64 - 1.0) / 2.0);
        let mut distances = Vec::with_capacity(rows as usize);
        let (mut covariance, mut source, mut modality) = (0.0, 0.0, 0.0);
        let (mut batches, mut groups) = (0, Touched::new(self.starts.len()));
        for step in steps {
            let step = step.as_ref();
            batches += 1;
            for &place in step {
                let at = distances.len() as u64;
                distances.push(at.abs_diff(place));
                covariance += (at as f64 - middle) * (place as f64 - middle);
                groups.touch(self.starts.partition_point(|&start| start <= place), batches);
            }
            source += step.len() as f64 * self.sources.distance(step);
            modality += step.len() as f64 * self.modalities.distance(step);
        }
        let mean = distances.iter().sum::<u64>() as f64 / count;
        let half = distances.len() / 2;
        let median = *distances.select_nth_unstable(half).1 as f64;
        // That of the numbers from 0 to `rows - 1`.
        let variance = (count * count - 1.0) / 12.0;
        ShuffleQuality {
            mean_travel: mean / count,
            median_travel: median / count,
            rank_correlation: if rows > 1 { covariance / count / variance } else { 1.0 },
            source_distance: source / count,
            modality_distance: modality / count,
            groups_per_batch: groups.touches as f64 / batches as f64,
        }
    }
}

/// The kinds of rows, and their shares of the corpus.
struct Mixture<'a> {
    kinds: &'a [u32],
    shares: Vec<f64>,
}

impl<'a> Mixture<'a> {
    fn new(kinds: &'a [u32]) -> Self {
        let all = kinds.iter().max().map_or(0, |&last| last as usize + 1);
        Self { kinds, shares: shares(kinds.iter().copied(), kinds.len(), all) }
    }

    /// Half the sum of the differences between the shares in a batch and in the corpus.
    fn distance(&self, step: &[u64]) -> f64 {
        let in_batch = shares(step.iter().map(|&place| self.kinds[place as usize]), step.len(), self.shares.len());
        self.shares.iter().zip(in_batch).map(|(of_all, of_batch)| (of_all - of_batch).abs()).sum::<f64>() / 2.0
    }
}

/// The share of each kind.
fn shares(of_rows: impl Iterator<Item = u32>, rows: usize, kinds: usize) -> Vec<f64> {
    let mut counts = vec![0_u64; kinds];
    of_rows.for_each(|kind| counts[kind as usize] += 1);
    counts.into_iter().map(|count| count as f64 / rows.max(1) as f64).collect()
}

/// Counts the row groups of each batch once.
struct Touched {
    last_batch: Vec<u64>,
    touches: u64,
}

impl Touched {
    fn new(groups: usize) -> Self {
        Self { last_batch: vec![0; groups + 1], touches: 0 }
    }

    /// Batches count from 1.
    fn touch(&mut self, group: usize, batch: u64) {
        if self.last_batch[group] != batch {
            self.last_batch[group] = batch;
            self.touches += 1;
        }
    }
}

#[cfg(test)]
mod tests;
