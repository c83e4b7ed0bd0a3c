//! The tasks of one attempt at a job, which start, train and end together.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::device::{Device, PerKind};
use crate::effect::Membership;
use crate::failure::Failure;
use crate::ids::{Generation, JobId, SlotId, TaskId};
use crate::spec::Demand;
use crate::time::MonoTime;

/// One attempt at a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Gang {
    /// Which attempt, from 0.
    pub attempt: u32,
    /// When it got its slots, or a coordinator that has taken over began to wait for them.
    pub placed: MonoTime,
    /// When it got its slots.
    pub seated: MonoTime,
    /// When it first made progress.
    pub began: Option<MonoTime>,
    /// What the slots of its members that are over were used for.
    pub spent: Spent,
    /// What was asked for: whether its members meet.
    pub demand: Demand,
    /// Its tasks; the position is the member's number.
    pub members: Vec<Member>,
    /// The membership it has formed.
    pub generation: Option<Generation>,
}

/// What slots were used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Before the first progress.
    pub starting: Duration,
    /// From then on.
    pub working: Duration,
}

/// One task of a gang.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Where it runs.
    pub slot: SlotId,
    /// What it runs on.
    pub device: Device,
    /// How far it is.
    pub state: MemberState,
}

/// How far a member is.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberState {
    /// Told to start.
    Starting,
    /// Up.
    Ready {
        /// The rendezvous store it serves.
        store_address: Option<String>,
    },
    /// No longer there; its slot is free.
    Over(End),
}

/// How a member ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// Done, with final figures by name.
    Succeeded(BTreeMap<String, f64>),
    /// Could not go on.
    Failed(Failure),
    /// Stopped.
    Stopped,
}

impl Gang {
    pub(crate) fn new(attempt: u32, placed: MonoTime, demand: Demand, seats: Vec<(SlotId, Device)>) -> Self {
        let member = |(slot, device)| Member { slot, device, state: MemberState::Starting };
        let members: Vec<Member> = seats.into_iter().map(member).collect();
        let demand = match demand {
            // Whatever it might have used, all of these meet.
            Demand::Group { .. } => Demand::group(members.len() as u32),
            Demand::Crew { .. } => demand,
        };
        Self {
            attempt,
            placed,
            seated: placed,
            began: None,
            spent: Spent::default(),
            demand,
            members,
            generation: None,
        }
    }

    /// A member is over; its slot is free.
    pub(crate) fn end(&mut self, now: MonoTime, member: u32, end: End) {
        self.members[member as usize].state = MemberState::Over(end);
        let began = self.began.unwrap_or(now);
        self.spent.starting += began.since(self.seated);
        self.spent.working += now.since(began);
    }

    /// How many tasks it has.
    pub fn size(&self) -> u32 {
        self.members.len() as u32
    }

    /// The tasks that are not over, with where they run.
    pub fn live<'a>(&'a self, job: &'a JobId) -> impl Iterator<Item = (TaskId, &'a SlotId)> {
        (0..)
            .zip(&self.members)
            .filter(|(_, member)| !matches!(member.state, MemberState::Over(_)))
            .map(|(number, member)| (self.task(job, number), &member.slot))
    }

    /// The slots that it holds.
    pub fn holds(&self) -> PerKind<u32> {
        let live = self.members.iter().filter(|member| !matches!(member.state, MemberState::Over(_)));
        PerKind::count(live.map(|member| member.device))
    }

    /// The name of a member.
    pub fn task(&self, job: &JobId, member: u32) -> TaskId {
        TaskId { job: job.clone(), attempt: self.attempt, member }
    }

    /// The member that a task is, as long as it is not over.
    pub(crate) fn live_member(&self, task: &TaskId) -> Option<&Member> {
        let member = self.members.get(task.member as usize)?;
        (task.attempt == self.attempt && !matches!(member.state, MemberState::Over(_))).then_some(member)
    }

    /// Whether its members are ranks that meet before they begin.
    pub(crate) fn is_group(&self) -> bool {
        matches!(self.demand, Demand::Group { .. })
    }

    /// The membership it has formed; none before that, and for a crew.
    pub(crate) fn membership(&self, job: &JobId) -> Option<Membership> {
        let store_address = match self.members.first().map(|member| &member.state) {
            Some(MemberState::Ready { store_address }) => store_address.clone(),
            _ => None,
        };
        let ranks = (0..self.size()).map(|member| self.task(job, member)).collect();
        self.generation.map(|generation| Membership { generation, ranks, store_address })
    }

    /// Whether every rank is up, and the membership can be formed.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_group() && self.members.iter().all(|member| matches!(member.state, MemberState::Ready { .. }))
    }

    /// Whether no member is left.
    pub(crate) fn is_over(&self) -> bool {
        self.members.iter().all(|member| matches!(member.state, MemberState::Over(_)))
    }

    /// Whether members still have to come up before a generation can be formed.
    pub(crate) fn is_gathering(&self) -> bool {
        self.is_group() && self.size() > 1 && self.generation.is_none()
    }

    /// The figures of all members, when all of them succeeded. Where two report the same one, the lower member is believed.
    pub(crate) fn figures(&self) -> Option<BTreeMap<String, f64>> {
        let mut all = BTreeMap::new();
        for member in self.members.iter().rev() {
            let MemberState::Over(End::Succeeded(figures)) = &member.state else { return None };
            all.extend(figures.clone());
        }
        Some(all)
    }
}
