//! Randomness that is a pure function of a key, the same on every machine and in every version.

use vismae_core::ids::Epoch;

use crate::sample::SampleId;

/// Separates these streams from every other use of the same hash.
const CONTEXT: &str = "vismae 2026 order v1";

/// A stream of random words: the extended output of BLAKE3 over the key's parts.
pub(super) struct KeyedStream(blake3::OutputReader);

impl KeyedStream {
    pub(super) fn new(seed: u64, epoch: Epoch, purpose: &str, index: [u64; 2]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&seed.to_le_bytes()).update(&epoch.0.to_le_bytes());
        hasher.update(&index[0].to_le_bytes()).update(&index[1].to_le_bytes());
        hasher.update(purpose.as_bytes());
        Self(hasher.finalize_xof())
    }

    fn word(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `bound`, each as likely as the next up to one part in 2^32: `bound` is at most 2^32.
    fn below(&mut self, bound: u64) -> usize {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as usize
    }

    /// Shuffles in place, every order as likely as the next (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1);
            items.swap(last, other);
        }
    }
}

/// The key of every random choice about one sample in one epoch: its mask, its flip, its augmentation. It depends on nothing
/// else, so a sample is treated alike whichever rank and step it falls to.
pub fn sample_key(seed: u64, epoch: Epoch, sample: &SampleId) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&seed.to_le_bytes()).update(&epoch.0.to_le_bytes()).update(sample.as_bytes()).update(b"sample");
    let mut key = [0; 8];
    hasher.finalize_xof().fill(&mut key);
    u64::from_le_bytes(key)
}
