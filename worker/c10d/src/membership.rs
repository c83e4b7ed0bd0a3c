//! Which rank a process has in a group, and how many ranks there are.

use std::fmt;

/// One rank among `world_size` ranks; the rank is always the smaller number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Membership {
    rank: u32,
    world_size: u32,
}

/// A rank that does not exist in a world of the size given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rank `{rank}` does not exist among `{world_size}` ranks: expected a rank below the number of ranks")]
pub struct MembershipError {
    rank: u32,
    world_size: u32,
}

impl Membership {
    /// The only member of a world of one.
    pub const SOLO: Membership = Membership { rank: 0, world_size: 1 };

    /// Checks that `rank` exists among `world_size` ranks.
    ///
    /// # Errors
    ///
    /// When `rank >= world_size`, or a number exceeds what libtorch can count (`i32`).
    pub fn new(rank: u32, world_size: u32) -> Result<Self, MembershipError> {
        if rank < world_size && i32::try_from(world_size).is_ok() {
            Ok(Membership { rank, world_size })
        } else {
            Err(MembershipError { rank, world_size })
        }
    }

    /// The number of this member, from zero.
    pub fn rank(self) -> u32 {
        self.rank
    }

    /// How many members there are.
    pub fn world_size(self) -> u32 {
        self.world_size
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rank {} of {}", self.rank, self.world_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_always_below_the_world_size() {
        assert!(Membership::new(0, 1).is_ok());
        assert!(Membership::new(2, 3).is_ok());
        for (rank, world_size) in [(0, 0), (1, 1), (3, 3), (0, u32::MAX)] {
            let error = Membership::new(rank, world_size).unwrap_err();
            assert!(error.to_string().contains(&format!("`{rank}`")), "{error}");
        }
    }

    #[test]
    fn a_membership_prints_as_people_say_it() {
        assert_eq!(Membership::new(1, 4).unwrap().to_string(), "rank 1 of 4");
    }
}
