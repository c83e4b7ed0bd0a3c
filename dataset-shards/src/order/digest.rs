//! What a step has taken, as numbers that ranks can add up and anybody can work out from a plan.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use vismae_core::ids::Epoch;

use super::{Plan, RowRef};

/// Separates this use of the hash from every other.
const CONTEXT: &str = "vismae 2026 rows v1";
/// Numbers of a digest.
const LANES: usize = 4;

/// The rows that steps have taken, each with its step: the sum of a hash of each. So the digests of the ranks of a step add up to that
/// of the step, in any order, and a row that is missing, taken twice or taken in another step shows. Against chance, not against forgers.
///
/// Shown and stored as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RowsDigest([u32; LANES]);

impl RowsDigest {
    /// Numbers that travel, see [`RowsDigest::parts`].
    pub const PARTS: usize = LANES;

    /// The digest of rows that are taken in a step of an epoch, which counts from 0 in each.
    pub fn of(epoch: Epoch, step: u64, rows: &[RowRef]) -> Self {
        let mut place = blake3::Hasher::new_derive_key(CONTEXT);
        place.update(&epoch.0.to_le_bytes()).update(&step.to_le_bytes());
        rows.iter().map(|row| Self::of_row(place.clone(), row)).fold(Self::default(), Add::add)
    }

    fn of_row(mut place: blake3::Hasher, row: &RowRef) -> Self {
        place.update(&row.group.to_le_bytes()).update(&row.row.to_le_bytes());
        let mut words = [[0; size_of::<u32>()]; LANES];
        place.finalize_xof().fill(words.as_flattened_mut());
        Self(words.map(u32::from_le_bytes))
    }

    /// Its numbers, each below 2^32, as an all-reduce adds them up: exactly, up to 2^21 ranks.
    pub fn parts(self) -> [f64; Self::PARTS] {
        self.0.map(f64::from)
    }

    /// The digest of all ranks together, from the sums of their numbers.
    pub fn from_sums(sums: [f64; Self::PARTS]) -> Self {
        const MODULUS: f64 = (1_u64 << u32::BITS) as f64;
        Self(sums.map(|sum| sum.rem_euclid(MODULUS) as u32))
    }
}

impl Add for RowsDigest {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].wrapping_add(other.0[lane])))
    }
}

impl AddAssign for RowsDigest {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Plan {
    /// What the steps of an epoch have to take, from a step on.
    pub fn digests(&self, epoch: Epoch, first: u64) -> impl Iterator<Item = RowsDigest> + use<> {
        let steps = self.epoch(epoch).into_steps(self.all_lanes(), first);
        (first..).zip(steps).map(move |(step, (rows, _))| RowsDigest::of(epoch, step, &rows))
    }
}

impl fmt::Display for RowsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|lane| write!(f, "{lane:08x}"))
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest of rows: expected 32 hex digits")]
pub struct NotADigest(String);

impl FromStr for RowsDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let refused = || NotADigest(text.to_owned());
        let is_hex = text.len() == 8 * LANES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex).ok_or_else(refused)?;
        Ok(Self(std::array::from_fn(|lane| (number >> (32 * (LANES - 1 - lane))) as u32)))
    }
}

impl Serialize for RowsDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowsDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vismae_core::ids::{Rank, WorldSize};

    use super::*;
    use crate::order::PlanSpec;

    fn plan(rows: &[u32], lanes: u32) -> Plan {
        Plan::new(rows, PlanSpec { seed: 7, lanes, global_batch: lanes * 3, window: 2 }).unwrap()
    }

    fn row(group: u32, row: u32) -> RowRef {
        RowRef { group, row }
    }

    proptest! {
        #[test]
        fn what_the_ranks_have_taken_adds_up_to_the_plan(
            rows in proptest::collection::vec(1u32..30, 1..12), lanes in 1u32..9, world in 1u32..12, epoch in 0u32..3,
        ) {
            let plan = plan(&rows, lanes);
            let order = plan.epoch(Epoch(epoch));
            for (step, expected) in (0..).zip(plan.digests(Epoch(epoch), 0)) {
                let mut sums = [0.0; RowsDigest::PARTS];
                for rank in 0..world {
                    let taken = order.rows(step, plan.lanes_of(Rank(rank), WorldSize(world)));
                    let parts = RowsDigest::of(Epoch(epoch), step, &taken).parts();
                    sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
                }
                prop_assert_eq!(RowsDigest::from_sums(sums), expected);
            }
        }
    }

    #[test]
    fn another_row_another_step_and_the_same_row_twice_show() {
        let digest = |step, rows: &[RowRef]| RowsDigest::of(Epoch(1), step, rows);
        let (one, two) = (row(0, 1), row(1, 0));
        let right = digest(4, &[one, two]);
        assert_eq!(digest(4, &[two, one]), right);
        for wrong in [digest(4, &[one]), digest(4, &[one, one]), digest(4, &[one, two, two]), digest(5, &[one, two])] {
            assert_ne!(wrong, right);
        }
        assert_ne!(RowsDigest::of(Epoch(0), 4, &[one, two]), right);
    }

    #[test]
    fn an_epoch_can_be_entered_in_its_midst() {
        let plan = plan(&[20, 11], 2);
        let all: Vec<_> = plan.digests(Epoch(2), 0).collect();
        assert_eq!(all.len() as u64, plan.steps_per_epoch());
        assert_eq!(plan.digests(Epoch(2), 3).collect::<Vec<_>>(), all[3..]);
    }

    #[test]
    fn a_digest_reads_back_what_it_shows_and_nothing_else_is_one() {
        let digest = RowsDigest::of(Epoch(0), 0, &[row(3, 4)]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(serde_json::from_str::<RowsDigest>(&serde_json::to_string(&digest).unwrap()).unwrap(), digest);
        for bad in ["", "0", "+0000000000000000000000000000000", "g0000000000000000000000000000000"] {
            assert!(bad.parse::<RowsDigest>().is_err(), "{bad}");
        }
    }
}
