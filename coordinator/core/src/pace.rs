//! Ranks that are slower than their peers, which all wait for them in each step.

use std::time::Duration;

use crate::ids::Generation;

/// How many times as long as its peers a rank takes that is called slow.
pub const SLOW: f64 = 1.5;
/// Windows in a row in which it must have been: one is a garbage collection, a backup or a neighbour.
pub const SLOW_WINDOWS: u32 = 3;
/// What it must cost the others besides, of the time of a step: where most of that goes elsewhere, nobody gains by leaving it out.
const COST: f64 = 0.1;
/// How long one that was left out rests before it is tried again.
pub const REST: Duration = Duration::from_secs(600);

/// What the steps of a window took, as the first rank has it from all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// The membership.
    pub generation: Generation,
    /// Median duration of a step, in seconds.
    pub step_seconds: f64,
    /// Of each rank, in their order.
    pub ranks: Vec<RankPace>,
}

/// What one rank took for its part of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankPace {
    /// Median of its own time, which is that outside of collectives, in seconds.
    pub own_seconds: f64,
    /// How much of the work it has: its lanes.
    pub share: f64,
}

/// How slow a rank is beside its peers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Its own time over the median of that of its peers: 1 where it is like them. Where it has more work than they, by the work.
    pub score: f64,
    /// Its own time for a step, in seconds.
    pub own_seconds: f64,
    /// The median of that of its peers, in seconds.
    pub peers_seconds: f64,
    /// Of the step that all of them take together, in seconds.
    pub step_seconds: f64,
}

impl Score {
    /// Whether it is slower than its peers by so much that it counts.
    pub fn is_slow(&self) -> bool {
        self.score >= SLOW && self.own_seconds - self.peers_seconds >= COST * self.step_seconds
    }
}

impl Pace {
    /// The score of each rank; none where it has no peers, or they took no time.
    ///
    /// A rank has a lane more than another where there is no other way to deal them: it is slow only if it is by its time and by its time
    /// for a lane.
    pub fn scores(&self) -> Vec<Option<Score>> {
        let own: Vec<f64> = self.ranks.iter().map(|rank| rank.own_seconds).collect();
        let by_share: Vec<f64> = self.ranks.iter().map(|rank| rank.own_seconds / rank.share.max(1.0)).collect();
        let score = |rank: usize| {
            let peers_seconds = median_of_others(&own, rank)?;
            let ratio = (own[rank] / peers_seconds).min(by_share[rank] / median_of_others(&by_share, rank)?);
            let (own_seconds, step_seconds) = (own[rank], self.step_seconds);
            ratio.is_finite().then_some(Score { score: ratio, own_seconds, peers_seconds, step_seconds })
        };
        (0..self.ranks.len()).map(score).collect()
    }
}

/// The median of all but one; of an even number the higher of the two in the middle: nobody is slow that half of its peers are like.
fn median_of_others(values: &[f64], but: usize) -> Option<f64> {
    let mut others: Vec<f64> =
        values.iter().enumerate().filter(|(rank, _)| *rank != but).map(|(_, value)| *value).collect();
    others.sort_by(f64::total_cmp);
    others.get(others.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(step_seconds: f64, ranks: &[(f64, f64)]) -> Vec<Option<Score>> {
        let ranks = ranks.iter().map(|&(own_seconds, share)| RankPace { own_seconds, share }).collect();
        Pace { generation: Generation(1), step_seconds, ranks }.scores()
    }

    #[test]
    fn a_score_is_own_time_over_the_median_of_the_peers() {
        let found = scores(2.0, &[(1.0, 2.0), (1.0, 2.0), (1.9, 2.0), (0.9, 2.0)]);
        let slow = found[2].unwrap();
        assert_eq!((slow.score, slow.own_seconds, slow.peers_seconds), (1.9, 1.9, 1.0));
        assert!(slow.is_slow());
        assert!(found.iter().enumerate().all(|(rank, score)| rank == 2 || !score.unwrap().is_slow()));
    }

    #[test]
    fn one_slow_peer_makes_nobody_look_fast_or_slow() {
        let found = scores(9.0, &[(1.0, 1.0), (1.1, 1.0), (1.2, 1.0), (9.0, 1.0)]);
        assert!(found[..3].iter().all(|score| score.unwrap().score < 1.1));
    }

    #[test]
    fn more_work_is_no_slowness() {
        // Eight lanes for three ranks.
        let found = scores(3.0, &[(3.0, 3.0), (3.0, 3.0), (2.0, 2.0)]);
        assert!(found.iter().all(|score| !score.unwrap().is_slow()));
        let two = scores(3.0, &[(2.0, 2.0), (1.0, 1.0)]);
        assert!(!two[0].unwrap().is_slow(), "twice the time for twice the work");
        // What does not depend on the work, as the wait for a store, makes nobody slow that has less of it.
        assert!(!scores(1.0, &[(1.0, 1.0), (1.0, 2.0), (1.0, 2.0)])[0].unwrap().is_slow());
        assert!(scores(4.0, &[(4.0, 2.0), (1.0, 1.0)])[0].unwrap().is_slow());
    }

    #[test]
    fn what_costs_nobody_anything_is_no_slowness() {
        let found = scores(1.0, &[(0.001, 1.0), (0.01, 1.0), (0.001, 1.0)]);
        assert_eq!(found[1].unwrap().score, 10.0);
        assert!(!found[1].unwrap().is_slow(), "the links take the time of a step");
    }

    #[test]
    fn there_is_no_score_without_peers() {
        assert_eq!(scores(1.0, &[(1.0, 1.0)]), [None]);
        assert_eq!(scores(1.0, &[(0.0, 1.0), (0.0, 1.0)]), [None, None]);
        assert_eq!(scores(1.0, &[]), []);
    }
}
