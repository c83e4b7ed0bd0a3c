//! Members that do not get on, and members that are slower than the others: what is known of them, and who is left out for it.

use std::collections::BTreeMap;

use super::{Gang, Member, MemberState};
use crate::finding::{Finding, NOTICES_KEPT, Notice};
use crate::ids::{Generation, WorkerId};
use crate::pace::{Pace, SLOW_WINDOWS, Score};
use crate::stall::{Phase, Stall, Verdict, judge};
use crate::time::MonoTime;

/// Why a member is left out, as long as it is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// It did not get on. It may come back when it does.
    Stuck,
    /// It was slow. It is tried again after a rest, or when the others are too few.
    Slow {
        /// The end of that.
        until: MonoTime,
    },
}

/// How slow a member is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rating {
    /// In the last window.
    pub score: Score,
    /// Windows in a row in which it was slow.
    pub windows: u32,
}

impl Member {
    /// Whether it was left out for its slowness.
    pub(crate) fn rests(&self) -> bool {
        matches!(self.aside, Some(Aside::Slow { .. }))
    }
}

impl Gang {
    /// Remembers what was found; the oldest is forgotten.
    pub(crate) fn notice(&mut self, at: MonoTime, finding: Finding) {
        self.notices.drain(..(self.notices.len() + 1).saturating_sub(NOTICES_KEPT));
        self.notices.push(Notice { at, finding });
    }

    /// The last membership; 0 of those that meet nobody.
    pub(crate) fn generation(&self) -> Generation {
        self.formation.as_ref().map_or(Generation(0), |formation| formation.generation)
    }

