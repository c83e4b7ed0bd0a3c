//! A group that does not get on, or not as it could: it goes on without whoever holds it up, or meets anew.
//!
//! Nothing is destroyed by it. A member that is left out keeps its process and what it has come to, and comes back on trial.

use std::time::Duration;

use super::{Input, Job, JobState, SETBACKS, StopReason};
use crate::effect::{Effects, Fact, FormReason};
use crate::failure::{Cause, Failure};
use crate::finding::{Finding, SlowRemedy};
use crate::gang::{Aside, Gang, Rating};
use crate::ids::Generation;
use crate::pace::{Pace, REST, SLOW_WINDOWS};
use crate::spec::JobKind;
use crate::stall::{Stall, Verdict};
use crate::time::MonoTime;

/// How often a member may be left out because it did not get on, before its process is ended instead.
const FORGIVEN: u32 = 2;

/// How long what ranks have said may be on its way, and they may take to leave a group that is broken.
const LATE: Duration = Duration::from_secs(10);

impl Job {
    /// A member says that it does not get on.
    pub(crate) fn stalled(
        &mut self,
        now: MonoTime,
        (member, generation): (u32, Generation),
        stall: Stall,
        effects: &mut Effects,
    ) {
        let JobState::Running(gang) = &mut self.state else { return };
        // What is said of the membership before the last is news only from one that should have left it by now.
        let is_late = generation < gang.generation() && gang.formed.after(LATE) > now;
        if gang.is_done() || generation > gang.generation() || is_late {
            return;
        }
        gang.stalls.insert(member, (generation, stall));
        effects.changed.insert(self.id.pipeline.clone());
        let verdict = gang.verdict();
        if verdict != Verdict::Wait {
            self.transition(now, Input::Stalled(verdict), effects);
        }
    }

    /// A member has got on since it said that it does not.
    pub(crate) fn got_on(&mut self, now: MonoTime, member: u32, effects: &mut Effects) {
        let JobState::Running(gang) = &mut self.state else { return };
        if gang.stalls.remove(&member).is_some() {
            effects.changed.insert(self.id.pipeline.clone());
        }
        if gang.members.get(&member).is_some_and(|member| member.aside == Some(Aside::Stuck)) {
            self.transition(now, Input::GotOn { member }, effects);
        }
    }

    /// The first rank says what all of them took for a window of steps.
    pub(crate) fn paced(&mut self, now: MonoTime, member: u32, pace: &Pace, effects: &mut Effects) {
        let JobState::Running(gang) = &mut self.state else { return };
        if gang.formation.as_ref().and_then(|formation| formation.ranks.first()) != Some(&member) {
            return;
        }
        let slow = gang.rate(pace);
        if let Some(score) = gang.worst_score() {
            effects.facts.push(Fact::Paced { job: self.id.clone(), score });
        }
        if let Some((slowest, rating)) = slow.first().copied() {
            self.transition(now, Input::Slow { member: slowest, rating }, effects);
        }
    }

    /// Ends what a group waits for that does not get on.
    pub(super) fn unblock(&mut self, now: MonoTime, gang: Gang, verdict: Verdict, effects: &mut Effects) -> JobState {
        match verdict {
            Verdict::Wait => JobState::Running(gang),
            Verdict::Blame(members) => self.leave_out(now, gang, &members, effects),
            Verdict::Release => self.release_all(now, gang, effects),
            Verdict::GiveUp(member) => self.give_up(now, gang, member, effects),
        }
    }

    /// The others wait for these: they go on without them, and nothing is done to them. Those that have not proved themselves, or do it
    /// again and again, are told to stop.
    pub(super) fn leave_out(
        &mut self,
        now: MonoTime,
        mut gang: Gang,
        members: &[u32],
        effects: &mut Effects,
    ) -> JobState {
        let waits = |rank: &&u32| gang.is_rank(**rank) && !members.contains(rank);
        let waiting = gang.present().iter().filter(waits).count() as u32;
        let mut why = None;
        for &number in members {
            let (task, Some(stall)) = (gang.task(&self.id, number), gang.stall_of(number)) else { continue };
            let has_begun = gang.began.is_some();
            let Some(member) = gang.members.get_mut(&number) else { continue };
            member.hangs += 1;
            let (is_on_trial, is_at_an_end) = (member.trial > 0, member.hangs > FORGIVEN);
            let worker = member.slot.worker.clone();
            let failure = Failure {
                task: task.clone(),
                cause: Cause::Stalled,
                message: format!("was {stall}, and {waiting} others waited for it"),
            };
            self.notice(now, &mut gang, Finding::Stuck { task, worker, stall, waiting }, effects);
            if has_begun && (is_on_trial || is_at_an_end) {
                gang.put_off(now);
                self.dismiss(now, &mut gang, number, &failure.message, effects);
            } else {
                gang.set_aside(number, Aside::Stuck);
            }
            why.get_or_insert(StopReason::Failed(failure));
        }
        let Some(why) = why else { return JobState::Running(gang) };
        gang.stalls.clear();
        gang.set_back(now);
        if gang.setbacks >= SETBACKS {
            return self.stop(now, gang, why, effects);
        }
        gang.recall();
        if !gang.is_enough() {
            gang.fall_short(now, why, FormReason::Stalled);
        }
        self.regroup(now, gang, FormReason::Stalled, effects)
    }

