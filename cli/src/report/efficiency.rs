//! Runs that were repeated: the mean and the spread of their scores, against the share of labels that they learned from.

use maud::{Markup, html};

use super::ReportError;
use super::chart::{Axis, Chart, Mark, Shape, Stroke, figure};
use super::comparison::{Comparison, Entry, Finetuned, inks};
use super::number;
use super::palette::Ink;
use super::series::Point;
use super::table::{Cell, Table, Tables};

/// Shares of labels that differ by more than this factor are drawn by ratios.
const RATIO: f64 = 4.0;
/// The settings that runs of one series may differ in.
const SEED: &str = "seed";
const LABEL_FRACTION: &str = "label_fraction";

/// Runs that differ by nothing but the seed and the share of labels.
struct Series<'c, 'r, R> {
    name: String,
    ink: Ink,
    /// By their shares of labels, from the smallest.
    groups: Vec<Group<'c, 'r, R>>,
}

/// Runs that differ by nothing but the seed.
struct Group<'c, 'r, R> {
    fraction: f64,
    runs: Vec<&'c Entry<'r, R>>,
}

/// What scores have in common.
struct Summary {
    mean: f64,
    /// Of a sample; none of one run.
    deviation: Option<f64>,
    low: f64,
    high: f64,
}

/// The score that a page is opened for.
pub(super) struct Headline {
    /// What its runs are called.
    pub(super) name: String,
    /// The mean over the runs with the most labels.
    pub(super) score: f64,
    pub(super) runs: usize,
    pub(super) is_baseline: bool,
    /// The same of the first runs from random weights, unless it is theirs.
    pub(super) baseline: Option<f64>,
}

impl<R: Finetuned> Comparison<'_, R> {
    /// The score of the first runs from pre-trained weights, or of the first. No single one is picked where runs were repeated: the
    /// luckiest would do for the rest.
    pub(super) fn headline(&self) -> Option<Headline> {
        let series = series(self);
        let is_baseline = |series: &&Series<'_, '_, R>| series.groups[0].runs[0].is_baseline();
        let lead = series.iter().find(|series| !is_baseline(series)).or(series.first())?;
        let most = |series: &Series<'_, '_, R>| Some(series.groups.last()?.summary()?.mean);
        let baseline = series.iter().find(is_baseline).filter(|_| !is_baseline(&lead)).and_then(most);
        Some(Headline {
            name: lead.name.clone(),
            score: most(lead)?,
            runs: lead.groups.last()?.runs.len(),
            is_baseline: is_baseline(&lead),
            baseline,
        })
    }

    /// One run of each series, with the most labels: what is worth a closer look than a score.
    pub(super) fn representatives(&self) -> Self {
        let chosen =
            series(self).into_iter().filter_map(|series| series.groups.into_iter().last()?.runs.into_iter().next());
        Self::coloured(chosen.map(|entry| (entry.name, entry.run)).collect())
    }
}

/// Draws the scores of runs of which some were repeated; nothing where none was.
pub(super) fn part<R: Finetuned>(comparison: &Comparison<'_, R>, tables: &mut Tables) -> Result<Markup, ReportError> {
    let series = series(comparison);
    if series.len() == comparison.entries.len() {
        return Ok(html! {});
    }
    let summary = summaries(&series);
    let body = html! {
        h3 { "Scores over seeds and shares of labels" }
        p.lead {
            (R::SCORE) " on test of " (number::counted(comparison.entries.len() as u64, "run")) "; " (comparison.frames())
            ". The runs shown below are those with the most labels, the first of each row."
        }
        (summary.to_html())
        @if let Some(chart) = chart(&series)? { div.figures { (chart) } }
    };
    tables.add(summary);
    tables.add(single_runs(&series));
    Ok(body)
}

fn setting<'r, R: Finetuned>(run: &'r R, wanted: &str) -> Option<&'r str> {
    run.settings().iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str())
}

/// The share of labels; all of them in results that do not say.
fn fraction<R: Finetuned>(run: &R) -> f64 {
    setting(run, LABEL_FRACTION).and_then(|text| text.parse().ok()).unwrap_or(1.0)
}

fn is_same_series<R: Finetuned>(one: &R, other: &R) -> bool {
    let rest = |run: &R| {
        let kept = run.settings().iter().filter(|(key, _)| key != SEED && key != LABEL_FRACTION);
        kept.cloned().collect::<Vec<_>>()
    };
    one.init() == other.init() && one.best_epoch().1 == other.best_epoch().1 && rest(one) == rest(other)
}

/// The series of a comparison, in the order of their first runs. Runs of other settings are series of their own.
fn series<'c, 'r, R: Finetuned>(comparison: &'c Comparison<'r, R>) -> Vec<Series<'c, 'r, R>> {
    let mut all: Vec<Vec<&Entry<'r, R>>> = Vec::new();
    for entry in &comparison.entries {
        match all.iter_mut().find(|runs| is_same_series(runs[0].run, entry.run)) {
            Some(runs) => runs.push(entry),
            None => all.push(vec![entry]),
        }
    }
    let inks = inks(all.iter().map(|runs| runs[0].run));
    all.into_iter()
        .zip(inks)
        .map(|(runs, ink)| Series { name: common_name(&runs), ink, groups: groups(runs) })
        .collect()
}

