//! The range of values that an axis shows, and where it has ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// How values are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Scale {
    /// Equal distances are equal differences.
    Linear,
    /// Equal distances are equal ratios.
    Logarithmic,
}

/// One axis. The plotting library lays a chart out by it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Axis {
    title: Option<&'static str>,
    scale: Scale,
    low: f64,
    high: f64,
    /// Whether what is counted comes in wholes, so that no tick stands between them.
    whole: bool,
}

/// Ticks that an axis has room for.
const TICKS: f64 = 6.0;

impl Axis {
    /// From one value to another.
    pub(in crate::report) fn fixed(low: f64, high: f64) -> Self {
        Self { title: None, scale: Scale::Linear, low, high, whole: false }
    }

    /// Just wide enough for the values, which are laid out by their ratios if they are positive and span more than
    /// `ratio`; none when no value is finite.
    pub(in crate::report) fn around(values: impl Iterator<Item = f64>, ratio: f64) -> Option<Self> {
        let (low, high) = extent(values)?;
        let scale = if low > 0.0 && high / low > ratio { Scale::Logarithmic } else { Scale::Linear };
        let mut axis = Self { title: None, scale, low, high, whole: false };
        let (from, to) = (axis.position(low), axis.position(high));
        let margin = if to > from { (to - from) * 0.05 } else { from.abs().max(1.0) * 0.1 };
        (axis.low, axis.high) = (axis.value(from - margin), axis.value(to + margin));
        Some(axis)
    }

    /// From zero to a little above the largest value; none when no value is finite and positive.
    pub(in crate::report) fn from_zero(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (_, high) = extent(values)?;
        (high > 0.0).then(|| Self::fixed(0.0, high * 1.06))
    }

    /// With words under it.
    pub(in crate::report) fn titled(self, title: &'static str) -> Self {
        Self { title: Some(title), ..self }
    }

    /// Of what comes in wholes.
    pub(in crate::report) fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// The words under it.
    pub(super) fn title(&self) -> Option<&'static str> {
        self.title
    }

    /// Whether values are laid out by their ratios.
    pub(in crate::report) fn is_logarithmic(&self) -> bool {
        self.scale == Scale::Logarithmic
    }

    /// Whether a value lies between the ends.
    pub(in crate::report) fn reaches(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// What is laid out evenly: values, or their decimal logarithms.
    fn position(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.log10(),
        }
    }

    fn value(&self, position: f64) -> f64 {
        match self.scale {
            Scale::Linear => position,
            Scale::Logarithmic => 10f64.powf(position),
        }
    }

    fn ticks(&self) -> Vec<f64> {
        if self.scale == Scale::Logarithmic {
            let ticks = self.ratio_ticks();
            // Less than about one decade has too few round numbers of that kind.
            if ticks.len() >= 3 {
                return ticks;
            }
        }
        self.even_ticks()
    }

    fn label(&self, value: f64) -> String {
        let magnitude = value.abs();
        // A tick that arithmetic puts beside zero.
        if magnitude < (self.high - self.low).abs() * 1e-9 {
            return "0".to_owned();
        }
        // Ticks at equal distances are written alike, as the largest of them.
        let largest = match self.scale {
            Scale::Linear => self.low.abs().max(self.high.abs()),
            Scale::Logarithmic => magnitude,
        };
        if largest >= 1e6 {
            return format!("{}M", trimmed(value / 1e6, 3));
        }
        if largest >= 1e4 {
            return format!("{}k", trimmed(value / 1e3, 3));
        }
        if largest < 1e-3 || (self.scale == Scale::Linear && largest < 2e-3) {
            return format!("{value:.1e}").replace(".0e", "e");
        }
        trimmed(value, 4)
    }

    fn even_ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / TICKS;
        let decade = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|round| round * decade).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * decade).max(if self.whole { 1.0 } else { 0.0 });
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|index| index as f64 * step).collect()
    }

    fn ratio_ticks(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let rounds: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let exponents = (self.low.log10().floor() as i32)..=(self.high.log10().ceil() as i32);
        let all = exponents.flat_map(|exponent| rounds.iter().map(move |round| round * 10f64.powi(exponent)));
        all.filter(|value| (self.low..=self.high).contains(value)).collect()
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let (low, high) = (self.position(self.low), self.position(self.high));
        from + ((self.position(*value) - low) / (high - low) * f64::from(to - from)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        // The library asks a second time for finer lines, of which there are none.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

/// With at most so many decimals, none of them an idle zero.
fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_numbers_inside_the_range() {
        assert_eq!(labels(&Axis::fixed(0.0, 1.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(&Axis::fixed(0.0, 23_000.0)), ["0", "5k", "10k", "15k", "20k"]);
        assert_eq!(labels(&Axis::fixed(0.0, 1.05e-3)), ["0", "2e-4", "4e-4", "6e-4", "8e-4", "1e-3"]);
        assert_eq!(labels(&Axis::fixed(0.0, 3e-3)), ["0", "0.0005", "0.001", "0.0015", "0.002", "0.0025", "0.003"]);
    }

    #[test]
    fn no_tick_stands_between_wholes() {
        assert_eq!(labels(&Axis::fixed(1.0, 4.0).whole()), ["1", "2", "3", "4"]);
        assert_eq!(labels(&Axis::fixed(0.0, 80.0).whole()), labels(&Axis::fixed(0.0, 80.0)));
    }

    #[test]
    fn a_wide_ratio_is_laid_out_by_ratios() {
        let axis = Axis::around([0.02, 1.0].into_iter(), 5.0).unwrap();
        assert!(axis.is_logarithmic());
        assert_eq!(labels(&axis), ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
        assert!(!Axis::around([0.5, 1.0].into_iter(), 5.0).unwrap().is_logarithmic());
        assert!(!Axis::around([0.0, 1.0].into_iter(), 5.0).unwrap().is_logarithmic());
    }

    #[test]
    fn one_value_still_gives_a_range_and_no_value_none() {
        let axis = Axis::around(std::iter::once(3.0), 5.0).unwrap();
        assert!(axis.low < 3.0 && 3.0 < axis.high);
        assert_eq!(Axis::around([f64::NAN, f64::INFINITY].into_iter(), 5.0), None);
        assert_eq!(Axis::from_zero([0.0].into_iter()), None);
    }
}
