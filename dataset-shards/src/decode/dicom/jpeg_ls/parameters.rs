//! The numbers that the coding of a scan depends on: C.2.4.1.1 and A.2.1 of the standard.

use super::Fault;

/// Sides of the regions of gradients that are told apart, for 256 levels.
const BASIC: [i32; 3] = [3, 7, 21];
const BASIC_RESET: u32 = 64;

/// What a segment of preset parameters says; a zero stands for the default.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Preset {
    pub(super) maximum: u16,
    pub(super) thresholds: [u16; 3],
    pub(super) reset: u16,
}

/// The parameters of a scan.
#[derive(Debug)]
pub(super) struct Parameters {
    /// Largest sample.
    pub(super) maximum: i32,
    /// Largest difference of a sample from what was encoded.
    pub(super) near: i32,
    /// Distance of the errors that are told apart.
    pub(super) step: i32,
    /// How many errors are told apart.
    pub(super) range: i32,
    /// Bits that number them.
    pub(super) range_bits: u32,
    /// Longest code, in bits.
    pub(super) limit: u32,
    /// Samples of a context after which its sums are halved.
    pub(super) reset: u32,
    /// The region of each gradient, -4 to 4, from the lowest one that is told apart on.
    regions: Vec<i8>,
    /// Gradients beyond this belong to the outermost regions.
    reach: i32,
}

impl Parameters {
    pub(super) fn new(bits: u8, near: u8, preset: Preset) -> Result<Self, Fault> {
        let largest = (1 << bits) - 1;
        let maximum = if preset.maximum == 0 { largest } else { preset.maximum.into() };
        let near = i32::from(near);
        if maximum > largest || near > (maximum / 2).min(255) {
            return Err(Fault::Malformed);
        }
        let defaults = default_thresholds(maximum, near);
        let [one, two, three] = std::array::from_fn(|at| match preset.thresholds[at] {
            0 => defaults[at],
            threshold => threshold.into(),
        });
        let reset = if preset.reset == 0 { BASIC_RESET } else { preset.reset.into() };
        let is_ordered = near < one && one <= two && two <= three && three <= maximum.max(near + 1);
        if !is_ordered || !(3..=255.max(maximum.unsigned_abs())).contains(&reset) {
            return Err(Fault::Malformed);
        }
        let step = 2 * near + 1;
        let range = (maximum + 2 * near) / step + 1;
        let sample_bits = bits_for(maximum + 1).max(2);
        let region = |gradient: i32| {
            let magnitude = match gradient.abs() {
                size if size <= near => 0,
                size if size < one => 1,
                size if size < two => 2,
                size if size < three => 3,
                _ => 4,
            };
            if gradient < 0 { -magnitude } else { magnitude }
        };
        Ok(Self {
            maximum,
            near,
            step,
            range,
            range_bits: bits_for(range),
            limit: 2 * (sample_bits + sample_bits.max(8)),
            reset,
            regions: (-three..=three).map(region).collect(),
            reach: three,
        })
    }

    /// The region of a gradient.
    #[inline]
    pub(super) fn region(&self, gradient: i32) -> i32 {
        let at = gradient.clamp(-self.reach, self.reach) + self.reach;
        self.regions.get(at as usize).copied().unwrap_or_default().into()
    }

    /// The context of a sample: of the gradients from above to the right above, from the left above to above, and from the left
    /// to the left above.
    #[inline]
    pub(super) fn context(&self, left: i32, above: i32, left_above: i32, right_above: i32) -> i32 {
        let [one, two, three] = [right_above - above, above - left_above, left_above - left];
        81 * self.region(one) + 9 * self.region(two) + self.region(three)
    }
}

/// Bits that number so many values.
fn bits_for(values: i32) -> u32 {
    values.unsigned_abs().next_power_of_two().trailing_zeros()
}

fn default_thresholds(maximum: i32, near: i32) -> [i32; 3] {
    let clamp = |threshold: i32, low: i32| if threshold > maximum || threshold < low { low } else { threshold };
    let [one, two, three] = BASIC;
    let raw = if maximum >= 128 {
        let factor = (maximum.min(4095) + 128) / 256;
        [factor * (one - 2) + 2 + 3 * near, factor * (two - 3) + 3 + 5 * near, factor * (three - 4) + 4 + 7 * near]
    } else {
        let factor = 256 / (maximum + 1);
        [(one / factor + 3 * near).max(2), (two / factor + 5 * near).max(3), (three / factor + 7 * near).max(4)]
    };
    let one = clamp(raw[0], near + 1);
    let two = clamp(raw[1], one);
    [one, two, clamp(raw[2], two)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bits: u8, near: u8) -> Parameters {
        Parameters::new(bits, near, Preset::default()).unwrap()
    }

    #[test]
    fn parameters_are_those_that_the_standard_lists() {
        // Table C.3: default thresholds of 8, 12 and 16 bits.
        assert_eq!(default_thresholds(255, 0), [3, 7, 21]);
        assert_eq!(default_thresholds(4095, 0), [18, 67, 276]);
        assert_eq!(default_thresholds(65535, 0), [18, 67, 276]);
        let (eight, sixteen, near) = (of(8, 0), of(16, 0), of(8, 3));
        assert_eq!((eight.range, eight.range_bits, eight.limit), (256, 8, 32));
        assert_eq!((sixteen.range, sixteen.range_bits, sixteen.limit), (65536, 16, 64));
        assert_eq!((near.range, near.range_bits, near.step), (38, 6, 7));
    }

    #[test]
    fn gradients_fall_into_nine_regions() {
        let eight = of(8, 0);
        let regions =
            [-255, -21, -20, -7, -3, -1, 0, 1, 2, 3, 6, 7, 20, 21, 255].map(|gradient| eight.region(gradient));
        assert_eq!(regions, [-4, -4, -3, -3, -2, -1, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    }

    #[test]
    fn parameters_that_contradict_each_other_are_refused() {
        let preset = |maximum, thresholds, reset| Preset { maximum, thresholds, reset };
        for (bits, near, preset) in [
            (8, 0, preset(256, [0; 3], 0)),
            (8, 200, Preset::default()),
            (8, 0, preset(0, [9, 5, 21], 0)),
            (8, 0, preset(0, [0, 0, 300], 0)),
            (8, 0, preset(0, [0; 3], 2)),
            (8, 0, preset(0, [0; 3], 999)),
        ] {
            assert_eq!(Parameters::new(bits, near, preset).err(), Some(Fault::Malformed), "{preset:?}");
        }
    }
}
