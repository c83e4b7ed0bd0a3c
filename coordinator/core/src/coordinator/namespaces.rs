//! Namespaces: what each may use, and what it uses.

use std::collections::BTreeMap;

use super::Coordinator;
use crate::device::PerKind;
use crate::effect::{Effects, NamespaceError, Record};
use crate::gang::Gang;
use crate::ids::NamespaceName;
use crate::job::JobState;
use crate::namespace::{Limits, Namespace, NamespaceDeletion, NamespaceUpdate, Usage};
use crate::pipeline::{Pipeline, Turn};
use crate::time::MonoTime;

/// How many pipelines of a namespace are not over.
#[derive(Debug, Default)]
pub(super) struct Tally {
    open: u32,
    /// Those of them in which some job has had slots.
    begun: u32,
}

impl Coordinator {
    /// Every namespace, by name.
    pub fn namespaces(&self) -> impl DoubleEndedIterator<Item = &Namespace> {
        self.namespaces.values()
    }

    /// The namespace of that name.
    pub fn namespace(&self, name: &NamespaceName) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// What every namespace uses that has a pipeline which is not over, or that there is.
    pub fn usage(&self) -> BTreeMap<NamespaceName, Usage> {
        let used = self.used();
        let names = self.namespaces.keys().chain(self.tallies.keys());
        names
            .map(|name| {
                let used = used.get(name).copied().unwrap_or_default();
                let borrowed = self.limits(name).borrowed(used);
                (name.clone(), Usage { used, borrowed, pending: self.pending(name) })
            })
            .collect()
    }

    /// The namespace as an update that is asked for now would leave it. Nothing is changed.
    ///
    /// # Errors
    /// When there is no such namespace and none is to be made, or it has changed since.
    pub fn updated_namespace(&self, now: MonoTime, update: &NamespaceUpdate) -> Result<Namespace, NamespaceError> {
        let name = update.name.clone();
        match self.namespaces.get(&name) {
            Some(namespace) => {
                expect(namespace, update.revision)?;
                Ok(namespace.changed(&update.change))
            }
            None if update.create => {
                Ok(Namespace { revision: first_revision(now), ..Namespace::new(name).changed(&update.change) })
            }
            None => Err(NamespaceError::Unknown { name }),
        }
    }

    /// The namespace that a deletion is about, if it may be deleted now. Nothing is changed.
    ///
    /// # Errors
    /// When there is no such namespace, it has changed since, or it is needed.
    pub fn deletable_namespace(&self, deletion: &NamespaceDeletion) -> Result<&Namespace, NamespaceError> {
        let name = deletion.name.clone();
        let Some(namespace) = self.namespaces.get(&name) else { return Err(NamespaceError::Unknown { name }) };
        expect(namespace, deletion.revision)?;
        if name == NamespaceName::default() {
            return Err(NamespaceError::Default { name });
        }
        match self.tallies.get(&name) {
            Some(tally) => Err(NamespaceError::InUse { name, open: tally.open }),
            None => Ok(namespace),
        }
    }

    pub(super) fn update_namespace(
        &mut self,
        now: MonoTime,
        update: &NamespaceUpdate,
        effects: &mut Effects,
    ) -> Result<Namespace, NamespaceError> {
        let updated = self.updated_namespace(now, update)?;
        if self.namespaces.get(&update.name) != Some(&updated) {
            effects.persist.push(Record::Namespace(updated.clone()));
            self.namespaces.insert(update.name.clone(), updated.clone());
        }
        Ok(updated)
    }

    pub(super) fn delete_namespace(
        &mut self,
        deletion: &NamespaceDeletion,
        effects: &mut Effects,
    ) -> Result<Namespace, NamespaceError> {
        let namespace = self.deletable_namespace(deletion)?.clone();
        effects.persist.push(Record::NamespaceDeleted { namespace: namespace.name.clone() });
        self.namespaces.remove(&namespace.name);
        Ok(namespace)
    }

