//! A group whose members come and go while the others keep what they have come to.
//!
//! Every membership is a generation: an ordered list of ranks, those first that were ranks before. Whoever is a rank of the next one
//! leaves the last, compares how far it is with the others, and goes on from the most advanced. So a lost member costs one step at
//! most, and a planned change nothing.

use super::{Eviction, Job, JobState, SETBACKS, StopReason};
use crate::device::Device;
use crate::effect::{Command, Effects, Fact, FormReason, Membership, Record};
use crate::failure::{Cause, Failure};
use crate::gang::{End, Formation, Gang, Member, MemberState, Short};
use crate::ids::{Generation, SlotId, WorkerId};
use crate::time::MonoTime;

impl Job {
    /// A member is up.
    pub(super) fn gather(
        &mut self,
        now: MonoTime,
        mut gang: Gang,
        member: u32,
        store_address: Option<String>,
        effects: &mut Effects,
    ) -> JobState {
        let is_out =
            |state: &MemberState| matches!(state, MemberState::Starting | MemberState::Ready { excluded: true, .. });
        let Some(found) = gang.members.get_mut(&member).filter(|found| is_out(&found.state)) else {
            return JobState::Running(gang);
        };
        let unreachable = store_address.is_none();
        // One that was left out says so again when its agent has found a coordinator that may have missed that it is back.
        found.state = MemberState::Ready { store_address, excluded: false };
        if unreachable && member == 0 && gang.is_gathering() {
            let failure = Failure {
                task: gang.task(&self.id, member),
                cause: Cause::Environment,
                message: "is up without a rendezvous store, expected the `host:port` it serves one on".to_owned(),
            };
            return self.stop(now, gang, StopReason::Failed(failure), effects);
        }
        self.regroup(now, gang, FormReason::Resized, effects)
    }

    /// Newcomers get their slots and are told to start.
    pub(super) fn recruit(
        &self,
        now: MonoTime,
        mut gang: Gang,
        seats: Vec<(SlotId, Device)>,
        store_url: &str,
        effects: &mut Effects,
    ) -> JobState {
        for (slot, device) in seats {
            let number = gang.next_member;
            gang.next_member += 1;
            let start = self.start_of(&slot, device, gang.size() + 1, store_url);
            effects.send(&slot.worker, gang.task(&self.id, number), Command::Start(Box::new(start)));
            gang.members.insert(number, Member::new((slot, device), now));
        }
        JobState::Running(gang)
    }

    /// A member that was given up is there after all, with what it has come to. Whoever was to replace it and has not come up yet need
    /// not.
    pub(super) fn revive(
        &self,
        now: MonoTime,
        mut gang: Gang,
        number: u32,
        seat: (SlotId, Device),
        effects: &mut Effects,
    ) -> JobState {
        gang.members.entry(number).or_insert_with(|| Member { trained: true, ..Member::new(seat, now) });
        self.trim(now, &mut gang, effects);
        JobState::Running(gang)
    }

    /// Members will be lost, and are no ranks of what is formed meanwhile.
    pub(super) fn doom(mut gang: Gang, members: &[u32]) -> JobState {
        for number in members {
            gang.exclude(*number, true);
        }
        JobState::Running(gang)
    }

    /// A member of a running gang is over; what becomes of the others.
    pub(super) fn lose(
        &mut self,
        now: MonoTime,
        mut gang: Gang,
        (member, end): (u32, End),
        leaving: Option<WorkerId>,
        effects: &mut Effects,
    ) -> JobState {
        let task = gang.task(&self.id, member);
        let was_leaving = gang.leaving().any(|(number, ..)| number == member);
        gang.end(now, member, end.clone());
        gang.stalls.remove(&member);
        if let Some(figures) = gang.figures() {
            return self.complete(now, &gang, figures, effects);
        }
        if gang.is_done() {
            gang.short = None;
            // Whoever is not at the end by now has come too late to be of use.
            for left in gang.live(&self.id).map(|(task, _)| task.member).collect::<Vec<_>>() {
                self.dismiss(now, &mut gang, left, "the work is done", effects);
            }
            return JobState::Running(gang);
        }
        let failure = match end {
            End::Succeeded(_) => return JobState::Running(gang),
            End::Failed(failure) => failure,
            End::Stopped => Failure {
                task,
                cause: Cause::Environment,
                message: "stopped before its work was done, without being told to".to_owned(),
            },
        };
        let why = match leaving {
            Some(worker) if failure.cause.is_retryable() => StopReason::WorkerLeaves(worker),
            _ => StopReason::Failed(failure.clone()),
        };
        if !gang.is_elastic() || !failure.cause.is_retryable() {
            return self.stop(now, gang, why, effects);
        }
        let is_planned = was_leaving || matches!(why, StopReason::WorkerLeaves(_));
        // Nobody has closed its connections: the others do not notice by themselves.
        let is_cut_off = failure.cause == Cause::WorkerLost;
        let is_rank = gang.is_rank(member);
        let lost = gang.members.remove(&member);
        let is_newcomer = lost.as_ref().is_none_or(|lost| !lost.trained);
        match (is_planned, is_newcomer) {
            (true, _) => {}
            (false, true) => gang.put_off(now),
            (false, false) if is_rank => gang.set_back(now),
            (false, false) => {}
        }
        if gang.is_lost() || gang.setbacks >= SETBACKS {
            return self.stop(now, gang, why, effects);
        }
        let reason = if is_planned && !is_cut_off { FormReason::Resized } else { FormReason::Lost };
        if !gang.is_enough() {
            gang.fall_short(now, why, reason);
        } else if was_leaving && is_cut_off && lost.is_some_and(|lost| lost.joined.is_some()) {
            // The others may be in the group still that it was to leave with them.
            self.form(now, &mut gang, reason, effects);
        }
        self.regroup(now, gang, reason, effects)
    }

