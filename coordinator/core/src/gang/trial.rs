//! Who is at fault when a group breaks: a newcomer that has not taken steps with the others yet, or bad luck that they share.

use std::time::Duration;

use super::{Gang, Short};
use crate::effect::FormReason;
use crate::event::Progress;
use crate::job::{RECRUIT_PAUSE_MAX, StopReason};
use crate::time::MonoTime;

/// Reports of steps for which a member that has come, or come back, is on trial. The first may be that of the group before, which ends
/// with the step it is in.
const TRIAL: u32 = 2;
/// Ranks that are lost so soon after others are lost to the same cause, as those of one machine.
const SAME_BREAK: Duration = Duration::from_secs(5);

impl Gang {
    /// Takes in the report of an attempt that has begun. Says whether it is further than ever before.
    pub(crate) fn advance(&mut self, progress: &Progress) -> bool {
        let is_further = self.furthest.get(&progress.phase).is_none_or(|most| progress.done > *most);
        if is_further {
            self.furthest.insert(progress.phase.clone(), progress.done);
        }
        is_further
    }

    /// Members are ranks of a new membership: those are on trial that were not of the last one, or are so still.
    pub(crate) fn try_out(&mut self, ranks: &[u32], now: MonoTime) {
        for rank in ranks {
            let is_new = !self.is_rank(*rank);
            if let Some(member) = self.members.get_mut(rank) {
                member.joined.get_or_insert(now);
                member.trial = if is_new || member.trial > 0 { TRIAL } else { 0 };
            }
        }
    }

    /// All ranks have met for the first time.
    pub(crate) fn begin(&mut self, now: MonoTime) {
        self.began = Some(now);
        self.pass_trials(TRIAL);
    }

    /// The ranks of the last membership have taken steps together, by so many reports.
    pub(crate) fn pass_trials(&mut self, reports: u32) {
        for rank in self.formation.iter().flat_map(|formation| &formation.ranks) {
            let Some(member) = self.members.get_mut(rank).filter(|member| member.trial > 0) else { continue };
            member.trial = member.trial.saturating_sub(reports);
            if member.trial == 0 {
                member.trained = true;
                self.unlucky = 0;
            }
        }
    }

    /// Whose fault it is that a rank has lost its group, and has not met some of the others: that of ranks on trial, as long as others
    /// are there that are not. Nobody's where one that is not on trial has missed others like it.
    pub(crate) fn blamed(&self, accuser: u32, missing: &[u32]) -> Vec<u32> {
        let is_on_trial = |number: &u32| self.members.get(number).is_some_and(|member| member.trial > 0);
        let ranks = self.present().into_iter().filter(|number| self.is_rank(*number));
        let (mut blamed, tried): (Vec<u32>, Vec<u32>) = ranks.partition(is_on_trial);
        if tried.is_empty() {
            return Vec::new();
        }
        let is_on_trial = blamed.contains(&accuser);
        if !missing.is_empty() || is_on_trial {
            blamed.retain(|number| *number != accuser && missing.contains(number));
        }
        // What one on trial says of those that are not speaks against itself.
        if blamed.is_empty() && is_on_trial { vec![accuser] } else { blamed }
    }

    /// A newcomer was of no use: the next is tried later.
    pub(crate) fn put_off(&mut self, now: MonoTime) {
        let pause = Duration::from_secs(1 << self.unlucky.min(6)).min(RECRUIT_PAUSE_MAX);
        self.unlucky += 1;
        self.recruits_after = now.after(pause);
    }

    /// A rank is lost, and its membership with it: a setback, but for one that comes with another.
    pub(crate) fn set_back(&mut self, now: MonoTime) {
        let is_same = self.broken.is_some_and(|(since, _)| since.after(SAME_BREAK) > now);
        if self.short.is_none() && !is_same {
            self.setbacks += 1;
        }
    }

    /// Too few are left to go on. Of several reasons the first is kept whose task does not come back.
    pub(crate) fn fall_short(&mut self, now: MonoTime, why: StopReason, reason: FormReason) {
        self.broken.get_or_insert((now, reason));
        let Some(short) = &mut self.short else {
            self.short = Some(Short { since: now, why });
            return;
        };
        if let StopReason::Failed(failure) = &short.why
            && self.members.contains_key(&failure.task.member)
        {
            short.why = why;
        }
    }
}
