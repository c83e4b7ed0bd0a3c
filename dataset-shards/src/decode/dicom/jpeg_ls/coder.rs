//! From bits to samples, by contexts: annex A of the standard.

use super::bits::{Bits, FILLED};
use super::parameters::Parameters;

/// Contexts of three gradients, two of opposite signs taken for one.
const CONTEXTS: usize = 365;
/// Most that a prediction is corrected by.
const CORRECTION: std::ops::RangeInclusive<i32> = -128..=127;
/// Bits of the rest of a run, by how well runs went.
const RUN_BITS: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// How well runs went: a place in [`RUN_BITS`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunIndex(usize);

impl RunIndex {
    fn bits(self) -> u32 {
        RUN_BITS[self.0]
    }

    fn raise(&mut self) {
        self.0 = (self.0 + 1).min(RUN_BITS.len() - 1);
    }

    /// Once the samples that end a run are read.
    pub(super) fn lower(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }
}

/// What is known of the samples of a context.
#[derive(Debug, Clone, Copy)]
struct Context {
    /// Sum of the sizes of errors.
    size: u32,
    /// Sum of the errors.
    bias: i32,
    /// By which predictions are corrected.
    correction: i32,
    /// Samples.
    count: u32,
}

/// The same of samples that end a run.
#[derive(Debug, Clone, Copy)]
struct EndContext {
    size: u32,
    count: u32,
    /// Samples with a negative error.
    negative: u32,
}

/// Which sample ends a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// One that the sample above predicts.
    Above,
    /// One that the run predicts, which the sample above does too.
    Run,
}

/// Decodes the samples of one restart interval.
pub(super) struct Coder<'a> {
    parameters: &'a Parameters,
    bits: Bits<'a>,
    contexts: [Context; CONTEXTS],
    ends: [EndContext; 2],
    is_malformed: bool,
}

impl<'a> Coder<'a> {
    pub(super) fn new(parameters: &'a Parameters, data: &'a [u8]) -> Self {
        let size = ((parameters.range.unsigned_abs() + 32) / 64).max(2);
        Self {
            parameters,
            bits: Bits::new(data),
            contexts: [Context { size, bias: 0, correction: 0, count: 1 }; CONTEXTS],
            ends: [EndContext { size, count: 1, negative: 0 }; 2],
            is_malformed: false,
        }
    }

    /// More bits were read than there are.
    pub(super) fn is_over(&self) -> bool {
        self.bits.is_over()
    }

    /// A code was read that no encoder writes.
    pub(super) fn is_malformed(&self) -> bool {
        self.is_malformed
    }

    /// Bytes that were not read.
    pub(super) fn unread_bytes(&self) -> usize {
        self.bits.unread_bytes()
    }

    /// A sample of a context that is not flat, or that other components make not flat (A.4 to A.6).
    #[inline]
    pub(super) fn sample(&mut self, context: i32, left: i32, above: i32, left_above: i32) -> i32 {
        let parameters = self.parameters;
        let (low, high) = (left.min(above), left.max(above));
        let edge = (left + above - left_above).clamp(low, high);
        let sign = if context < 0 { -1 } else { 1 };
        let at = context.unsigned_abs() as usize;
        let of = self.contexts[at];
        let predicted = (edge + sign * of.correction).clamp(0, parameters.maximum);
        let width = width(of.count, of.size);
        let code = self.code(width, parameters.limit);
        // Without a rest to tell them apart, the likelier sign has the shorter codes.
        let is_flipped = parameters.near == 0 && width == 0 && 2 * of.bias <= -of.count.cast_signed();
        let half = (code >> 1).cast_signed();
        let error = if (code & 1 == 1) != is_flipped { -half - 1 } else { half };
        self.contexts[at] = of.after(error, parameters);
        parameters.settle(predicted + sign * error * parameters.step)
    }

    /// Samples that are equal to the one on their left, at most so many (A.7.1).
    pub(super) fn run(&mut self, index: &mut RunIndex, most: usize) -> usize {
        let mut run = 0;
        loop {
            self.bits.fill();
            if self.bits.take(1) == 0 {
                break;
            }
            let part = 1 << index.bits();
            if run + part > most {
                return most;
            }
            run += part;
            index.raise();
            if run == most {
                return most;
            }
        }
        run += self.bits.take(index.bits()) as usize;
        self.is_malformed |= run > most;
        run.min(most)
    }