    /// Nothing is heard of a member: the others go on without it, and nothing is done to it. Or it is heard again, and may come back.
    pub(super) fn silence(
        &mut self,
        now: MonoTime,
        mut gang: Gang,
        member: u32,
        over: bool,
        effects: &mut Effects,
    ) -> JobState {
        // Of one that rests for its slowness, silence changes nothing.
        let is_known =
            |gang: &Gang| gang.members.get(&member).is_none_or(|found| found.is_present() == over || found.rests());
        if !gang.is_group() || gang.is_done() || is_known(&gang) {
            return JobState::Running(gang);
        }
        gang.exclude(member, !over);
        let silent = if over { gang.excluded().next() } else { Some(member) };
        if let Some(silent) = silent.filter(|_| !gang.is_enough()) {
            let failure = Failure {
                task: gang.task(&self.id, silent),
                cause: Cause::Environment,
                message: "is silent: its process is there, and does not run".to_owned(),
            };
            gang.fall_short(now, StopReason::Failed(failure), FormReason::Lost);
        }
        self.regroup(now, gang, if over { FormReason::Resized } else { FormReason::Lost }, effects)
    }

    /// A member says that its group is broken, and whom it has not met.
    pub(super) fn part(
        &mut self,
        now: MonoTime,
        mut gang: Gang,
        (member, generation): (u32, Generation),
        (missing, reason): (&[u32], &str),
        effects: &mut Effects,
    ) -> JobState {
        if !gang.is_elastic() && gang.formation.as_ref().is_none_or(|formed| formed.generation != generation) {
            return JobState::Running(gang);
        }
        if gang.members.get(&member).is_some_and(Member::rests) {
            return JobState::Running(gang);
        }
        gang.exclude(member, false);
        if !gang.present().contains(&member) {
            return JobState::Running(gang);
        }
        let is_current = gang.formation.as_ref().is_some_and(|formed| formed.generation == generation);
        if !is_current || !gang.is_rank(member) {
            // It speaks of a membership that is over already; where it is no rank of the last one, it wants to be one of the next.
            return self.regroup(now, gang, FormReason::Resized, effects);
        }
        // Whoever accuses whom: what they say of themselves agrees with it.
        let stuck = gang.stuck_before(missing);
        if !stuck.is_empty() {
            return self.leave_out(now, gang, &stuck, effects);
        }
        let blamed = gang.blamed(member, missing);
        match blamed.is_empty() {
            true => missing.iter().filter(|missed| **missed != member).for_each(|missed| gang.exclude(*missed, true)),
            // The others went on without them before, and can again.
            false => gang.put_off(now),
        }
        for &number in &blamed {
            self.dismiss(now, &mut gang, number, "it can't be joined by the others", effects);
        }
        gang.recall();
        self.trim(now, &mut gang, effects);
        let failed = |gang: &Gang, member: u32, message: String| {
            StopReason::Failed(Failure { task: gang.task(&self.id, member), cause: Cause::Environment, message })
        };
        if !gang.is_enough() {
            let unmet = blamed.first().or(missing.first()).copied().unwrap_or(member);
            let why = failed(&gang, unmet, format!("was not met by its peers: {reason}"));
            gang.fall_short(now, why, FormReason::Broken);
            return JobState::Running(gang);
        }
        gang.setbacks += u32::from(blamed.is_empty());
        if gang.setbacks >= SETBACKS {
            let why = failed(&gang, member, format!("the ranks do not meet: {reason}"));
            return self.stop(now, gang, why, effects);
        }
        self.form(now, &mut gang, FormReason::Broken, effects);
        gang.short = None;
        JobState::Running(gang)
    }

    /// Members leave for another job, while the others go on.
    pub(super) fn release(
        &mut self,
        now: MonoTime,
        mut gang: Gang,
        members: &[u32],
        eviction: &Eviction,
        effects: &mut Effects,
    ) -> JobState {
        let reason = format!("`{}` needs its slot", eviction.by);
        for &number in members {
            let task = gang.task(&self.id, number);
            let Some(member) = gang.members.get_mut(&number) else { continue };
            if !member.is_live() || member.is_leaving() {
                continue;
            }
            (member.state, member.since) = (MemberState::Leaving { by: Some(eviction.by.clone()) }, now);
            effects.send(&member.slot.worker, task.clone(), Command::Stop { reason: reason.clone() });
            let (by, grounds) = (eviction.by.clone(), eviction.grounds);
            effects.facts.push(Fact::MemberReleased { task, by, grounds });
        }
        self.regroup(now, gang, FormReason::Resized, effects)
    }

