//! The order of one epoch: laid out by row groups, and row by row only where it is looked at.

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

/// The order of one epoch. A place is the number of a row when all lanes are laid end to end.
#[derive(Debug, Clone)]
pub struct EpochOrder {
    spec: PlanSpec,
    epoch: Epoch,
    /// The row groups that have rows, permuted.
    groups: Vec<u32>,
    /// The place that each of them begins at, and that the last one ends at.
    starts: Vec<u64>,
    lanes: Vec<Lane>,
}

/// One stream of rows.
#[derive(Debug, Clone)]
struct Lane {
    places: Range<u64>,
    /// Where its windows begin, and where the last one ends.
    windows: Vec<u64>,
}

impl EpochOrder {
    pub(super) fn new(row_counts: &[u32], spec: PlanSpec, epoch: Epoch) -> Self {
        let mut groups: Vec<u32> = (0..).take(row_counts.len()).collect();
        KeyedStream::new(spec.seed, epoch, "groups", [0, 0]).shuffle(&mut groups);
        groups.retain(|&group| row_counts[group as usize] > 0);
        let mut starts = vec![0];
        let mut end = 0;
        starts.extend(groups.iter().map(|&group| {
            end += u64::from(row_counts[group as usize]);
            end
        }));
        let lanes = lane_bounds(end, u64::from(spec.lanes));
        let lanes = lanes.windows(2).map(|bounds| Lane::new(bounds[0]..bounds[1], &starts, spec.window as usize));
        Self { spec, epoch, lanes: lanes.collect(), groups, starts }
    }

    /// Steps in this epoch.
    pub fn steps(&self) -> u64 {
        // The first lane is a longest one.
        let longest = self.lanes.first().map_or(0, |lane| lane.places.end - lane.places.start);
        longest.div_ceil(self.per_lane())
    }

    /// The rows that a step takes of some lanes, lane after lane. Empty after the last step, and for lanes that are used up.
    /// Takes time in proportion to a window for each lane, wherever the step is.
    pub fn rows(&self, step: u64, lanes: Range<u32>) -> Vec<RowRef> {
        let mut reader = StepReader::new(self, lanes);
        reader.rows(self, step)
    }

    /// The rows of these lanes step by step, from a step on, each with how many samples the step takes over all lanes. Each row
    /// is worked out once.
    pub fn into_steps(self, lanes: Range<u32>, first: u64) -> impl Iterator<Item = (Vec<RowRef>, u32)> {
        let mut reader = StepReader::new(&self, lanes);
        (first..self.steps()).map(move |step| (reader.rows(&self, step), self.global_samples(step)))
    }

    /// How many samples a step takes over all lanes.
    pub fn global_samples(&self, step: u64) -> u32 {
        let taken = |lane| {
            let places = self.step_of(lane, step);
            (places.end - places.start) as u32
        };
        self.lanes.iter().map(taken).sum()
    }

    fn per_lane(&self) -> u64 {
        u64::from(self.spec.global_batch / self.spec.lanes)
    }

    /// The places that a step takes of a lane.
    fn step_of(&self, lane: &Lane, step: u64) -> Range<u64> {
        let place =
            |step: u64| lane.places.start.saturating_add(step.saturating_mul(self.per_lane())).min(lane.places.end);
        place(step)..place(step.saturating_add(1))
    }

    /// The rows of a window of a lane, shuffled.
    fn window(&self, lane: u32, index: usize, places: Range<u64>) -> Vec<RowRef> {
        let first = self.starts.partition_point(|&start| start <= places.start) - 1;
        let mut rows = Vec::with_capacity((places.end - places.start) as usize);
        for (at, &group) in self.groups.iter().enumerate().skip(first) {
            let (start, end) = (self.starts[at], self.starts[at + 1]);
            if start >= places.end {
                break;
            }
            let of_group = (places.start.max(start) - start) as u32..(places.end.min(end) - start) as u32;
            rows.extend(of_group.map(|row| RowRef { group, row }));
        }
        KeyedStream::new(self.spec.seed, self.epoch, "rows", [u64::from(lane), index as u64]).shuffle(&mut rows);
        rows
    }
}

impl Lane {
    /// Cuts a lane into windows of row groups, or of the parts of them that lie in it.
    fn new(places: Range<u64>, starts: &[u64], groups: usize) -> Self {
        let first = starts.partition_point(|&start| start <= places.start);
        // Where one group ends and the next begins, inside the lane.
        let borders = starts.iter().skip(first).copied().take_while(|&start| start < places.end);
        let mut windows = vec![places.start];
        windows.extend(borders.skip(groups - 1).step_by(groups));
        if places.end > places.start {
            windows.push(places.end);
        }
        Self { places, windows }
    }
}

/// Reads lanes step by step, and holds the window that each is in.
struct StepReader {
    lanes: Vec<(u32, Option<OpenWindow>)>,
}

struct OpenWindow {
    index: usize,
    start: u64,
    rows: Vec<RowRef>,
}

impl StepReader {
    fn new(order: &EpochOrder, lanes: Range<u32>) -> Self {
        let lanes = lanes.filter(|&lane| (lane as usize) < order.lanes.len());
        Self { lanes: lanes.map(|lane| (lane, None)).collect() }
    }

    fn rows(&mut self, order: &EpochOrder, step: u64) -> Vec<RowRef> {
        let mut taken = Vec::new();
        for (number, open) in &mut self.lanes {
            let lane = &order.lanes[*number as usize];
            let mut places = order.step_of(lane, step);
            while places.start < places.end {
                let index = lane.windows.partition_point(|&start| start <= places.start) - 1;
                let (start, end) = (lane.windows[index], lane.windows[index + 1]);
                if open.as_ref().is_none_or(|open| open.index != index) {
                    *open = Some(OpenWindow { index, start, rows: order.window(*number, index, start..end) });
                }
                let behind = places.end.min(end);
                if let Some(open) = open {
                    let within = |place: u64| (place - open.start) as usize;
                    taken.extend_from_slice(&open.rows[within(places.start)..within(behind)]);
                }
                places.start = behind;
            }
        }
        taken
    }
}

/// Cuts places into lanes, the first ones longer by one where they do not divide.
fn lane_bounds(places: u64, lanes: u64) -> Vec<u64> {
    let (share, rest) = (places / lanes, places % lanes);
    (0..=lanes).map(|lane| lane * share + lane.min(rest)).collect()
}
