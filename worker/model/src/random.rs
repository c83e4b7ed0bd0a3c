//! Randomness without a stream: the same key always gives the same numbers, in whatever order they are asked for.

/// A 64-bit name for a random choice, derived step by step from what the choice may depend on.
///
/// ```
/// use vismae_model::Key;
///
/// let seed = Key::root(17);
/// let of_the_sample = seed.with(3).with(41_000);
/// assert_eq!(of_the_sample, Key::root(17).with(3).with(41_000));
/// assert_ne!(of_the_sample, seed.with(41_000).with(3));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u64);

/// The increment of SplitMix64 (Steele, Lea and Flood 2014): 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Key {
    /// The key of a seed.
    pub const fn root(seed: u64) -> Self {
        Key(finalise(seed.wrapping_add(GOLDEN)))
    }

    /// The key that depends on `word` as well; the order of words matters.
    pub const fn with(self, word: u64) -> Self {
        Key(finalise(self.0.rotate_left(23) ^ finalise(word.wrapping_add(GOLDEN))))
    }

    /// 64 random bits: number `counter` of this key.
    pub const fn bits(self, counter: u64) -> u64 {
        finalise(self.0.wrapping_add(GOLDEN.wrapping_mul(counter.wrapping_add(1))))
    }

    /// A number in [0, 1): number `counter` of this key.
    pub fn unit(self, counter: u64) -> f64 {
        // The 53 bits that a double holds exactly.
        (self.bits(counter) >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A number in [-1, 1): number `counter` of this key.
    pub fn signed_unit(self, counter: u64) -> f64 {
        2.0 * self.unit(counter) - 1.0
    }

    /// A whole number below `bound`: number `counter` of this key. Zero when `bound` is zero.
    pub const fn below(self, counter: u64, bound: u64) -> u64 {
        ((self.bits(counter) as u128 * bound as u128) >> 64) as u64
    }
}

/// The finaliser of SplitMix64, a bijection in which every input bit flips about half of the output bits.
const fn finalise(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_of_neighbouring_words_share_nothing() {
        let keys: BTreeSet<Key> = (0..100).flat_map(|a| (0..100).map(move |b| Key::root(a).with(b))).collect();
        assert_eq!(keys.len(), 10_000);
    }

    #[test]
    fn units_are_uniform() {
        let (mut sum, mut squares) = (0.0, 0.0);
        let count = 20_000;
        for sample in 0..count {
            let unit = Key::root(5).with(sample).unit(0);
            assert!((0.0..1.0).contains(&unit));
            sum += unit;
            squares += unit * unit;
        }
        let mean = sum / count as f64;
        let variance = squares / count as f64 - mean * mean;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.003, "{variance}");
    }

    #[test]
    fn whole_numbers_stay_below_their_bound_and_reach_all_of_it() {
        let seen: BTreeSet<u64> = (0..1000).map(|counter| Key::root(1).below(counter, 7)).collect();
        assert_eq!(seen, (0..7).collect());
        assert_eq!(Key::root(1).below(0, 0), 0);
    }
}