    /// Somebody was waited for in vain.
    pub(super) fn overdue(&mut self, now: MonoTime, mut gang: Gang, effects: &mut Effects) -> JobState {
        if let Some(Short { since, why }) = gang.waits_for_slots()
            && since.after(super::REJOIN_TIMEOUT) <= now
        {
            let why = why.clone();
            return self.stop(now, gang, why, effects);
        }
        if gang.end_rests(now) {
            gang = match self.regroup(now, gang, FormReason::Resized, effects) {
                JobState::Running(gang) => gang,
                other => return other,
            };
        }
        let late: Vec<u32> = gang
            .starting()
            .filter(|(_, member)| member.since.after(super::READY_TIMEOUT) <= now)
            .map(|(number, _)| number)
            .collect();
        let Some(&first) = late.first() else { return JobState::Running(gang) };
        let message = format!("was not up within {} s", super::READY_TIMEOUT.as_secs());
        if !gang.is_elastic() {
            let failure = Failure { task: gang.task(&self.id, first), cause: Cause::Environment, message };
            return self.stop(now, gang, StopReason::Failed(failure), effects);
        }
        for number in late {
            self.dismiss(now, &mut gang, number, &message, effects);
        }
        JobState::Running(gang)
    }

    /// A member is to go for no other job.
    pub(super) fn dismiss(&self, now: MonoTime, gang: &mut Gang, number: u32, reason: &str, effects: &mut Effects) {
        let task = gang.task(&self.id, number);
        if let Some(member) = gang.members.get_mut(&number).filter(|member| !member.is_leaving()) {
            (member.state, member.since) = (MemberState::Leaving { by: None }, now);
            effects.send(&member.slot.worker, task, Command::Stop { reason: reason.to_owned() });
        }
    }

    /// Of more members than it can use, as when one comes back that was replaced, the last have to go.
    fn trim(&self, now: MonoTime, gang: &mut Gang, effects: &mut Effects) {
        for surplus in gang.staying().into_iter().skip(gang.demand.at_most() as usize) {
            self.dismiss(now, gang, surplus, "it has been replaced", effects);
        }
    }

    /// Forms the next membership, if the members that are there are others than the ranks of the last one, and enough. The first one
    /// waits for all that are coming up. Whoever comes while a group recovers waits for its next step: ranks that came and went could keep
    /// the others from ever meeting.
    pub(super) fn regroup(
        &mut self,
        now: MonoTime,
        mut gang: Gang,
        reason: FormReason,
        effects: &mut Effects,
    ) -> JobState {
        gang.recall();
        self.trim(now, &mut gang, effects);
        let is_awaited = gang.formation.is_none() && gang.starting().next().is_some();
        if gang.is_group() && gang.is_enough() && !is_awaited {
            let is_new = gang.formation.as_ref().is_none_or(|formed| formed.ranks != gang.present());
            if is_new && !gang.is_recovering() {
                self.form(now, &mut gang, reason, effects);
            }
            gang.short = None;
        }
        JobState::Running(gang)
    }

    /// Orders the ranks, and tells every one of them.
    pub(super) fn form(&mut self, now: MonoTime, gang: &mut Gang, reason: FormReason, effects: &mut Effects) {
        self.generation = Generation(self.generation.0 + 1);
        let reason = match (&gang.formation, gang.attempt) {
            (Some(_), _) => reason,
            (None, 0) => FormReason::Start,
            (None, _) => FormReason::Retry,
        };
        let ranks = gang.present();
        let is_break = matches!(reason, FormReason::Lost | FormReason::Broken | FormReason::Stalled);
        let urgent = is_break || gang.short.is_some();
        if is_break {
            gang.broken.get_or_insert((now, reason));
        }
        // They may wait in a group that the others have left long ago.
        let is_back =
            |rank: &&u32| gang.members.get(*rank).is_some_and(|member| member.trained) && !gang.is_rank(**rank);
        let back: Vec<u32> = ranks.iter().filter(is_back).copied().collect();
        gang.try_out(&ranks, now);
        // What was measured of the last one says nothing of this.
        gang.ratings.clear();
        gang.formed = now;
        gang.formation = Some(Formation { generation: self.generation, ranks, urgent });
        let Some(membership) = gang.membership(&self.id) else { return };
        for task in &membership.ranks {
            if let Some(member) = gang.members.get(&task.member) {
                let urgent = urgent || back.contains(&task.member);
                let command = Command::Membership(Membership { urgent, ..membership.clone() });
                effects.send(&member.slot.worker, task.clone(), command);
            }
        }
        effects.facts.push(Fact::GenerationFormed {
            job: self.id.clone(),
            generation: self.generation,
            world_size: membership.ranks.len() as u32,
            reason,
        });
        effects.persist.push(Record::Generation { job: self.id.clone(), membership });
    }
}
