//! The tasks of one attempt at a job, which start together; ranks may come and go from their first progress on.

mod trial;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::device::{Device, DeviceKind, PerKind};
use crate::effect::{FormReason, Membership};
use crate::failure::Failure;
use crate::finding::Notice;
use crate::ids::{Generation, JobId, SlotId, TaskId};
use crate::job::{READY_TIMEOUT, REJOIN_TIMEOUT, STOP_TIMEOUT, StopReason};
use crate::spec::Demand;
use crate::stall::Stall;
use crate::time::MonoTime;

pub use watch::{Aside, Rating};

/// One attempt at a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Gang {
    /// Which attempt, from 0.
    pub attempt: u32,
    /// When it got its slots.
    pub seated: MonoTime,
    /// When it first made progress.
    pub began: Option<MonoTime>,
    /// What the slots of its members that are over were used for.
    pub spent: Spent,
    /// What was asked for: whether its members meet, with how few they go on, and how many it can use.
    pub demand: Demand,
    /// Its tasks by their numbers. One that was lost while the others go on is no longer among them.
    pub members: BTreeMap<u32, Member>,
    /// The number of the next member that joins.
    pub next_member: u32,
    /// The membership it has formed.
    pub formation: Option<Formation>,
    /// Memberships in a row that were lost, after none of which it has got further than ever before.
    pub setbacks: u32,
    /// The most that it has done in each phase. Not kept: a coordinator that takes over takes the first report for progress.
    pub furthest: BTreeMap<String, u64>,
    /// Too few members are left, and it waits for others.
    pub short: Option<Short>,
    /// Since when, and why, nobody takes steps: a membership is broken, and the next one has not made progress. Not kept: a coordinator
    /// that takes over does not know when it was.
    pub broken: Option<(MonoTime, FormReason)>,
    /// Newcomers in a row that were lost before they took steps with the others.
    pub unlucky: u32,
    /// Until when no newcomer is started.
    pub recruits_after: MonoTime,
    /// What its ranks say that do not get on, and in which membership. Not kept: they say it again.
    pub stalls: BTreeMap<u32, (Generation, Stall)>,
    /// When the last membership was formed, or a coordinator has taken it over.
    pub formed: MonoTime,
    /// How slow its ranks are beside each other. Not kept: the next windows show it.
    pub ratings: BTreeMap<u32, Rating>,
    /// What was found about it, the last of it last. Not kept.
    pub notices: Vec<Notice>,
}

/// One membership of a group, as it was formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formation {
    /// Fences everything older.
    pub generation: Generation,
    /// The numbers of its members, in the order of their ranks.
    pub ranks: Vec<u32>,
    /// Whether the one before was broken, so that nobody waits for its next step boundary.
    pub urgent: bool,
}

/// A gang that waits for others in place of lost members.
#[derive(Debug, Clone, PartialEq)]
pub struct Short {
    /// Since when.
    pub since: MonoTime,
    /// What becomes of it if nobody comes.
    pub why: StopReason,
}

/// What slots were used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Before the first progress.
    pub starting: Duration,
    /// From then on.
    pub working: Duration,
}

