//! Who must stop so that another gang finds its slots.

use std::collections::BTreeSet;

use super::suffices;
use crate::device::PerKind;
use crate::ids::JobId;
use crate::spec::Demand;

/// What a gang finds if nobody stops.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shortage {
    /// What it asks for.
    pub(crate) demand: Demand,
    /// Slots that are free for it soon.
    pub(crate) free: PerKind<u32>,
    /// What its namespace uses.
    pub(crate) used: PerKind<u32>,
    /// What its namespace may use.
    pub(crate) most: PerKind<u32>,
}

/// A gang, or a member that a gang can do without, that may be stopped for another gang.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) job: JobId,
    /// The only member that would stop; all when absent.
    pub(crate) member: Option<u32>,
    /// Slots that come free and that the other gang can use.
    pub(crate) frees: PerKind<u32>,
    /// What the other gang's namespace uses less then.
    pub(crate) returns: PerKind<u32>,
}

impl Shortage {
    /// Whether it is none any more once these have stopped.
    fn ends_with(&self, stopped: &[Candidate]) -> bool {
        let (mut free, mut used) = (self.free, self.used);
        let whole: BTreeSet<&JobId> =
            stopped.iter().filter(|other| other.member.is_none()).map(|other| &other.job).collect();
        for candidate in stopped.iter().filter(|other| other.member.is_none() || !whole.contains(&other.job)) {
            free = free.plus(candidate.frees);
            used = used.minus(candidate.returns);
        }
        let room = self.most.minus(used);
        suffices(self.demand, PerKind::of(|kind| *free.get(kind).min(room.get(kind))))
    }
}

/// Which of them must stop to end a shortage, in the order given as far as that order goes, and none that is not needed for it. None at
/// all where there is no shortage, or where it would not end if all of them stopped.
pub(crate) fn victims(shortage: Shortage, candidates: Vec<Candidate>) -> Vec<Candidate> {
    if shortage.ends_with(&[]) || !shortage.ends_with(&candidates) {
        return Vec::new();
    }
    // The more stop, the more there is: the shortest beginning that is enough.
    let lengths: Vec<usize> = (0..=candidates.len()).collect();
    let count = lengths.partition_point(|&count| !shortage.ends_with(&candidates[..count]));
    let mut stopped = candidates;
    stopped.truncate(count);
    // One that came early in the order may have slots of a kind that does not help.
    for at in (0..stopped.len()).rev() {
        let spared = stopped.remove(at);
        if !shortage.ends_with(&stopped) {
            stopped.insert(at, spared);
        }
    }
    stopped
}
