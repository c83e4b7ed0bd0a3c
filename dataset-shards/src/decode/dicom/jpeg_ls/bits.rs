//! The bits of a scan.

/// A byte that the next one is stuffed behind: that one has a zero bit on top, which is no data (A.1).
const STUFFED: u8 = 0xff;
/// Bits that are at hand behind [`Bits::fill`], unless the data end.
pub(super) const FILLED: u32 = 56;

/// Reads the bits of one restart interval. Behind the end come zeros, which are remembered: whoever reads a line asks after it.
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    /// From the highest bit on.
    cache: u64,
    /// How many of the cache are data.
    at_hand: u32,
    is_stuffed: bool,
    is_over: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data, cache: 0, at_hand: 0, is_stuffed: false, is_over: false }
    }

    /// Bits were read that are not there.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whole bytes that were not read.
    pub(super) fn unread_bytes(&self) -> usize {
        self.rest.len() + self.at_hand as usize / 8
    }

    /// Gets at least [`FILLED`] bits into the cache.
    #[inline]
    pub(super) fn fill(&mut self) {
        if self.at_hand >= FILLED {
            return;
        }
        match self.rest.first_chunk::<8>().map(|&eight| u64::from_be_bytes(eight)) {
            Some(eight) if !self.is_stuffed && !holds_stuffed(eight) => {
                // Bits of a byte that fits in part are there twice, and the same.
                self.cache |= eight >> self.at_hand;
                let whole = (63 - self.at_hand) / 8;
                self.rest = &self.rest[whole as usize..];
                self.at_hand += 8 * whole;
            }
            _ => self.fill_bytewise(),
        }
    }

    fn fill_bytewise(&mut self) {
        while self.at_hand <= FILLED {
            let Some((&byte, rest)) = self.rest.split_first() else { return };
            let bits = if self.is_stuffed { 7 } else { 8 };
            self.cache |= u64::from(byte) << (64 - bits - self.at_hand);
            self.at_hand += bits;
            self.is_stuffed = byte == STUFFED;
            self.rest = rest;
        }
    }

    /// Zeros in front of the next one, among the bits in the cache.
    #[inline]
    pub(super) fn zeros(&self) -> u32 {
        self.cache.leading_zeros()
    }

    /// Goes past bits of the cache.
    #[inline]
    pub(super) fn skip(&mut self, count: u32) {
        self.cache = self.cache.unbounded_shl(count);
        self.is_over |= count > self.at_hand;
        self.at_hand = self.at_hand.saturating_sub(count);
    }

    /// A number of at most 32 bits, which must be in the cache.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> u64 {
        let number = self.cache.unbounded_shr(64 - count);
        self.skip(count);
        number
    }
}

/// Whether one of eight bytes is [`STUFFED`]: the subtraction borrows from the top of a byte of the inverse that is zero.
fn holds_stuffed(eight: u64) -> bool {
    let ones = u64::from_ne_bytes([1; 8]);
    (!eight).wrapping_sub(ones) & eight & (ones << 7) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8], widths: &[u32]) -> (Vec<u64>, bool) {
        let mut bits = Bits::new(data);
        let numbers = widths.iter().map(|&width| {
            bits.fill();
            bits.take(width)
        });
        (numbers.collect(), bits.is_over())
    }

    #[test]
    fn the_bit_behind_a_byte_of_ones_is_no_data() {
        assert_eq!(read(&[0xff, 0x7f, 0x80], &[8, 7, 1]), (vec![0xff, 0x7f, 1], false));
        // Far enough from the end to be read eight bytes at a time.
        let mut long = [0x01; 40];
        long[20] = 0xff;
        long[21] = 0x55;
        let widths = [8; 21].into_iter().chain([7, 8]).collect::<Vec<_>>();
        let (numbers, is_over) = read(&long, &widths);
        assert!(numbers[..20].iter().all(|&number| number == 1) && !is_over);
        assert_eq!(numbers[20..], [0xff, 0x55, 0x01]);
    }

    #[test]
    fn zeros_behind_the_end_are_remembered() {
        assert_eq!(read(&[0xab], &[4, 4]), (vec![0xa, 0xb], false));
        assert_eq!(read(&[0xab], &[4, 5]), (vec![0xa, 0x16], true));
        assert_eq!(read(&[], &[0]), (vec![0], false));
    }
}
