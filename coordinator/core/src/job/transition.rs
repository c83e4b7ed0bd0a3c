//! What happens to a job, and what becomes of it then.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    FRUITLESS_ATTEMPTS, Grounds, Job, JobState, LOST_WORKER_PAUSE, Outcome, RETRY_PAUSES, STOPS_KEPT, Stop, StopReason,
    Use,
};
use crate::device::Device;
use crate::effect::{Command, Effects, EvictReason, Fact, FormReason, Membership, Record, Start};
use crate::event::Progress;
use crate::failure::{Cause, Failure};
use crate::gang::{End, Gang, MemberState, Rating, Spent};
use crate::ids::{Generation, JobId, JobName, SlotId, WorkerId};
use crate::reason::Reason;
use crate::stall::Verdict;
use crate::time::MonoTime;

/// Why, and for whom, a job loses its slots.
#[derive(Debug)]
pub(crate) struct Eviction {
    pub(crate) by: JobId,
    pub(crate) reason: EvictReason,
    pub(crate) grounds: Grounds,
}

/// What happens to a job.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// It still can't run.
    Wait(Reason),
    /// It gets a slot for every member.
    Place { seats: Vec<(SlotId, Device)>, store_url: &'a str },
    /// A member is up.
    Ready { member: u32, store_address: Option<String> },
    /// The worker of these members is gone, which they will be told to have ended of one after the other.
    Doom { members: Vec<u32> },
    /// A member is over, and its slot is free.
    Ended { member: u32, end: End, leaving: Option<WorkerId> },
    /// Nothing is heard of a member, or something again.
    Silence { member: u32, over: bool },
    /// A member says that its group is broken.
    Parted { member: u32, generation: Generation, missing: Vec<u32>, reason: &'a str },
    /// It has become clear why its members do not get on.
    Stalled(Verdict),
    /// A member that was left out for that has got on.
    GotOn { member: u32 },
    /// A member has been slower than the others for long.
    Slow { member: u32, rating: Rating },
    /// A group that was broken has taken a step.
    Recovered,
    /// It gets slots for more members.
    Recruit { seats: Vec<(SlotId, Device)>, store_url: &'a str },
    /// A member that was given up is there after all.
    Revive { member: u32, seat: (SlotId, Device) },
    /// Another job needs the slots of some members that it can do without.
    Release { members: Vec<u32>, eviction: Eviction },
    /// Members took too long to come up, or nobody came in place of those that were lost.
    Overdue,
    /// The pipeline is cancelled.
    Cancel,
    /// Another job needs its slots.
    Evict(Eviction),
    /// The pipeline is suspended.
    Suspend,
    /// The pipeline is not over by its deadline.
    Expire { after: Duration },
    /// A job it needs did not succeed.
    Abandon(JobName),
}

impl Job {
    /// Moves the job through its life; see [`JobState`] for the map. What no arrow allows is stale, and changes nothing.
    pub(crate) fn transition(&mut self, now: MonoTime, input: Input<'_>, effects: &mut Effects) {
        let before = self.state.clone();
        self.state = match (before.clone(), input) {
            (JobState::Waiting(_), Input::Wait(reason)) => JobState::Waiting(reason),
            (JobState::Waiting(_), Input::Place { seats, store_url }) => self.start(now, seats, store_url, effects),
            (JobState::Waiting(_), Input::Cancel) => over(now, Outcome::Cancelled),
            (JobState::Waiting(_), Input::Abandon(because)) => over(now, Outcome::Abandoned { because }),
            (JobState::Running(gang), Input::Ready { member, store_address }) => {
                self.gather(now, gang, member, store_address, effects)
            }
            (JobState::Running(gang), Input::Ended { member, end, leaving }) => {
                self.lose(now, gang, (member, end), leaving, effects)
            }
            (JobState::Running(gang), Input::Doom { members }) => Self::doom(gang, &members),
            (JobState::Running(gang), Input::Silence { member, over }) => {
                self.silence(now, gang, member, over, effects)
            }
            (JobState::Running(gang), Input::Parted { member, generation, missing, reason }) => {
                self.part(now, gang, (member, generation), (&missing, reason), effects)
            }
            (JobState::Running(gang), Input::Stalled(verdict)) => self.unblock(now, gang, verdict, effects),
            (JobState::Running(gang), Input::GotOn { member }) => self.take_in(now, gang, member, effects),
            (JobState::Running(gang), Input::Slow { member, rating }) => {
                self.slow(now, gang, (member, rating), effects)
            }
            (JobState::Running(gang), Input::Recovered) => self.regroup(now, gang, FormReason::Resized, effects),
            (JobState::Running(gang), Input::Recruit { seats, store_url }) => {
                self.recruit(now, gang, seats, store_url, effects)
            }
            (JobState::Running(gang), Input::Revive { member, seat }) => self.revive(now, gang, member, seat, effects),
            (JobState::Running(gang), Input::Release { members, eviction }) => {
                self.release(now, gang, &members, &eviction, effects)
            }
            (JobState::Running(gang), Input::Overdue) => self.overdue(now, gang, effects),
            (JobState::Running(gang), Input::Evict(Eviction { by, reason, grounds })) => {
                effects.facts.push(Fact::JobEvicted { job: self.id.clone(), by: by.clone(), reason, grounds });
                let grounds = Some(grounds);
                let why = match reason {
                    EvictReason::Preempted | EvictReason::Released => StopReason::Preempted { by, grounds },
                    EvictReason::Reclaimed => StopReason::Reclaimed { by, grounds },
                };
                self.stop(now, gang, why, effects)
            }
            (JobState::Waiting(_), Input::Expire { after }) => over(now, Outcome::Late { after }),
            (JobState::Running(gang), Input::Suspend) => self.stop(now, gang, StopReason::Suspended, effects),
            (JobState::Running(gang), Input::Expire { after }) => {
                self.stop(now, gang, StopReason::Late { after }, effects)
            }
            (JobState::Stopping { gang, why, since }, Input::Expire { after }) if why != StopReason::Cancelled => {
                JobState::Stopping { gang, why: StopReason::Late { after }, since }
            }
            (JobState::Running(gang), Input::Cancel) => self.stop(now, gang, StopReason::Cancelled, effects),
            (JobState::Stopping { gang, since, .. }, Input::Cancel) => {
                JobState::Stopping { gang, why: StopReason::Cancelled, since }
            }
            (JobState::Stopping { mut gang, why, since }, Input::Ended { member, end, .. }) => {
                let why = why.updated(&end);
                gang.end(now, member, end);
                self.settle(now, gang, why, since, effects)
            }
            (state, _) => state,
        };
        let (was, is) = (Use::of_waiting(&before), Use::of_waiting(&self.state));
        if was != is {
            if let Some(on) = was {
                self.spend(on, now.since(self.since), effects);
            }
            self.since = now;
        }
        if self.state != before {
            self.record(&before, effects);
        }
    }

    /// Takes in how far the latest attempt is. The first word of it is worth keeping: an attempt that got somewhere is not fruitless.
    pub(crate) fn progress(&mut self, now: MonoTime, progress: Progress, effects: &mut Effects) {
        let is_step = |before: &Progress| before.phase == progress.phase && progress.done > before.done;
        let is_step = self.progress.as_ref().is_none_or(is_step);
        let (mut is_turn, mut is_recovered) = (false, false);
        if let JobState::Running(gang) = &mut self.state {
            let is_further = gang.advance(&progress);
            is_turn = gang.began.is_none() || (gang.setbacks > 0 && is_further);
            if gang.began.is_none() {
                gang.begin(now);
            }
            if is_turn {
                gang.setbacks = 0;
            }
            // After a loss the first steps may be some that were taken before.
            if is_step {
                gang.pass_trials(1);
                let broken = gang.broken.take();
                is_recovered = broken.is_some();
                effects.facts.extend(broken.map(|(since, reason)| Fact::Recovered {
                    job: self.id.clone(),
                    reason,
                    time: now.since(since),
                }));
            }
        }
        self.progress = Some(progress);
        effects.changed.insert(self.id.pipeline.clone());
        effects.facts.push(Fact::Progressed(self.id.clone()));
        if is_turn {
            effects.persist.push(self.to_record());
        }
        if is_recovered {
            self.transition(now, Input::Recovered, effects);
        }
    }

    fn spend(&mut self, on: Use, time: Duration, effects: &mut Effects) {
        if !time.is_zero() {
            self.ledger.add(on, time);
            effects.facts.push(Fact::Spent { job: self.id.clone(), on, time });
        }
    }

    /// Books what an attempt has spent that is over; its work counts, or was lost to what stopped it.
    fn book(&mut self, now: MonoTime, gang: &Gang, stopped: Option<&StopReason>, effects: &mut Effects) {
        let counts = stopped.is_none() || !gang.is_group();
        let mut spent = gang.spent;
        if stopped.is_none() && gang.began.is_none() {
            // It was done before it said anything.
            spent = Spent { starting: Duration::ZERO, working: spent.starting };
        }
        let on = stopped.filter(|_| !counts).map_or(Use::Productive, Use::of_stop);
        self.spend(Use::Starting, spent.starting, effects);
        self.spend(on, spent.working, effects);
        if let Some(why) = stopped {
            self.stops.drain(..(self.stops.len() + 1).saturating_sub(STOPS_KEPT));
            self.stops.push(Stop { attempt: gang.attempt, at: now, why: why.clone() });
        }
    }

    /// Takes up a member again whose worker has come back, or that a coordinator before this one has placed: says again what
    /// may not have arrived. Only a task whose worker does not know it yet is told to start.
    pub(crate) fn resume(&self, member: u32, started: Option<Device>, store_url: &str, effects: &mut Effects) {
        let Some(gang) = self.state.gang() else { return };
        let Some(found) = gang.members.get(&member) else { return };
        let slot = &found.slot;
        let task = gang.task(&self.id, member);
        if let Some(device) = started {
            let start = self.start_of(slot, device, gang.size(), store_url);
            return effects.send(&slot.worker, task, Command::Start(Box::new(start)));
        }
        match (&self.state, gang.membership(&self.id)) {
            (JobState::Stopping { why, .. }, _) => {
                effects.send(&slot.worker, task, Command::Stop { reason: why.to_string() });
            }
            _ if matches!(found.state, MemberState::Leaving { .. }) => {
                effects.send(&slot.worker, task, Command::Stop { reason: "it is not needed any more".to_owned() });
            }
            (_, Some(membership)) if membership.ranks.contains(&task) => {
                // It may have missed more than one, and wait for somebody who is no longer a rank.
                let membership = Membership { urgent: true, ..membership };
                effects.send(&slot.worker, task, Command::Membership(membership));
            }
            _ => {}
        }
    }

    pub(super) fn start_of(&self, slot: &SlotId, device: Device, gang_size: u32, store_url: &str) -> Start {
        let (job, submitted) = (self.spec.clone(), self.submitted);
        Start { slot: slot.index, device, store_url: store_url.to_owned(), gang_size, job, submitted }
    }

    /// The members get their slots and are told to start.
    fn start(
        &mut self,
        now: MonoTime,
        seats: Vec<(SlotId, Device)>,
        store_url: &str,
        effects: &mut Effects,
    ) -> JobState {
        let gang = Gang::new(self.attempts, now, self.demand(), seats.clone());
        for (member, (slot, device)) in (0..).zip(seats) {
            let start = self.start_of(&slot, device, gang.size(), store_url);
            effects.send(&slot.worker, gang.task(&self.id, member), Command::Start(Box::new(start)));
        }
        effects.facts.push(Fact::JobStarted { job: self.id.clone(), attempt: gang.attempt });
        self.attempts += 1;
        self.progress = None;
        self.started.get_or_insert(now);
        JobState::Running(gang)
    }

    /// The work is done.
    pub(super) fn complete(
        &mut self,
        now: MonoTime,
        gang: &Gang,
        figures: BTreeMap<String, f64>,
        effects: &mut Effects,
    ) -> JobState {
        self.book(now, gang, None, effects);
        over(now, Outcome::Succeeded { figures })
    }

    /// Tells every member that is left to stop.
    pub(super) fn stop(&mut self, now: MonoTime, gang: Gang, why: StopReason, effects: &mut Effects) -> JobState {
        for (task, slot) in gang.live(&self.id) {
            effects.send(&slot.worker, task, Command::Stop { reason: why.to_string() });
        }
        self.settle(now, gang, why, now, effects)
    }

    /// Waits for the members that are left; when there are none, decides what becomes of the job.
    fn settle(
        &mut self,
        now: MonoTime,
        gang: Gang,
        why: StopReason,
        since: MonoTime,
        effects: &mut Effects,
    ) -> JobState {
        if !gang.is_over() {
            return JobState::Stopping { gang, why, since };
        }
        if let Some(figures) = gang.figures() {
            return self.complete(now, &gang, figures, effects);
        }
        self.book(now, &gang, Some(&why), effects);
        match why {
            StopReason::Cancelled => over(now, Outcome::Cancelled),
            StopReason::Late { after } => over(now, Outcome::Late { after }),
            StopReason::WorkerLeaves(_)
            | StopReason::Preempted { .. }
            | StopReason::Reclaimed { .. }
            | StopReason::Suspended => JobState::Waiting(Reason::Queued),
            StopReason::Failed(failure) => self.retry(now, failure, gang.began.is_some()),
        }
    }

    /// By cause: bad input never gets better; a lost worker is no fault of the job's; everything else is tried a few times. Whoever
    /// is at fault, a job that gets nowhere is given up.
    fn retry(&mut self, now: MonoTime, failure: Failure, got_somewhere: bool) -> JobState {
        self.fruitless = if got_somewhere { 0 } else { self.fruitless + 1 };
        let free = failure.cause == Cause::WorkerLost;
        let (pause, left) = if free {
            (Some(LOST_WORKER_PAUSE), FRUITLESS_ATTEMPTS.saturating_sub(self.fruitless))
        } else {
            self.failures += 1;
            let left = (RETRY_PAUSES.len() as u32 + 1).saturating_sub(self.failures);
            (RETRY_PAUSES.get(self.failures as usize - 1).copied(), left)
        };
        if self.fruitless >= FRUITLESS_ATTEMPTS && failure.cause.is_retryable() {
            let message = format!("no progress in {} attempts; the last: {}", self.fruitless, failure.message);
            return over(now, Outcome::Failed(Failure { message, ..failure }));
        }
        match pause.filter(|_| failure.cause.is_retryable()) {
            None => over(now, Outcome::Failed(failure)),
            Some(pause) => JobState::Waiting(Reason::Backoff { until: now.after(pause), pause, left, failure }),
        }
    }

    /// Says that the state has changed. Why a job waits can be found out again, and is not worth keeping.
    fn record(&self, before: &JobState, effects: &mut Effects) {
        effects.changed.insert(self.id.pipeline.clone());
        if self.state.is_over() {
            effects.facts.push(Fact::JobOver(self.id.clone()));
        }
        if !matches!((before, &self.state), (JobState::Waiting(_), JobState::Waiting(_))) {
            effects.persist.push(self.to_record());
        }
    }

    fn to_record(&self) -> Record {
        Record::Job {
            job: self.id.clone(),
            attempts: self.attempts,
            failures: self.failures,
            fruitless: self.fruitless,
            generation: self.generation,
            started: self.started,
            since: Some(self.since),
            ledger: self.ledger.clone(),
            stops: self.stops.clone(),
            state: self.state.clone(),
        }
    }
}

impl StopReason {
    /// The better explanation of the two: a sibling's end can show what the first one died of. Bad input ends the job even
    /// while it would otherwise be tried again.
    fn updated(self, end: &End) -> Self {
        match (self, end) {
            (Self::Failed(known), End::Failed(new)) if new.explains_more_than(&known) => Self::Failed(new.clone()),
            (
                Self::WorkerLeaves(_) | Self::Preempted { .. } | Self::Reclaimed { .. } | Self::Suspended,
                End::Failed(new),
            ) if !new.cause.is_retryable() => Self::Failed(new.clone()),
            (known, _) => known,
        }
    }
}

fn over(at: MonoTime, outcome: Outcome) -> JobState {
    JobState::Over { outcome, at }
}
