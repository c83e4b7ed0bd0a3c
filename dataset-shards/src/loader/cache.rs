//! The row groups used last, within a budget of bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::group::DecodedGroup;

/// Least recently used row groups leave first. The one put in last always stays, whatever its size.
pub(super) struct GroupCache {
    budget: usize,
    held: usize,
    clock: u64,
    groups: BTreeMap<u32, (u64, Arc<DecodedGroup>)>,
}

impl GroupCache {
    pub(super) fn new(budget: usize) -> Self {
        Self { budget, held: 0, clock: 0, groups: BTreeMap::new() }
    }

    pub(super) fn get(&mut self, group: u32) -> Option<Arc<DecodedGroup>> {
        self.clock += 1;
        let (used, held) = self.groups.get_mut(&group)?;
        *used = self.clock;
        Some(Arc::clone(held))
    }

    pub(super) fn put(&mut self, group: u32, decoded: Arc<DecodedGroup>) {
        self.clock += 1;
        self.held += decoded.bytes();
        if let Some((_, replaced)) = self.groups.insert(group, (self.clock, decoded)) {
            self.held -= replaced.bytes();
        }
        while self.held > self.budget && self.groups.len() > 1 {
            let oldest = self.groups.iter().min_by_key(|(_, (used, _))| *used).map(|(&group, _)| group);
            let Some((_, evicted)) = oldest.and_then(|group| self.groups.remove(&group)) else { break };
            self.held -= evicted.bytes();
        }
    }
}