    /// All wait for each other. A new group ends that, as often as others that break. Where some are on trial it is their fault.
    fn release_all(&mut self, now: MonoTime, mut gang: Gang, effects: &mut Effects) -> JobState {
        let stalls = gang.stalls();
        let Some((&rank, &stall)) = stalls.iter().max_by_key(|(_, stall)| stall.time) else {
            return JobState::Running(gang);
        };
        let ranks = stalls.len() as u32;
        gang.stalls.clear();
        let tried =
            gang.present().into_iter().find(|number| gang.members.get(number).is_some_and(|found| found.trial == 0));
        let blamed = tried.map(|witness| gang.blamed(witness, &[])).unwrap_or_default();
        for &number in &blamed {
            gang.put_off(now);
            self.dismiss(now, &mut gang, number, "the others wait for it in vain", effects);
        }
        gang.setbacks += u32::from(blamed.is_empty());
        let failure = Failure {
            task: gang.task(&self.id, rank),
            cause: Cause::Stalled,
            message: format!("all {ranks} tasks waited for each other, {stall}, and a new group did not help"),
        };
        if gang.setbacks >= SETBACKS {
            return self.stop(now, gang, StopReason::Failed(failure), effects);
        }
        self.notice(now, &mut gang, Finding::Released { ranks, stall }, effects);
        gang.recall();
        if !gang.is_enough() {
            gang.fall_short(now, StopReason::Failed(failure), FormReason::Stalled);
            return JobState::Running(gang);
        }
        self.form(now, &mut gang, FormReason::Stalled, effects);
        JobState::Running(gang)
    }

    /// It has lasted too long, and nobody is to blame: the attempt ends, and the next one begins with new processes.
    fn give_up(&mut self, now: MonoTime, mut gang: Gang, member: u32, effects: &mut Effects) -> JobState {
        let Some(stall) = gang.stall_of(member) else { return JobState::Running(gang) };
        let task = gang.task(&self.id, member);
        let worker = gang.members.get(&member).map(|member| member.slot.worker.clone());
        let message = match gang.stalls().len() {
            1 => format!("was {stall}"),
            all => format!("was {stall}, as were all {all} tasks: nobody got on, and nobody could be blamed"),
        };
        if let Some(worker) = worker {
            self.notice(now, &mut gang, Finding::GivenUp { task: task.clone(), worker, stall }, effects);
        }
        let failure = Failure { task, cause: Cause::Stalled, message };
        self.stop(now, gang, StopReason::Failed(failure), effects)
    }

    /// A member that was left out has got on.
    pub(super) fn take_in(&mut self, now: MonoTime, mut gang: Gang, member: u32, effects: &mut Effects) -> JobState {
        gang.exclude(member, false);
        self.regroup(now, gang, FormReason::Resized, effects)
    }

    /// A rank has been slower than its peers for long. It leaves at the end of a step, where that was asked for and the others are enough;
    /// where it is not, it is said once.
    pub(super) fn slow(
        &mut self,
        now: MonoTime,
        mut gang: Gang,
        (number, rating): (u32, Rating),
        effects: &mut Effects,
    ) -> JobState {
        let is_asked = matches!(&self.spec.kind, JobKind::Pretrain(spec) if spec.exclude_stragglers);
        let is_calm = gang.short.is_none() && gang.broken.is_none();
        let is_spare = gang.present().len() > gang.demand.at_least() as usize;
        let remedy = match (is_asked, is_spare) {
            (false, _) => SlowRemedy::Told,
            (true, false) => SlowRemedy::Needed,
            (true, true) => SlowRemedy::LeftOut,
        };
        let is_left_out = remedy == SlowRemedy::LeftOut;
        if !is_calm || (!is_left_out && rating.windows > SLOW_WINDOWS) {
            return JobState::Running(gang);
        }
        let Some(worker) = gang.members.get(&number).map(|member| member.slot.worker.clone()) else {
            return JobState::Running(gang);
        };
        let Rating { score, windows } = rating;
        let finding = Finding::Slow { task: gang.task(&self.id, number), worker, score, windows, remedy };
        self.notice(now, &mut gang, finding, effects);
        if !is_left_out {
            return JobState::Running(gang);
        }
        gang.set_aside(number, Aside::Slow { until: now.after(REST) });
        self.regroup(now, gang, FormReason::Resized, effects)
    }

    fn notice(&self, now: MonoTime, gang: &mut Gang, finding: Finding, effects: &mut Effects) {
        effects.facts.push(Fact::Noticed { job: self.id.clone(), finding: finding.clone() });
        gang.notice(now, finding);
    }
}