    /// Who is to blame that its ranks do not get on. Where some of them are gone or left out, something is done about that already. Members
    /// that do not meet wait for nobody.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.formation.is_none() && !self.is_gathering() {
            let members: Vec<_> = self.live_members().map(|(number, member)| (number, &member.slot.worker)).collect();
            let verdict = judge(&members, &self.stalls());
            return if matches!(verdict, Verdict::GiveUp(_)) { verdict } else { Verdict::Wait };
        }
        let ranks = self.formation.iter().flat_map(|formation| &formation.ranks);
        let rank = |rank: &u32| {
            let member = self.members.get(rank).filter(|member| member.is_present())?;
            Some((*rank, &member.slot.worker))
        };
        match ranks.map(rank).collect::<Option<Vec<_>>>() {
            Some(ranks) if self.short.is_none() => match judge(&ranks, &self.stalls()) {
                Verdict::Wait => self.all_lost(&ranks),
                verdict => verdict,
            },
            _ => Verdict::Wait,
        }
    }

    /// Gives it up where none of its ranks gets on, in this membership or one before it, and that has lasted too long.
    fn all_lost(&self, ranks: &[(u32, &WorkerId)]) -> Verdict {
        let stalls: Option<Vec<_>> = ranks.iter().map(|(rank, _)| Some((*rank, self.stall_of(*rank)?))).collect();
        let stalls = stalls.filter(|stalls| stalls.iter().all(|(_, stall)| stall.is_beyond_patience()));
        let longest = stalls.into_iter().flatten().max_by_key(|(_, stall)| stall.time);
        longest.map_or(Verdict::Wait, |(rank, _)| Verdict::GiveUp(rank))
    }

    /// What its ranks say that do not get on in the last membership.
    pub(crate) fn stalls(&self) -> BTreeMap<u32, Stall> {
        let now = self.generation();
        let of_now = self.stalls.iter().filter(|(_, (generation, _))| *generation == now);
        of_now.map(|(number, (_, stall))| (*number, *stall)).collect()
    }

    /// What a member is in the middle of that does not get on.
    pub(crate) fn stall_of(&self, member: u32) -> Option<Stall> {
        self.stalls.get(&member).map(|(_, stall)| *stall)
    }

    /// Those of some ranks that have not come to the last membership, for they say that they do not get on in one before it.
    pub(crate) fn stuck_before(&self, members: &[u32]) -> Vec<u32> {
        let is_stuck = |number: &u32| self.stalls.get(number).is_some_and(|(since, _)| *since < self.generation());
        members.iter().copied().filter(is_stuck).collect()
    }

    /// Takes in what the ranks took for a window of steps. Those are named that have been slow for long, the slowest first.
    pub(crate) fn rate(&mut self, pace: &Pace) -> Vec<(u32, Rating)> {
        let Some(formation) = &self.formation else { return Vec::new() };
        if formation.generation != pace.generation || formation.ranks.len() != pace.ranks.len() {
            return Vec::new();
        }
        let before = std::mem::take(&mut self.ratings);
        for (rank, score) in formation.ranks.iter().zip(pace.scores()) {
            let Some(score) = score else { continue };
            let windows = before.get(rank).map_or(0, |rating| rating.windows);
            let windows = if score.is_slow() { windows + 1 } else { 0 };
            self.ratings.insert(*rank, Rating { score, windows });
        }
        let slow = self.ratings.iter().filter(|(_, rating)| rating.windows >= SLOW_WINDOWS);
        let mut slow: Vec<(u32, Rating)> = slow.map(|(rank, rating)| (*rank, *rating)).collect();
        slow.sort_by(|(_, one), (_, other)| other.score.score.total_cmp(&one.score.score));
        slow
    }

    /// How slow the slowest rank was in the last window.
    pub(crate) fn worst_score(&self) -> Option<f64> {
        self.ratings.values().map(|rating| rating.score.score).max_by(f64::total_cmp)
    }

    /// Takes back those whose rest is over. Says whether there are any.
    pub(crate) fn end_rests(&mut self, now: MonoTime) -> bool {
        self.take_back(|until| until <= now)
    }

    /// Where too few are there, slow ones are better than none.
    pub(crate) fn recall(&mut self) {
        if !self.is_enough() {
            let _ = self.take_back(|_| true);
        }
    }

    fn take_back(&mut self, is_due: impl Fn(MonoTime) -> bool) -> bool {
        let due = |member: &Member| matches!(member.aside, Some(Aside::Slow { until }) if is_due(until));
        let due: Vec<u32> = self.live_members().filter(|(_, member)| due(member)).map(|(number, _)| number).collect();
        due.iter().for_each(|member| self.exclude(*member, false));
        !due.is_empty()
    }

    /// When the next rest is over.
    pub(super) fn rests_end(&self) -> Option<MonoTime> {
        let ends = self.live_members().filter_map(|(_, member)| match (member.aside, &member.state) {
            (Some(Aside::Slow { until }), MemberState::Ready { excluded: true, .. }) => Some(until),
            _ => None,
        });
        ends.min()
    }

    /// What is wrong with it now, of what was found.
    pub fn trouble(&self) -> Option<&Finding> {
        let is_aside = |number: &u32| self.members.get(number).is_some_and(|member| member.aside.is_some());
        let is_slow = |number: &u32| self.ratings.get(number).is_some_and(|rating| rating.windows >= SLOW_WINDOWS);
        let is_now = |finding: &&Finding| match finding {
            Finding::Stuck { task, .. } => is_aside(&task.member),
            Finding::Slow { task, .. } => is_aside(&task.member) || is_slow(&task.member),
            Finding::Released { .. } => self.broken.is_some(),
            Finding::GivenUp { .. } => false,
        };
        self.notices.iter().rev().map(|notice| &notice.finding).find(is_now)
    }

    /// Those that others wait for, as long as nothing was decided.
    pub fn held_up(&self) -> Option<(&Member, Stall)> {
        let stalls = self.stalls();
        let busy = stalls.iter().filter(|(_, stall)| stall.phase != Phase::Collective);
        let (number, stall) = busy.max_by_key(|(_, stall)| stall.time)?;
        Some((self.members.get(number)?, *stall))
    }
}
