//! Ranks that live and do not get on: what they are in the middle of, and who is to blame for it.
//!
//! A process whose thread of steps hangs has a pulse still, so it is progress that shows it. Each rank speaks for itself only, once it has been
//! in one place of a step for longer than its bound; who holds up whom is decided from what all of them say.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::ids::WorkerId;

/// What may be slow and not stuck is borne for so many bounds: a store that is written to or read from beside the steps, and trouble that
/// ranks share, as a store that is slow for all of them.
pub const PATIENCE: u32 = 10;

/// The places of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It waits for its samples.
    Data,
    /// It computes.
    Compute,
    /// It waits for the others.
    Collective,
    /// It writes to the store, or reads what is no sample, as a checkpoint.
    Store,
}

impl Phase {
    /// Every place, in the order of a step.
    pub const ALL: [Self; 4] = [Self::Data, Self::Compute, Self::Collective, Self::Store];

    /// The word it is shown and counted by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Compute => "compute",
            Self::Collective => "collective",
            Self::Store => "store",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A rank has been in one place of a step for longer than it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// Where.
    pub phase: Phase,
    /// Of which step.
    pub step: u64,
    /// How many collectives it has come to in its group: the same number for all that wait for each other.
    pub collectives: u64,
    /// For how long by now.
    pub time: Duration,
    /// How long would have been usual: many times its latest steps, and never less than the coordinator says.
    pub bound: Duration,
}

impl Stall {
    /// Whether it can't be told from a slow one any more.
    pub(crate) fn is_beyond_patience(&self) -> bool {
        self.time >= self.bound.saturating_mul(PATIENCE)
    }
}

/// For how long, where and against which bound.
impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, step, time, bound, .. } = self;
        write!(f, "in `{phase}` of step {step} for {:.0} s (bound {:.0} s)", time.as_secs_f64(), bound.as_secs_f64())
    }
}

/// What follows from what ranks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet: somebody may be getting on, or there is no evidence against anybody.
    Wait,
    /// The others wait for these.
    Blame(Vec<u32>),
    /// All wait for each other: nobody is to blame, and a new group ends it.
    Release,
    /// Nobody is to blame, and it has lasted too long: this one for the longest.
    GiveUp(u32),
}

