//! The order of one epoch, laid out in full.

use std::ops::Range;

use vismae_core::ids::Epoch;

use super::PlanSpec;
use super::keyed::KeyedStream;

/// One row of one row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowRef {
    /// Index of the row group in the list that the plan was made from.
    pub group: u32,
    /// Index of the row in its group.
    pub row: u32,
}

/// The order of one epoch.
#[derive(Debug, Clone)]
pub struct EpochOrder {
    /// The rows of all lanes, lane after lane.
    rows: Vec<RowRef>,
    /// Where each lane begins in `rows`, and where the last one ends.
    bounds: Vec<usize>,
    /// Rows that a step takes of each lane.
    per_lane: usize,
}

impl EpochOrder {
    pub(super) fn new(row_counts: &[u32], spec: PlanSpec, epoch: Epoch) -> Self {
        let mut groups: Vec<u32> = (0..).take(row_counts.len()).collect();
        KeyedStream::new(spec.seed, epoch, "groups", [0, 0]).shuffle(&mut groups);
        let mut rows: Vec<RowRef> = groups
            .iter()
            .flat_map(|&group| (0..row_counts[group as usize]).map(move |row| RowRef { group, row }))
            .collect();
        let bounds = lane_bounds(rows.len(), spec.lanes as usize);
        for (lane, bound) in bounds.windows(2).enumerate() {
            let lane_rows = &mut rows[bound[0]..bound[1]];
            for (index, window) in windows(lane_rows, spec.window as usize).into_iter().enumerate() {
                let mut stream = KeyedStream::new(spec.seed, epoch, "rows", [lane as u64, index as u64]);
                stream.shuffle(&mut lane_rows[window]);
            }
        }
        Self { rows, bounds, per_lane: (spec.global_batch / spec.lanes) as usize }
    }

    /// Steps in this epoch.
    pub fn steps(&self) -> u64 {
        // The first lane is a longest one.
        self.lane(0).len().div_ceil(self.per_lane) as u64
    }

    /// The rows that a step takes of some lanes, lane after lane. Empty after the last step, and for lanes that are used up.
    pub fn rows(&self, step: u64, lanes: Range<u32>) -> Vec<RowRef> {
        lanes.flat_map(|lane| self.step_of_lane(step, lane)).copied().collect()
    }

    /// How many samples a step takes over all lanes.
    pub fn global_samples(&self, step: u64) -> u32 {
        let lanes = 0..self.bounds.len() as u32 - 1;
        lanes.map(|lane| self.step_of_lane(step, lane).len() as u32).sum()
    }

    fn lane(&self, lane: u32) -> &[RowRef] {
        let lane = lane as usize;
        match (self.bounds.get(lane), self.bounds.get(lane + 1)) {
            (Some(&start), Some(&end)) => &self.rows[start..end],
            _ => &[],
        }
    }

    fn step_of_lane(&self, step: u64, lane: u32) -> &[RowRef] {
        let rows = self.lane(lane);
        let start = usize::try_from(step).unwrap_or(usize::MAX).saturating_mul(self.per_lane).min(rows.len());
        let end = start.saturating_add(self.per_lane).min(rows.len());
        &rows[start..end]
    }
}

/// Cuts rows into lanes, the first ones longer by one where they do not divide.
fn lane_bounds(rows: usize, lanes: usize) -> Vec<usize> {
    let (share, rest) = (rows / lanes, rows % lanes);
    (0..=lanes).map(|lane| lane * share + lane.min(rest)).collect()
}

/// Cuts a lane, whose rows still lie group by group, into stretches of `groups` row groups or parts of them.
fn windows(rows: &[RowRef], groups: usize) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        let length: usize = rows[start..].chunk_by(|a, b| a.group == b.group).take(groups).map(<[RowRef]>::len).sum();
        windows.push(start..start + length);
        start += length;
    }
    windows
}