fn groups<'c, 'r, R: Finetuned>(runs: Vec<&'c Entry<'r, R>>) -> Vec<Group<'c, 'r, R>> {
    let mut groups: Vec<Group<'c, 'r, R>> = Vec::new();
    for entry in runs {
        let fraction = fraction(entry.run);
        match groups.iter_mut().find(|group| group.fraction == fraction) {
            Some(group) => group.runs.push(entry),
            None => groups.push(Group { fraction, runs: vec![entry] }),
        }
    }
    groups.sort_by(|one, other| one.fraction.total_cmp(&other.fraction));
    groups
}

/// What the names of runs begin with in common, by whole words.
fn common_name<R>(runs: &[&Entry<'_, R>]) -> String {
    let words = |name: &str| name.split('-').map(str::to_owned).collect::<Vec<_>>();
    let mut common = words(runs[0].name);
    for entry in runs {
        let same = common.iter().zip(words(entry.name)).take_while(|(one, other)| *one == other).count();
        common.truncate(same);
    }
    if common.is_empty() { runs[0].name.to_owned() } else { common.join("-") }
}

impl<R: Finetuned> Group<'_, '_, R> {
    /// None without a single score.
    fn summary(&self) -> Option<Summary> {
        let scores: Vec<f64> = self.runs.iter().filter_map(|entry| entry.run.score()).collect();
        let count = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / count;
        let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
        let low = scores.iter().copied().min_by(f64::total_cmp)?;
        let high = scores.iter().copied().max_by(f64::total_cmp)?;
        Some(Summary { mean, deviation: (count > 1.0).then(|| (squares / (count - 1.0)).sqrt()), low, high })
    }
}

fn summaries<R: Finetuned>(series: &[Series<'_, '_, R>]) -> Table {
    let score = format!("mean {}", R::SCORE);
    let columns = ["runs", "first weights", "labels", "seeds", &score, "s.d.", "lowest", "highest"];
    let mut table = Table::new(format!("{}-by-labels", R::TASK), &columns);
    for series in series {
        for group in &series.groups {
            let summary = group.summary();
            let of = |value: fn(&Summary) -> Option<f64>| Cell::number(summary.as_ref().and_then(value), number::score);
            table.push(vec![
                Cell::text(&series.name),
                Cell::text(group.runs[0].start()),
                Cell::number(group.fraction, number::per_cent),
                Cell::count(group.runs.len() as u64),
                of(|summary| Some(summary.mean)),
                of(|summary| summary.deviation),
                of(|summary| Some(summary.low)),
                of(|summary| Some(summary.high)),
            ]);
        }
    }
    table
}

fn single_runs<R: Finetuned>(series: &[Series<'_, '_, R>]) -> Table {
    let columns = ["run", "first weights", "labels", "seed", R::SCORE];
    let mut table = Table::new(format!("{}-by-seed", R::TASK), &columns);
    for group in series.iter().flat_map(|series| &series.groups) {
        for entry in &group.runs {
            table.push(vec![
                Cell::text(entry.name),
                Cell::text(entry.start()),
                Cell::number(group.fraction, number::per_cent),
                Cell::text(setting(entry.run, SEED).unwrap_or_default()),
                Cell::number(entry.run.score(), number::score),
            ]);
        }
    }
    table
}

/// The course of each series over the shares of labels; none where there is one share only.
fn chart<R: Finetuned>(series: &[Series<'_, '_, R>]) -> Result<Option<Markup>, ReportError> {
    let groups = || series.iter().flat_map(|series| &series.groups);
    let one_share = groups().all(|group| Some(group.fraction) == groups().next().map(|first| first.fraction));
    let scores = groups().filter_map(Group::summary).flat_map(|summary| [summary.low, summary.high]);
    let (Some(x), Some(y)) =
        (Axis::around(groups().map(|group| group.fraction * 100.0), RATIO), Axis::around(scores, f64::INFINITY))
    else {
        return Ok(None);
    };
    if one_share {
        return Ok(None);
    }
    let (mut marks, mut legend) = (Vec::new(), Vec::new());
    for series in series {
        let course = |of: fn(&Summary) -> f64| -> Vec<Point> {
            series.groups.iter().filter_map(|group| Some((group.fraction * 100.0, of(&group.summary()?)))).collect()
        };
        if series.groups.iter().any(|group| group.runs.len() > 1) {
            marks.push(Mark::Line(course(|summary| summary.low), series.ink, Stroke::Faint));
            marks.push(Mark::Line(course(|summary| summary.high), series.ink, Stroke::Faint));
        }
        marks.push(Mark::Line(course(|summary| summary.mean), series.ink, Stroke::Strong));
        legend.push((series.ink, Stroke::Strong, format!("{}: {}", series.name, series.groups[0].runs[0].start())));
    }
    let label = format!("{} over the share of labels", R::SCORE);
    let by_ratio = if x.is_logarithmic() { "; the shares logarithmic" } else { "" };
    let x = x.titled("training patients with labels, %");
    let drawn = Chart { label, shape: Shape::Wide, x, y, marks }.draw()?;
    let about = format!("{} on test: the mean over seeds, and the lowest and the highest{by_ratio}", R::SCORE);
    Ok(Some(figure("Label efficiency", about, &legend, &drawn)))
}
