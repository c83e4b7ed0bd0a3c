//! Which row groups are read when, and how long they stay: decisions alone, without a read.
//!
//! Steps come in their order, with the rows that each takes. A row group is fetched for the first step that needs it, ahead of
//! it as far as the budget reaches, and stays until all its rows have been handed out, or the epoch has ended: a group whose
//! rows lie in two lanes of one rank is thus read once, though a whole epoch may pass between its uses.

use std::collections::{BTreeMap, VecDeque};

use vismae_core::ids::Epoch;

use crate::order::RowRef;

/// Steps looked at ahead of the next one, at most: small steps of large row groups would otherwise be listed by the thousand.
const STEPS_AHEAD: usize = 1024;

/// What one batch consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StepRows {
    pub(super) epoch: Epoch,
    pub(super) step: u64,
    pub(super) rows: Vec<RowRef>,
    pub(super) global_samples: u32,
}

/// What the reader knows of a row group beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupSize {
    /// Rows that an epoch takes of it, over all ranks.
    pub(super) rows: u32,
    /// Bytes it takes in memory once it is decoded, about.
    pub(super) bytes: u64,
    /// Bytes it takes besides while it is on its way.
    pub(super) encoded: u64,
}

/// The steps ahead and the row groups for them. `G` is what became of a fetched row group.
pub(super) struct Schedule<G> {
    budget: u64,
    sizes: Vec<GroupSize>,
    steps: VecDeque<Planned>,
    /// How many of the steps ahead take rows of a group.
    uses: BTreeMap<u32, u32>,
    /// Bytes of the groups in `uses`.
    reach: u64,
    /// The leading steps whose groups are all held or on their way.
    admitted: usize,
    groups: BTreeMap<u32, Held<G>>,
    /// Bytes of the groups held or on their way.
    held: u64,
    /// Rows that were handed out in the epoch of the next step.
    given: BTreeMap<u32, u32>,
}

struct Planned {
    step: StepRows,
    /// The row groups it takes rows of, and how many.
    groups: BTreeMap<u32, u32>,
}

struct Held<G> {
    bytes: u64,
    outcome: Option<G>,
}

impl<G> Schedule<G> {
    /// Within `budget` bytes of row groups. What one step needs is held even where that is more.
    pub(super) fn new(sizes: Vec<GroupSize>, budget: u64) -> Self {
        Self {
            budget,
            sizes,
            steps: VecDeque::new(),
            uses: BTreeMap::new(),
            reach: 0,
            admitted: 0,
            groups: BTreeMap::new(),
            held: 0,
            given: BTreeMap::new(),
        }
    }

    /// Whether more steps should be pushed: those ahead do not fill the budget.
    pub(super) fn has_room_ahead(&self) -> bool {
        self.steps.is_empty() || (self.reach < self.budget && self.steps.len() < STEPS_AHEAD)
    }

    pub(super) fn push(&mut self, step: StepRows) {
        let mut groups = BTreeMap::new();
        for row in &step.rows {
            *groups.entry(row.group).or_default() += 1;
        }
        for &group in groups.keys() {
            let uses = self.uses.entry(group).or_default();
            if *uses == 0 {
                self.reach += bytes_of(&self.sizes, group);
            }
            *uses += 1;
        }
        self.steps.push_back(Planned { step, groups });
    }

    /// The next row group to fetch, which counts as on its way from then on; nothing while the budget is used up. What a later
    /// step needs never pushes another group out, what the next one needs does.
    pub(super) fn next_fetch(&mut self) -> Option<u32> {
        loop {
            let planned = self.steps.get(self.admitted)?;
            let Some(&group) = planned.groups.keys().find(|group| !self.groups.contains_key(group)) else {
                self.admitted += 1;
                continue;
            };
            let bytes = bytes_of(&self.sizes, group) + self.sizes.get(group as usize).map_or(0, |size| size.encoded);
            if self.held + bytes > self.budget {
                if self.admitted > 0 {
                    return None;
                }
                self.make_room(bytes);
            }
            self.held += bytes;
            self.groups.insert(group, Held { bytes, outcome: None });
            return Some(group);
        }
    }

    /// Takes in a row group that was fetched, and the bytes that it really takes.
    pub(super) fn settle(&mut self, group: u32, bytes: u64, outcome: G) {
        if let Some(held) = self.groups.get_mut(&group) {
            self.held = self.held - held.bytes + bytes;
            *held = Held { bytes, outcome: Some(outcome) };
        }
    }

    /// The next step, once everything it needs is here.
    pub(super) fn ready(&self) -> Option<&StepRows> {
        let planned = self.steps.front()?;
        planned.groups.keys().all(|&group| self.group(group).is_some()).then_some(&planned.step)
    }

    /// Counts row groups that were let go of and are still being copied from.
    pub(super) fn lend(&mut self, bytes: u64) {
        self.held += bytes;
    }

    /// Counts them no longer.
    pub(super) fn take_back(&mut self, bytes: u64) {
        self.held -= bytes;
    }

    /// Whether every step that was pushed has been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// A row group that is here.
    pub(super) fn group(&self, group: u32) -> Option<&G> {
        self.groups.get(&group)?.outcome.as_ref()
    }

    /// Takes out a row group that is here.
    pub(super) fn take(&mut self, group: u32) -> Option<G> {
        let taken = self.groups.remove(&group)?;
        self.held -= taken.bytes;
        self.admitted = 0;
        taken.outcome
    }

    /// Takes out the next step, and lets go of what nothing needs any more.
    pub(super) fn finish_step(&mut self) -> Option<StepRows> {
        let Planned { step, groups } = self.steps.pop_front()?;
        self.admitted = self.admitted.saturating_sub(1);
        for (&group, rows) in &groups {
            *self.given.entry(group).or_default() += rows;
            if let Some(uses) = self.uses.get_mut(&group) {
                *uses -= 1;
                if *uses == 0 {
                    self.uses.remove(&group);
                    self.reach -= bytes_of(&self.sizes, group);
                }
            }
            let all = self.sizes.get(group as usize).map_or(0, |size| size.rows);
            if !self.uses.contains_key(&group) && self.given.get(&group).is_none_or(|&given| given >= all) {
                self.drop_group(group);
            }
        }
        if self.steps.front().is_some_and(|next| next.step.epoch != step.epoch) {
            self.given.clear();
            let unused: Vec<u32> = self.groups.keys().filter(|group| !self.uses.contains_key(group)).copied().collect();
            unused.into_iter().for_each(|group| self.drop_group(group));
        }
        Some(step)
    }

    /// Drops groups that the next step does not need, until `bytes` more fit: first those that no step ahead needs, then those
    /// that are needed last.
    fn make_room(&mut self, bytes: u64) {
        while self.held + bytes > self.budget {
            let next_use = |group: &u32| self.steps.iter().position(|planned| planned.groups.contains_key(group));
            let here = self.groups.iter().filter(|(_, held)| held.outcome.is_some());
            let victim = here
                .map(|(&group, _)| (next_use(&group).unwrap_or(usize::MAX), group))
                .filter(|&(next_use, _)| next_use > 0)
                .max();
            let Some((_, victim)) = victim else { return };
            self.drop_group(victim);
        }
    }

    fn drop_group(&mut self, group: u32) {
        if let Some(dropped) = self.groups.remove(&group) {
            self.held -= dropped.bytes;
        }
    }
}

fn bytes_of(sizes: &[GroupSize], group: u32) -> u64 {
    sizes.get(group as usize).map_or(0, |size| size.bytes)
}

#[cfg(test)]
mod tests;