impl Spent {
    fn add(&mut self, other: Self) {
        self.starting += other.starting;
        self.working += other.working;
    }
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
    /// When it got its slot.
    pub seated: MonoTime,
    /// Since when it is waited for to come up or to stop; begins anew with a coordinator that takes over.
    pub since: MonoTime,
    /// When it was first a rank.
    pub joined: Option<MonoTime>,
    /// Whether it has taken steps with the others, and holds what they have come to. Not kept: whoever has been a rank is taken for one
    /// that has.
    pub trained: bool,
    /// Reports of steps until it is no longer on trial: if its group breaks before, that is its fault and not the others'. Not kept: a
    /// coordinator that takes over suspects nobody.
    pub trial: u32,
    /// Why it is left out, where that is not for its silence. Not kept: it says that it is up to a coordinator that takes over.
    pub aside: Option<Aside>,
    /// How often it was, because it did not get on. Not kept.
    pub hangs: u32,
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
        /// The others have not met it where they should have: it is no rank until it says that it is there.
        excluded: bool,
    },
    /// Told to stop while the others go on.
    Leaving {
        /// For whom, if it was for another job.
        by: Option<JobId>,
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

impl Member {
    pub(crate) fn new((slot, device): (SlotId, Device), now: MonoTime) -> Self {
        let state = MemberState::Starting;
        let (joined, trained, trial, aside, hangs) = (None, false, 0, None, 0);
        Self { slot, device, state, seated: now, since: now, joined, trained, trial, aside, hangs }
    }

    /// Whether it holds its slot.
    pub fn is_live(&self) -> bool {
        !matches!(self.state, MemberState::Over(_))
    }

    /// Whether it can be a rank.
    pub(crate) fn is_present(&self) -> bool {
        matches!(self.state, MemberState::Ready { excluded: false, .. })
    }

    /// Whether it stays or is about to come.
    pub(crate) fn stays(&self) -> bool {
        self.is_present() || self.state == MemberState::Starting
    }
}

impl Gang {
    pub(crate) fn new(attempt: u32, now: MonoTime, demand: Demand, seats: Vec<(SlotId, Device)>) -> Self {
        let members: BTreeMap<u32, Member> = (0..).zip(seats.into_iter().map(|seat| Member::new(seat, now))).collect();
        Self {
            attempt,
            seated: now,
            began: None,
            spent: Spent::default(),
            demand,
            next_member: members.len() as u32,
            members,
            formation: None,
            setbacks: 0,
            furthest: BTreeMap::new(),
            short: None,
            broken: None,
            unlucky: 0,
            recruits_after: now,
            stalls: BTreeMap::new(),
            formed: now,
            ratings: BTreeMap::new(),
            notices: Vec::new(),
        }
    }

    /// A member is over; its slot is free.
    pub(crate) fn end(&mut self, now: MonoTime, member: u32, end: End) {
        let meets = self.formation.is_some();
        let Some(over) = self.members.get_mut(&member) else { return };
        over.state = MemberState::Over(end);
        self.spent.add(over.spent(now, self.began, meets));
    }

    /// What its slots were used for until now, those of its members that are not over among them.
    pub(crate) fn spent_until(&self, now: MonoTime) -> Spent {
        let mut spent = self.spent;
        for (_, member) in self.live_members() {
            spent.add(member.spent(now, self.began, self.formation.is_some()));
        }
        spent
    }

    /// Takes a member that is up for one that can be a rank, or for one that cannot.
    pub(crate) fn exclude(&mut self, member: u32, is_out: bool) {
        let Some(found) = self.members.get_mut(&member) else { return };
        if let MemberState::Ready { excluded, .. } = &mut found.state {
            *excluded = is_out;
            found.aside = found.aside.filter(|_| is_out);
        }
    }

    /// The others do without a member, for another reason than its silence.
    pub(crate) fn set_aside(&mut self, member: u32, why: Aside) {
        self.exclude(member, true);
        if let Some(found) = self.members.get_mut(&member) {
            found.aside = Some(why);
        }
    }

    /// How many tasks it has.
    pub fn size(&self) -> u32 {
        self.members.len() as u32
    }

    /// The members that are not over, by their numbers.
    fn live_members(&self) -> impl Iterator<Item = (u32, &Member)> {
        self.members.iter().filter(|(_, member)| member.is_live()).map(|(number, member)| (*number, member))
    }

    /// The tasks that are not over, with where they run.
    pub fn live<'a>(&'a self, job: &'a JobId) -> impl Iterator<Item = (TaskId, &'a SlotId)> {
        self.live_members().map(|(number, member)| (self.task(job, number), &member.slot))
    }

    /// The slots that it holds.
    pub fn holds(&self) -> PerKind<u32> {
        PerKind::count(self.live_members().map(|(_, member)| member.device))
    }

    /// The members whose slots come free only if it stops: those that hold one and were not told to stop before.
    pub(crate) fn not_leaving(&self) -> impl Iterator<Item = &Member> {
        self.live_members().map(|(_, member)| member).filter(|member| !member.is_leaving())
    }

    /// The name of a member.
    pub fn task(&self, job: &JobId, member: u32) -> TaskId {
        TaskId { job: job.clone(), attempt: self.attempt, member }
    }

    /// The member that a task is, as long as it is not over.
    pub(crate) fn live_member(&self, task: &TaskId) -> Option<&Member> {
        let member = self.members.get(&task.member)?;
        (task.attempt == self.attempt && member.is_live()).then_some(member)
    }

    /// Whether its members are ranks that meet before they begin.
    pub(crate) fn is_group(&self) -> bool {
        matches!(self.demand, Demand::Group { .. })
    }

    /// The membership it has formed; none before that, and for a crew.
    pub(crate) fn membership(&self, job: &JobId) -> Option<Membership> {
        let Formation { generation, ranks, urgent } = self.formation.as_ref()?;
        let store_address = ranks.first().and_then(|first| self.members.get(first)).and_then(Member::store_address);
        let ranks = ranks.iter().map(|&member| self.task(job, member)).collect();
        Some(Membership { generation: *generation, ranks, store_address, urgent: *urgent })
    }

    /// Whether no member is left.
    pub(crate) fn is_over(&self) -> bool {
        self.live_members().next().is_none()
    }

    /// Whether members still have to come up before a generation can be formed.
    pub(crate) fn is_gathering(&self) -> bool {
        self.is_group() && self.size() > 1 && self.formation.is_none()
    }

    /// Whether a rank of a group has done its work. It says so when all of the work is done, and kept: the ends of the others no
    /// longer matter.
    pub(crate) fn is_done(&self) -> bool {
        let succeeded = |member: &Member| matches!(member.state, MemberState::Over(End::Succeeded(_)));
        self.is_group() && self.members.values().any(succeeded)
    }

    /// Whether members may come and go while the others go on.
    pub(crate) fn is_elastic(&self) -> bool {
        self.is_group() && self.formation.is_some() && self.began.is_some() && !self.is_done()
    }

    /// The figures of all members, when its work is done and nobody is left. Where two report the same one, the lower member is
    /// believed.
    pub(crate) fn figures(&self) -> Option<BTreeMap<String, f64>> {
        // Those that are lost are members no more: with none left, nobody has done the work.
        if self.members.is_empty() {
            return None;
        }
        let mut all = BTreeMap::new();
        for member in self.members.values().rev() {
            match &member.state {
                MemberState::Over(End::Succeeded(figures)) => all.extend(figures.clone()),
                MemberState::Over(_) if self.is_done() => {}
                _ => return None,
            }
        }
        Some(all)
    }

    /// The members that can be ranks now: first those of the last membership, in their order, then those that have come since.
    pub(crate) fn present(&self) -> Vec<u32> {
        let ranks = self.formation.as_ref().map_or(&[][..], |formation| &formation.ranks);
        let stayed = ranks.iter().copied().filter(|rank| self.members.get(rank).is_some_and(Member::is_present));
        let came = self.members.iter().filter(|(number, member)| member.is_present() && !ranks.contains(number));
        stayed.chain(came.map(|(number, _)| *number)).collect()
    }

    /// Whether some member is there that knows what the gang has come to, once that is anything.
    pub(crate) fn has_survivors(&self) -> bool {
        self.began.is_none() || self.members.values().any(|member| member.trained && member.is_present())
    }

    /// Whether what it has come to is lost: nobody who knows it is there or may come back.
    pub(crate) fn is_lost(&self) -> bool {
        !self.members.values().any(|member| member.trained && member.is_live() && !member.is_leaving())
    }

    /// Whether the members that are there can go on.
    pub(crate) fn is_enough(&self) -> bool {
        self.present().len() >= self.demand.at_least() as usize && self.has_survivors()
    }

    /// Whether the last membership is to take steps before there is another: it is in place of a broken one, and all of its ranks are there.
    pub(crate) fn is_recovering(&self) -> bool {
        let is_present = |rank: &u32| self.members.get(rank).is_some_and(Member::is_present);
        self.broken.is_some() && self.formation.as_ref().is_some_and(|formed| formed.ranks.iter().all(is_present))
    }

    /// The members of which nothing is heard, or which were not met.
    pub(crate) fn excluded(&self) -> impl Iterator<Item = u32> {
        self.live_members()
            .filter(|(_, member)| matches!(member.state, MemberState::Ready { excluded: true, .. }))
            .map(|(number, _)| number)
    }

    /// Whether a member is a rank of the last membership.
    pub(crate) fn is_rank(&self, member: u32) -> bool {
        self.formation.as_ref().is_some_and(|formation| formation.ranks.contains(&member))
    }

    /// How many members it lacks to go on.
    pub(crate) fn lacks(&self) -> u32 {
        let staying = self.members.values().filter(|member| member.stays()).count() as u32;
        // Where nobody is left who knows what they had come to, newcomers would be of no use.
        if self.is_elastic() && self.has_survivors() { self.demand.at_least().saturating_sub(staying) } else { 0 }
    }

    /// How many more members it could use.
    pub(crate) fn can_use(&self) -> u32 {
        let Demand::Group { at_most, .. } = self.demand else { return 0 };
        let counts = |member: &&Member| member.is_live() && !member.is_leaving() && !member.rests();
        let staying = self.members.values().filter(counts).count() as u32;
        if self.is_elastic() { at_most.saturating_sub(staying) } else { 0 }
    }

    /// Whether it has use for a member that comes back with what it has come to: where it can grow, or in place of one that has not come
    /// up yet.
    pub(crate) fn can_take_back(&self) -> bool {
        self.can_use() > 0 || (self.is_elastic() && self.starting().any(|(_, member)| !member.trained))
    }

    /// The members that can be ranks now or soon, those last that would be missed least: newcomers know nothing yet.
    pub(crate) fn staying(&self) -> Vec<u32> {
        let all = self.present().into_iter().chain(self.starting().map(|(number, _)| number));
        let (mut staying, newcomers): (Vec<u32>, Vec<u32>) =
            all.partition(|number| self.members.get(number).is_some_and(|member| member.trained));
        staying.extend(newcomers);
        staying
    }

    /// The members that it can do without, those first that would be missed least: it does without those already that it has left out.
    pub(crate) fn spare(&self) -> Vec<u32> {
        if !self.is_elastic() || !self.is_enough() {
            return Vec::new();
        }
        let needed = self.demand.at_least() as usize;
        self.excluded().chain(self.staying().into_iter().skip(needed).rev()).collect()
    }

    /// The members that have not come up yet.
    pub(crate) fn starting(&self) -> impl Iterator<Item = (u32, &Member)> {
        self.live_members().filter(|(_, member)| member.state == MemberState::Starting)
    }

    /// The kind of device that its ranks have in common.
    pub(crate) fn kind(&self) -> Option<DeviceKind> {
        self.members.values().next().map(|member| member.device.kind())
    }

    /// Members that were told to stop, with what they stop for.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = (u32, &Member, Option<&JobId>)> {
        self.members.iter().filter_map(|(number, member)| match &member.state {
            MemberState::Leaving { by } => Some((*number, member, by.as_ref())),
            _ => None,
        })
    }

    /// It has too few members, and newcomers that would be enough are not even on their way, or find nobody to learn from.
    pub(crate) fn waits_for_slots(&self) -> Option<&Short> {
        let are_coming = self.has_survivors() && self.staying().len() >= self.demand.at_least() as usize;
        self.short.as_ref().filter(|_| !are_coming)
    }

    /// When something has to happen even if nobody says a word.
    pub(crate) fn deadline(&self) -> Option<MonoTime> {
        let meets = self.is_gathering() || self.formation.is_some();
        let up = self.starting().filter(|_| meets).map(|(_, member)| member.since.after(READY_TIMEOUT));
        let gone = self.leaving().map(|(_, member, _)| member.since.after(STOP_TIMEOUT));
        let short = self.waits_for_slots().map(|short| short.since.after(REJOIN_TIMEOUT));
        up.chain(gone).chain(short).chain(self.rests_end()).min()
    }

    /// Nothing could be heard for so long: nobody's silence is counted for that time.
    pub(crate) fn excuse(&mut self, time: Duration) {
        for member in self.members.values_mut() {
            member.since = member.since.after(time);
        }
        if let Some(short) = &mut self.short {
            short.since = short.since.after(time);
        }
    }

    /// What is waited for begins anew, and what is not kept is not known.
    pub(crate) fn wait_anew(&mut self, now: MonoTime) {
        for member in self.members.values_mut() {
            (member.since, member.trained, member.trial) = (now, member.joined.is_some(), 0);
        }
        self.furthest.clear();
        self.stalls.clear();
        self.ratings.clear();
        (self.broken, self.formed) = (None, now);
        if let Some(short) = &mut self.short {
            short.since = now;
        }
        self.recruits_after = now;
    }
}

impl Member {
    /// What its slot was used for until now, in a gang that made its first progress then, if it has; and whose members meet, or need not.
    fn spent(&self, now: MonoTime, began: Option<MonoTime>, meets: bool) -> Spent {
        let met = if meets { self.joined } else { Some(self.seated) };
        let began = began.unwrap_or(now).max(met.unwrap_or(now)).max(self.seated);
        Spent { starting: began.since(self.seated), working: now.since(began) }
    }

    fn store_address(&self) -> Option<String> {
        match &self.state {
            MemberState::Ready { store_address, .. } => store_address.clone(),
            _ => None,
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.state, MemberState::Leaving { .. })
    }
}
