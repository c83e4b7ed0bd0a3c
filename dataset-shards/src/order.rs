//! Which sample is seen when: pure, elastic, exact.
//!
//! A function of (row groups, seed, epoch, step) and never of how many ranks there are:
//! 1. The row groups are permuted by (seed, epoch), laid end to end, and cut into lanes whose lengths differ by at most one
//!    row; a row group may end in one lane and go on in the next.
//! 2. Inside a lane, rows are shuffled within windows of [`PlanSpec::window`] row groups, so that a reader holds few of them.
//! 3. Step `k` takes rows `k * b .. (k + 1) * b` of each lane, where `b` is the global batch over the lanes. The last step of
//!    an epoch is short, not dropped.
//! 4. Lanes are dealt to ranks in contiguous blocks whose sizes differ by at most one.

mod digest;
mod epoch;
mod keyed;
pub mod quality;

use std::ops::Range;

use vismae_core::ids::{Epoch, Rank, WorldSize};

pub use digest::{NotADigest, RowsDigest};
pub use epoch::{EpochOrder, RowRef};
pub use keyed::sample_key;

/// Row groups that rows of a lane are shuffled within in a pre-training: wide enough to mix sources, narrow enough to bound memory.
pub const PRETRAIN_WINDOW: u32 = 4;

/// What decides the order besides the row groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanSpec {
    /// Seed of every permutation.
    pub seed: u64,
    /// Streams that a global batch is drawn from.
    pub lanes: u32,
    /// Samples in one step over all lanes; a multiple of `lanes`.
    pub global_batch: u32,
    /// Row groups that rows of a lane are shuffled within.
    pub window: u32,
}

/// Why a [`PlanSpec`] gives no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No lane, or a batch that the lanes cannot share equally.
    #[error(
        "global batch {global_batch} over {lanes} lanes is not usable: expected a positive multiple of at least 1 lane"
    )]
    Batch {
        /// The batch asked for.
        global_batch: u32,
        /// The lanes asked for.
        lanes: u32,
    },
    /// A window of nothing.
    #[error("window 0 is not usable: expected at least 1 row group")]
    Window,
    /// No row in any group.
    #[error("there are no rows to order: expected at least one sample")]
    NoRows,
}

/// The order of every epoch of one run.
#[derive(Debug, Clone)]
pub struct Plan {
    row_counts: Vec<u32>,
    spec: PlanSpec,
}

impl Plan {
    /// Plans over row groups of the given sizes. The order of the groups must be the same wherever the plan is made.
    ///
    /// # Errors
    /// [`PlanError`], naming the value that is not usable.
    pub fn new(row_counts: &[u32], spec: PlanSpec) -> Result<Self, PlanError> {
        let PlanSpec { lanes, global_batch, window, .. } = spec;
        if lanes == 0 || global_batch == 0 || !global_batch.is_multiple_of(lanes) {
            return Err(PlanError::Batch { global_batch, lanes });
        }
        if window == 0 {
            return Err(PlanError::Window);
        }
        if row_counts.iter().all(|&rows| rows == 0) {
            return Err(PlanError::NoRows);
        }
        Ok(Self { row_counts: row_counts.to_vec(), spec })
    }

    /// What it was made from.
    pub fn spec(&self) -> PlanSpec {
        self.spec
    }

    /// Samples in one epoch.
    pub fn samples(&self) -> u64 {
        self.row_counts.iter().map(|&rows| u64::from(rows)).sum()
    }

    /// Steps in one epoch; every epoch has as many.
    pub fn steps_per_epoch(&self) -> u64 {
        let longest = self.samples().div_ceil(u64::from(self.spec.lanes));
        longest.div_ceil(u64::from(self.rows_per_lane()))
    }

    /// The lanes of a rank: contiguous, every lane to exactly one rank, sizes differing by at most one. Empty for a rank
    /// outside the world, and for the last ranks of a world larger than the number of lanes.
    pub fn lanes_of(&self, rank: Rank, world_size: WorldSize) -> Range<u32> {
        let (lanes, world) = (u64::from(self.spec.lanes), u64::from(world_size.0).max(1));
        let (share, rest) = (lanes / world, lanes % world);
        let start = |rank: u64| (rank * share + rank.min(rest)).min(lanes) as u32;
        let rank = u64::from(rank.0);
        start(rank)..start(rank + 1)
    }

    /// Every lane.
    pub fn all_lanes(&self) -> Range<u32> {
        0..self.spec.lanes
    }

    /// The order of one epoch. Takes time and memory in proportion to the row groups, not to the rows.
    pub fn epoch(&self, epoch: Epoch) -> EpochOrder {
        EpochOrder::new(&self.row_counts, self.spec, epoch)
    }

    fn rows_per_lane(&self) -> u32 {
        self.spec.global_batch / self.spec.lanes
    }
}

#[cfg(test)]
mod tests;