    /// The sample that ends a run of one component (A.7.2).
    pub(super) fn run_end(&mut self, index: RunIndex, run: i32, above: i32) -> i32 {
        if (run - above).abs() > self.parameters.near {
            return self.run_end_by_above(index, run, above);
        }
        let error = self.end_error(End::Run, index);
        self.parameters.settle(run + error * self.parameters.step)
    }

    /// The sample that ends a run of several components: however close it is, the one above predicts it.
    pub(super) fn run_end_by_above(&mut self, index: RunIndex, run: i32, above: i32) -> i32 {
        let error = self.end_error(End::Above, index);
        let error = if run > above { -error } else { error };
        self.parameters.settle(above + error * self.parameters.step)
    }

    fn end_error(&mut self, end: End, index: RunIndex) -> i32 {
        let (at, is_run) = (usize::from(end == End::Run), u32::from(end == End::Run));
        let of = self.ends[at];
        let width = width(of.count, of.size + is_run * (of.count >> 1));
        let code = self.code(width, self.parameters.limit - index.bits() - 1);
        let odd = (code + is_run) & 1;
        let size = (code + is_run).div_ceil(2);
        let is_negative = (width != 0 || 2 * of.negative >= of.count) == (odd == 1);
        self.ends[at] = of.after(is_negative && size > 0, (code + 1 - is_run) >> 1, self.parameters);
        if is_negative { -size.cast_signed() } else { size.cast_signed() }
    }

    /// A number of Golomb's code whose rest is so wide (A.5.3).
    #[inline]
    fn code(&mut self, width: u32, limit: u32) -> u32 {
        let parameters = self.parameters;
        let longest = limit.saturating_sub(parameters.range_bits + 1);
        self.bits.fill();
        let zeros = self.bits.zeros();
        let code = if zeros < longest {
            self.bits.skip(zeros + 1);
            if zeros + 1 + width > FILLED {
                self.bits.fill();
            }
            u64::from(zeros) << width | self.bits.take(width)
        } else {
            self.is_malformed |= zeros > longest;
            self.bits.skip(longest + 1);
            self.bits.fill();
            self.bits.take(parameters.range_bits) + 1
        };
        // Encoders wrap errors to the range.
        let largest = parameters.range.unsigned_abs();
        self.is_malformed |= code > largest.into();
        u32::try_from(code).unwrap_or(largest).min(largest)
    }
}

impl Context {
    /// A.6.
    #[inline]
    fn after(mut self, error: i32, parameters: &Parameters) -> Self {
        self.bias += error * parameters.step;
        self.size += error.unsigned_abs();
        if self.count == parameters.reset {
            self.size >>= 1;
            self.bias >>= 1;
            self.count >>= 1;
        }
        self.count += 1;
        let count = self.count.cast_signed();
        if self.bias <= -count {
            self.bias = (self.bias + count).max(1 - count);
            self.correction = (self.correction - 1).max(*CORRECTION.start());
        } else if self.bias > 0 {
            self.bias = (self.bias - count).min(0);
            self.correction = (self.correction + 1).min(*CORRECTION.end());
        }
        self
    }
}

impl EndContext {
    /// A.7.2.
    fn after(mut self, is_negative: bool, size: u32, parameters: &Parameters) -> Self {
        self.negative += u32::from(is_negative);
        self.size += size;
        if self.count == parameters.reset {
            self.size >>= 1;
            self.count >>= 1;
            self.negative >>= 1;
        }
        self.count += 1;
        self
    }
}

impl Parameters {
    /// A sample from its prediction and error, which were wrapped to the range (A.4.4 and A.4.5).
    #[inline]
    fn settle(&self, sample: i32) -> i32 {
        let around = self.range * self.step;
        let sample = if sample < -self.near {
            sample + around
        } else if sample > self.maximum + self.near {
            sample - around
        } else {
            sample
        };
        sample.clamp(0, self.maximum)
    }
}

/// The smallest width by which `count` reaches `size`.
#[inline]
fn width(count: u32, size: u32) -> u32 {
    let width = count.leading_zeros().saturating_sub(size.leading_zeros());
    width + u32::from((count << width) < size)
}
