//! Choices that one seed decides.

use std::collections::BTreeMap;

use super::Fault;

/// A stream of choices.
pub(super) struct Draw {
    stream: blake3::OutputReader,
    families: Vec<usize>,
    kinds: BTreeMap<usize, Vec<Fault>>,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        let stream = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
        Self { stream, families: Vec::new(), kinds: BTreeMap::new() }
    }

    fn word(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.stream.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.word()) * bound as u128) >> 64) as usize
    }

    /// A number between two others.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.word() as f64 / u64::MAX as f64)
    }

    /// The next family of a shuffled deck, shuffled anew when all have come, and of that family the next kind in the same way.
    pub(super) fn next_fault(&mut self, families: &[&[Fault]]) -> Fault {
        if self.families.is_empty() {
            self.families = (0..families.len()).collect();
        }
        let card = self.below(self.families.len());
        let family = self.families.swap_remove(card);
        let mut left = self.kinds.remove(&family).unwrap_or_default();
        if left.is_empty() {
            left = families[family].to_vec();
        }
        let kind = left.swap_remove(self.below(left.len()));
        self.kinds.insert(family, left);
        kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_comes_as_often_and_within_it_every_kind() {
        let families: [&[Fault]; 2] =
            [&[Fault::KillTrainer], &[Fault::HangTrainer, Fault::HangNode, Fault::PauseTrainer]];
        let drawn = |seed| {
            let mut draw = Draw::new(seed);
            (0..6).map(|_| draw.next_fault(&families)).collect::<Vec<_>>()
        };
        let count = |kind| drawn(3).into_iter().filter(|drawn| *drawn == kind).count();
        assert_eq!(count(Fault::KillTrainer), 3);
        assert_eq!([Fault::HangTrainer, Fault::HangNode, Fault::PauseTrainer].map(count), [1, 1, 1]);
        assert_eq!(drawn(3), drawn(3), "one seed, one history");
        assert!((0..20).any(|seed| drawn(seed) != drawn(3)));
    }
}
