//! Which source values are black and white.

use fast_image_resize::pixels::U16;

/// Values looked at for percentiles, at most: enough to place them within about a tenth of a percent, and quick on any volume.
const SAMPLE_MAX: usize = 1 << 15;

/// The highest level of 16 bits.
pub(super) const WHITE: f64 = u16::MAX as f64;

/// A range of source values that is mapped to the full range of grey.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct GreyRange {
    low: f32,
    high: f32,
}

impl GreyRange {
    /// From black to white. An empty range makes everything up to it black and the rest white.
    pub(super) fn new(low: f32, high: f32) -> Self {
        Self { low, high: high.max(low) }
    }

    /// The range between two percentiles, in 0 to 100, of the finite values. Where both percentiles are one value, as in an
    /// image that is almost all background, the whole range of the values. Rows are of `width` values.
    pub(super) fn of_percentiles(values: &[&[f32]], width: usize, low: f64, high: f64) -> Self {
        let count: usize = values.iter().map(|part| part.len()).sum();
        let stride = count.div_ceil(SAMPLE_MAX).max(1);
        // A stride that shares a factor with the length of a row would look at some columns only.
        let stride = (stride..).find(|&stride| stride == 1 || common_factor(stride, width) == 1).unwrap_or(stride);
        let all = || values.iter().copied().flatten().copied();
        let finite = || all().filter(|value| value.is_finite());
        let mut sample: Vec<i32> = all().step_by(stride).filter(|value| value.is_finite()).map(ordered).collect();
        if sample.is_empty() {
            sample = finite().map(ordered).collect();
        }
        let (low, high) = (percentile(&mut sample, low), percentile(&mut sample, high));
        if low < high {
            return Self::new(low, high);
        }
        Self::new(finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max))
    }

    /// Black and white.
    pub(super) fn bounds(self) -> [f32; 2] {
        [self.low, self.high]
    }

    /// The levels of values, of 16 bits. A value that is no number is black, inverted or not; an empty range is.
    pub(super) fn levels(self, values: &[f32], inverted: bool) -> Vec<U16> {
        // In double precision the width of a range of any two finite values is finite.
        let (low, width) = (f64::from(self.low), f64::from(self.high) - f64::from(self.low));
        let per_unit = if width > 0.0 { WHITE / width } else { 0.0 };
        let (black, per_unit) = if inverted { (WHITE, -per_unit) } else { (0.0, per_unit) };
        let level = |&value: &f32| {
            let level = whole(black + (f64::from(value) - low) * per_unit);
            U16::new(if value.is_finite() { level } else { 0 })
        };
        values.iter().map(level).collect()
    }
}

/// The nearest whole level, of two the even one. The sum has no room for fractions, and its last bits are the level: no call, no
/// branch, and several at a time.
pub(super) fn whole(level: f64) -> u16 {
    const NO_FRACTIONS: f64 = (1u64 << 52) as f64;
    (level.clamp(0.0, WHITE) + NO_FRACTIONS).to_bits() as u16
}

/// The largest whole number that divides both.
fn common_factor(one: usize, other: usize) -> usize {
    if other == 0 { one } else { common_factor(other, one % other) }
}

/// The bits of a float as an integer of the same order, which is faster to compare.
fn ordered(value: f32) -> i32 {
    flip(value.to_bits().cast_signed())
}

fn flip(bits: i32) -> i32 {
    // The magnitude bits of negative numbers count backwards.
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

/// The value below which a share of all lies; reorders the values.
fn percentile(values: &mut [i32], percent: f64) -> f32 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let place = ((percent / 100.0 * last as f64).round() as usize).min(last);
    f32::from_bits(flip(*values.select_nth_unstable(place).1).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl GreyRange {
        fn level(self, value: f32, inverted: bool) -> u16 {
            self.levels(&[value], inverted)[0].0
        }
    }

    #[test]
    fn a_window_maps_its_ends_to_black_and_white_and_clamps() {
        let range = GreyRange::new(-1000.0, 1000.0);
        assert_eq!(range.level(-1000.0, false), 0);
        assert_eq!(range.level(0.0, false), 32768);
        assert_eq!(range.level(1000.0, false), u16::MAX);
        assert_eq!(range.level(5000.0, false), u16::MAX);
        assert_eq!(range.level(-5000.0, true), u16::MAX);
    }

    #[test]
    fn what_is_no_number_is_black() {
        let range = GreyRange::new(0.0, 1.0);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(range.level(value, false), 0);
            assert_eq!(range.level(value, true), 0);
        }
    }

    #[test]
    fn percentiles_leave_outliers_and_nan_aside() {
        let mut values: Vec<f32> = (0..=1000u16).map(f32::from).collect();
        values.extend([f32::NAN, 1e30]);
        let range = GreyRange::of_percentiles(&[&values], 1, 1.0, 99.0);
        assert_eq!((range.low, range.high), (10.0, 991.0));
    }

    #[test]
    fn a_constant_image_is_black_and_divides_nothing_by_zero() {
        let range = GreyRange::of_percentiles(&[&[7.0; 9]], 1, 0.5, 99.5);
        assert_eq!(range.level(7.0, false), 0);
    }

    #[test]
    fn a_speck_on_black_is_not_lost() {
        let mut values = vec![0.0; 10_000];
        values[17] = 3.0;
        let range = GreyRange::of_percentiles(&[&values], 1, 0.5, 99.5);
        assert_eq!(range.level(3.0, false), u16::MAX);
    }

    #[test]
    fn the_widest_range_does_not_overflow() {
        let range = GreyRange::of_percentiles(&[&[f32::MIN, f32::MAX]], 1, 0.0, 100.0);
        assert_eq!(range.level(f32::MAX, false), u16::MAX);
        assert_eq!(range.level(0.0, false), 32768);
    }

    #[test]
    fn percentiles_look_at_every_column_of_any_volume() {
        // 181 rows of 181, and 181 of them: a stride of 181 would see one column.
        let side = 181;
        let values: Vec<f32> = (0..side * side * side).map(|at| (at % side) as f32).collect();
        let range = GreyRange::of_percentiles(&[&values], side, 1.0, 99.0);
        assert!((range.low - 1.0).abs() < 2.0 && (range.high - 179.0).abs() < 2.0, "{range:?}");
    }
}
