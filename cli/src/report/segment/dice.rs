//! How the Dice of single frames is spread.

use maud::{Markup, html};

use super::super::ReportError;
use super::super::chart::{Axis, Chart, Mark, Shape, Stroke, figure};
use super::super::comparison::{Comparison, Entry};
use super::super::gather::Segmented;
use super::super::number;
use super::super::table::{Cell, Table};

/// Bars from 0 to 1.
const BARS: usize = 20;
/// Space left between groups of bars, as a share of a group.
const GAP: f64 = 0.16;

/// What a list of scores looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    /// Of the mean; none for a single score.
    pub(super) standard_error: Option<f64>,
    pub(super) median: f64,
    /// A tenth of the scores are below it.
    pub(super) tenth: f64,
}

impl Spread {
    /// Of finite scores; none when there is none.
    pub(super) fn of(scores: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = scores.iter().copied().filter(|score| score.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let quantile = |share: f64| {
            let at = share * last as f64;
            let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
            low + (high - low) * at.fract()
        };
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        let variance = |free: f64| sorted.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / free;
        let standard_error = (last > 0).then(|| (variance(last as f64) / sorted.len() as f64).sqrt());
        Some(Self { standard_error, median: quantile(0.5), tenth: quantile(0.1) })
    }
}

/// The frames of every run by their Dice, side by side.
pub(super) fn histogram(comparison: &Comparison<'_, Segmented>) -> Result<Markup, ReportError> {
    let runs: Vec<_> = comparison.entries.iter().filter(|entry| !entry.run.results.dice_per_image.is_empty()).collect();
    let counts: Vec<[u64; BARS]> = runs.iter().map(|entry| bin(&entry.run.results.dice_per_image)).collect();
    let Some(y) = Axis::from_zero(counts.iter().flatten().map(|&frames| frames as f64)) else {
        return Ok(html! { p.note { "No test frame has a mask to compare with." } });
    };
    let width = (1.0 - GAP) / runs.len() as f64;
    let bars = |index: usize, counts: &[u64; BARS]| {
        let left = |bar: usize| (bar as f64 + GAP / 2.0 + width * index as f64) / BARS as f64;
        let bar = |(bar, &frames): (usize, &u64)| (left(bar), left(bar) + width / BARS as f64, frames as f64);
        counts.iter().enumerate().map(bar).collect::<Vec<_>>()
    };
    let marks = runs.iter().zip(&counts).enumerate();
    let marks = marks.map(|(index, (entry, counts))| Mark::Bars(bars(index, counts), entry.ink)).collect();
    let chart = Chart {
        label: "test frames by their Dice".to_owned(),
        shape: Shape::Wide,
        x: Axis::fixed(0.0, 1.0).titled("Dice"),
        y,
        marks,
    };
    let legend: Vec<_> = runs.iter().map(|entry| (entry.ink, Stroke::Strong, entry.label())).collect();
    Ok(figure("Dice of single frames", "Number of test frames; further right is better", &legend, &chart.draw()?))
}

/// One row for each frame.
pub(super) fn table(entry: &Entry<'_, Segmented>) -> Table {
    let mut table = Table::new("dice", &["run", "frame", "Dice"]);
    for (index, dice) in entry.run.results.dice_per_image.iter().enumerate() {
        table.push(vec![Cell::text(entry.name), Cell::count(index as u64), Cell::number(*dice, number::score)]);
    }
    table
}

fn bin(scores: &[f64]) -> [u64; BARS] {
    let mut bars = [0; BARS];
    for score in scores.iter().filter(|score| score.is_finite()) {
        bars[((score.clamp(0.0, 1.0) * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_range_fall_into_the_first_and_the_last_bar() {
        let bars = bin(&[0.0, 1.0, 0.999, f64::NAN]);
        assert_eq!((bars[0], bars[BARS - 1], bars.iter().sum::<u64>()), (1, 2, 3));
    }

    #[test]
    fn the_spread_of_four_scores_is_known() {
        let spread = Spread::of(&[0.4, 0.1, 0.2, 0.3]).unwrap();
        assert!((spread.median - 0.25).abs() < 1e-12 && (spread.tenth - 0.13).abs() < 1e-12, "{spread:?}");
        assert!((spread.standard_error.unwrap() - 0.064_549_722).abs() < 1e-6);
        assert_eq!(Spread::of(&[f64::NAN]), None);
        assert_eq!(Spread::of(&[0.5]).unwrap().standard_error, None);
    }
}
