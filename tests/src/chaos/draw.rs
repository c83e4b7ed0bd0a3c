//! Choices that one seed decides.

use super::Fault;

/// A stream of choices.
pub(super) struct Draw {
    stream: blake3::OutputReader,
    deck: Vec<Fault>,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self { stream: blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof(), deck: Vec::new() }
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

    /// The next of a shuffled deck, shuffled anew when all have come.
    pub(super) fn next_fault(&mut self, kinds: &[Fault]) -> Fault {
        if self.deck.is_empty() {
            self.deck = kinds.to_vec();
        }
        let card = self.below(self.deck.len());
        self.deck.swap_remove(card)
    }
}