/// Who is to blame that ranks do not get on.
///
/// As long as one of them has not said that it is stuck, the others may only wait for it to finish. Then those that wait in the last
/// collective that anybody has come to are witnesses against those that have not: against a single one, against the ranks of one machine on
/// which no witness is, or against fewer than there are witnesses. What stalls more of them than wait is likely to be a trouble that they
/// share.
pub fn judge(ranks: &[(u32, &WorkerId)], stalls: &BTreeMap<u32, Stall>) -> Verdict {
    let all: Option<Vec<_>> = ranks.iter().map(|(rank, worker)| Some((*rank, *worker, stalls.get(rank)?))).collect();
    let Some(all) = all else { return Verdict::Wait };
    let Some((longest, ..)) = all.iter().max_by_key(|(.., stall)| stall.time) else { return Verdict::Wait };
    let latest = all.iter().map(|(.., stall)| stall.collectives).max().unwrap_or_default();
    let is_there = |stall: &Stall| stall.phase == Phase::Collective && stall.collectives == latest;
    let (waiting, busy): (Vec<_>, Vec<_>) = all.iter().partition(|(.., stall)| is_there(stall));
    let Some((_, machine, _)) = busy.first() else { return Verdict::Release };
    // One that is through with it already is not what they wait for.
    let is_awaited = |stall: &Stall, step: u64| stall.collectives < latest || stall.step == step;
    let is_witness = |step: u64| busy.iter().all(|(.., stall)| is_awaited(stall, step));
    let witnesses = waiting.iter().filter(|(.., stall)| is_witness(stall.step)).count();
    let is_one_machine =
        busy.iter().all(|(_, worker, _)| worker == machine) && waiting.iter().all(|(_, worker, _)| worker != machine);
    if witnesses > 0 && (busy.len() == 1 || busy.len() < witnesses || is_one_machine) {
        let is_due = |stall: &Stall| stall.phase != Phase::Store || stall.is_beyond_patience();
        let blamed: Vec<u32> = busy.iter().filter(|(.., stall)| is_due(stall)).map(|(rank, ..)| *rank).collect();
        return if blamed.is_empty() { Verdict::Wait } else { Verdict::Blame(blamed) };
    }
    match all.iter().all(|(.., stall)| stall.is_beyond_patience()) {
        true => Verdict::GiveUp(*longest),
        false => Verdict::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(30);

    /// One that has come to one collective in each step before, and to that of this one where it waits.
    fn stall(phase: Phase, step: u64, seconds: u64) -> Stall {
        let collectives = step + u64::from(phase == Phase::Collective);
        Stall { phase, step, collectives, time: Duration::from_secs(seconds), bound: BOUND }
    }

    /// What is made of ranks on these workers.
    fn verdict(ranks: &[(&str, Option<Stall>)]) -> Verdict {
        let workers: Vec<WorkerId> = ranks.iter().map(|(worker, _)| WorkerId::new(*worker).unwrap()).collect();
        let numbered: Vec<(u32, &WorkerId)> = (0..).zip(&workers).collect();
        let stalls = (0..).zip(ranks).filter_map(|(rank, (_, stall))| Some((rank, (*stall)?))).collect();
        judge(&numbered, &stalls)
    }

    fn waits(step: u64) -> Option<Stall> {
        Some(stall(Phase::Collective, step, 31))
    }

    fn reads(step: u64) -> Option<Stall> {
        Some(stall(Phase::Data, step, 32))
    }

    #[test]
    fn one_that_all_others_wait_for_is_to_blame() {
        for phase in [Phase::Data, Phase::Compute] {
            let stuck = Some(stall(phase, 7, 32));
            assert_eq!(verdict(&[("a", waits(7)), ("b", stuck), ("c", waits(7))]), Verdict::Blame(vec![1]));
            assert_eq!(verdict(&[("a", waits(7)), ("b", stuck)]), Verdict::Blame(vec![1]), "one against one");
            assert_eq!(verdict(&[("a", waits(7)), ("a", stuck)]), Verdict::Blame(vec![1]), "on one machine too");
        }
    }

    #[test]
    fn nobody_is_blamed_on_the_word_of_one() {
        assert_eq!(verdict(&[("a", None), ("b", reads(7)), ("c", None)]), Verdict::Wait);
        assert_eq!(verdict(&[("a", waits(7)), ("b", None), ("c", waits(7))]), Verdict::Wait, "it may be computing");
        assert_eq!(verdict(&[("a", waits(7)), ("b", reads(7)), ("c", None)]), Verdict::Wait, "who knows where that is");
        assert_eq!(verdict(&[("a", reads(7))]), Verdict::Wait);
        assert_eq!(verdict(&[]), Verdict::Wait);
    }

    #[test]
    fn one_that_hangs_in_a_collective_that_the_others_are_through_with_is_to_blame() {
        assert_eq!(verdict(&[("a", waits(8)), ("b", waits(7)), ("c", waits(8))]), Verdict::Blame(vec![1]));
        let first = Some(Stall { collectives: 7, ..stall(Phase::Collective, 7, 31) });
        assert_eq!(verdict(&[("a", waits(7)), ("b", first)]), Verdict::Blame(vec![1]), "the first of two in a step");
    }

    #[test]
    fn who_is_through_with_it_is_not_what_the_others_wait_for() {
        let ahead = Some(Stall { collectives: 8, ..stall(Phase::Data, 8, 31) });
        assert_eq!(verdict(&[("a", waits(7)), ("b", ahead), ("c", waits(7))]), Verdict::Wait);
    }

    #[test]
    fn a_store_that_is_slow_for_most_is_nobodys_fault() {
        assert_eq!(verdict(&[("a", reads(7)), ("b", reads(7)), ("c", reads(7))]), Verdict::Wait);
        assert_eq!(verdict(&[("a", reads(7)), ("b", reads(7)), ("c", waits(7))]), Verdict::Wait);
        assert_eq!(verdict(&[("a", reads(7)), ("a", waits(7)), ("b", reads(7)), ("b", waits(7))]), Verdict::Wait);
        let few = [("a", reads(7)), ("b", reads(7)), ("c", waits(7)), ("d", waits(7)), ("e", waits(7))];
        assert_eq!(verdict(&few), Verdict::Blame(vec![0, 1]));
    }

    #[test]
    fn ranks_of_one_machine_are_one_matter() {
        assert_eq!(verdict(&[("a", reads(7)), ("a", reads(7)), ("b", waits(7))]), Verdict::Blame(vec![0, 1]));
        assert_eq!(verdict(&[("a", reads(7)), ("a", reads(7)), ("a", waits(7))]), Verdict::Wait, "it has a witness");
    }

    #[test]
    fn whoever_writes_to_the_store_has_longer() {
        let writes = |seconds| Some(stall(Phase::Store, 7, seconds));
        assert_eq!(verdict(&[("a", writes(299)), ("b", waits(7))]), Verdict::Wait);
        assert_eq!(verdict(&[("a", writes(300)), ("b", waits(7))]), Verdict::Blame(vec![0]));
        let both = [("a", writes(40)), ("b", reads(7)), ("c", waits(7)), ("d", waits(7)), ("e", waits(7))];
        assert_eq!(verdict(&both), Verdict::Blame(vec![1]));
    }

    #[test]
    fn where_all_wait_for_each_other_they_are_released() {
        assert_eq!(verdict(&[("a", waits(7)), ("b", waits(7))]), Verdict::Release);
    }

    #[test]
    fn what_nobody_is_to_blame_for_ends_too() {
        let long = |seconds| Some(stall(Phase::Data, 7, seconds));
        assert_eq!(verdict(&[("a", long(300)), ("b", long(299))]), Verdict::Wait);
        assert_eq!(verdict(&[("a", long(300)), ("b", long(301))]), Verdict::GiveUp(1));
        assert_eq!(verdict(&[("a", long(300))]), Verdict::GiveUp(0), "alone");
    }
}