    /// What a namespace may use. One that has no record any more has no limits: its pipelines were accepted once.
    pub(super) fn limits(&self, name: &NamespaceName) -> Limits {
        self.namespaces.get(name).map(|namespace| namespace.limits).unwrap_or_default()
    }

    /// The slots that each namespace holds.
    pub(super) fn used(&self) -> BTreeMap<NamespaceName, PerKind<u32>> {
        self.by_namespace(|state| state.gang().map(Gang::holds))
    }

    /// Those of them that come back without another word: what holds them is stopping.
    pub(super) fn returning(&self) -> BTreeMap<NamespaceName, PerKind<u32>> {
        self.by_namespace(|state| match state {
            JobState::Stopping { gang, .. } => Some(gang.holds()),
            JobState::Running(gang) => Some(PerKind::count(gang.leaving().map(|(_, member, _)| member.device))),
            JobState::Waiting(_) | JobState::Over { .. } => None,
        })
    }

    /// What some slots of its jobs add up to, for each namespace that has any such.
    fn by_namespace(&self, slots: impl Fn(&JobState) -> Option<PerKind<u32>>) -> BTreeMap<NamespaceName, PerKind<u32>> {
        let mut sums: BTreeMap<NamespaceName, PerKind<u32>> = BTreeMap::new();
        for pipeline in self.begun.iter().filter_map(|turn| self.pipelines.get(&turn.number)) {
            let held = pipeline.jobs.iter().filter_map(|job| slots(&job.state));
            let held = held.fold(PerKind::default(), PerKind::plus);
            if held != PerKind::default() {
                match sums.get_mut(&pipeline.namespace) {
                    Some(sum) => *sum = sum.plus(held),
                    None => {
                        sums.insert(pipeline.namespace.clone(), held);
                    }
                }
            }
        }
        sums
    }

    /// How many pipelines of a namespace wait for their first slot.
    pub(super) fn pending(&self, name: &NamespaceName) -> u32 {
        self.tallies.get(name).map_or(0, |tally| tally.open.saturating_sub(tally.begun))
    }

    /// A pipeline is queued.
    pub(super) fn opened(&mut self, pipeline: &Pipeline) {
        if self.open.insert(pipeline.turn()) {
            self.tallies.entry(pipeline.namespace.clone()).or_default().open += 1;
            self.due.extend(pipeline.due().map(|at| (at, pipeline.number)));
        }
    }

    /// Some job of a pipeline has slots.
    pub(super) fn began(&mut self, turn: Turn, namespace: &NamespaceName) {
        if self.begun.insert(turn) {
            self.tallies.entry(namespace.clone()).or_default().begun += 1;
        }
    }

    /// A pipeline is over. Says whether it was not before.
    pub(super) fn closed(&mut self, turn: Turn) -> bool {
        let (was_open, had_begun) = (self.open.remove(&turn), self.begun.remove(&turn));
        let Some(pipeline) = self.pipelines.get(&turn.number).filter(|_| was_open) else { return was_open };
        if let Some(at) = pipeline.due() {
            self.due.remove(&(at, pipeline.number));
        }
        if let Some(tally) = self.tallies.get_mut(&pipeline.namespace) {
            tally.open -= 1;
            tally.begun -= u32::from(had_begun);
            if tally.open == 0 {
                self.tallies.remove(&pipeline.namespace);
            }
        }
        was_open
    }
}

/// The revision that a new namespace begins with: beyond those of an earlier one of its name, which had no more changes than
/// milliseconds. Whoever has read that one must not change this one by mistake.
fn first_revision(now: MonoTime) -> u64 {
    u64::try_from(now.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
}

fn expect(namespace: &Namespace, revision: Option<u64>) -> Result<(), NamespaceError> {
    match revision {
        Some(expected) if expected != namespace.revision => {
            Err(NamespaceError::Changed { name: namespace.name.clone(), found: namespace.revision, expected })
        }
        _ => Ok(()),
    }
}
