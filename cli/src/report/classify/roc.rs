//! Receiver operating characteristics, overlaid.

use maud::{Markup, html};
use vismae_shards::runs::{ClassCurve, ClassifyResults};

use super::super::ReportError;
use super::super::chart::{Axis, Chart, Mark, Shape, Stroke, figure};
use super::super::comparison::{Comparison, Entry};
use super::super::number;
use super::super::palette::Ink;
use super::super::series::Point;
use super::super::table::{Cell, Table};

/// False positive rates at which curves are averaged.
const GRID: usize = 200;

/// Two classes share one curve.
pub(super) fn chart_of_two(comparison: &Comparison<'_, ClassifyResults>) -> Result<Markup, ReportError> {
    let classes = &comparison.lead().run.classes;
    let Some(positive) = classes.last() else { return Ok(html! {}) };
    chart(&format!("ROC, {positive}"), Shape::Small, comparison, |run| {
        of_class(run, positive).map(|curve| (points(curve), run.auc))
    })
}

/// The mean of the classes, and each class against the rest.
pub(super) fn charts_of_many(comparison: &Comparison<'_, ClassifyResults>) -> Result<Markup, ReportError> {
    let mean_of_classes = chart("ROC, mean of classes", Shape::Small, comparison, |run| {
        mean(&run.curves).map(|points| (points, run.auc))
    });
    Ok(html! {
        (mean_of_classes?)
        @for class in &comparison.lead().run.classes {
            (chart(&format!("ROC, {class}"), Shape::Small, comparison, |run| {
                of_class(run, class).map(|curve| (points(curve), Some(curve.auc)))
            })?)
        }
    })
}

/// All points of all curves of a run.
pub(super) fn table(entry: &Entry<'_, ClassifyResults>) -> Table {
    let mut table = Table::new("roc", &["run", "class", "false positive rate", "true positive rate"]);
    for curve in &entry.run.curves {
        for [false_positive, true_positive] in &curve.roc {
            table.push(vec![
                Cell::text(entry.name),
                Cell::text(&curve.class),
                Cell::number(*false_positive, number::score),
                Cell::number(*true_positive, number::score),
            ]);
        }
    }
    table
}

fn chart(
    title: &str,
    shape: Shape,
    comparison: &Comparison<'_, ClassifyResults>,
    curve: impl Fn(&ClassifyResults) -> Option<(Vec<Point>, Option<f64>)>,
) -> Result<Markup, ReportError> {
    let mut marks = vec![Mark::Line(vec![(0.0, 0.0), (1.0, 1.0)], Ink::Guide, Stroke::Faint)];
    let mut legend = Vec::new();
    // The lead lies on top.
    for entry in comparison.entries.iter().rev() {
        let Some((points, auc)) = curve(entry.run) else { continue };
        let auc = auc.map_or_else(|| number::ABSENT.to_owned(), number::score);
        legend.insert(0, (entry.ink, Stroke::Strong, format!("{}, AUC {auc}", entry.name)));
        marks.push(Mark::Line(points, entry.ink, Stroke::Strong));
    }
    if legend.is_empty() {
        return Ok(html! {});
    }
    let chart = Chart {
        label: format!("{title}: true positive rate over false positive rate"),
        shape,
        x: Axis::fixed(0.0, 1.0).titled("false positive rate"),
        y: Axis::fixed(0.0, 1.0),
        marks,
    };
    Ok(figure(title, "True positive rate", &legend, &chart.draw()?))
}

fn of_class<'r>(run: &'r ClassifyResults, class: &str) -> Option<&'r ClassCurve> {
    run.curves.iter().find(|curve| curve.class == class)
}

fn points(curve: &ClassCurve) -> Vec<Point> {
    curve.roc.iter().map(|[x, y]| (*x, *y)).collect()
}

/// The mean true positive rate of the curves at each false positive rate.
fn mean(curves: &[ClassCurve]) -> Option<Vec<Point>> {
    if curves.is_empty() {
        return None;
    }
    let at = |x: f64| curves.iter().map(|curve| height(&curve.roc, x)).sum::<f64>() / curves.len() as f64;
    let grid = (0..=GRID).map(|index| index as f64 / GRID as f64);
    Some(std::iter::once((0.0, 0.0)).chain(grid.map(|x| (x, at(x)))).collect())
}

/// The highest point of a curve at a false positive rate, between its points by a straight line.
fn height(roc: &[[f64; 2]], x: f64) -> f64 {
    let after = roc.partition_point(|point| point[0] <= x);
    match (after.checked_sub(1).and_then(|before| roc.get(before)), roc.get(after)) {
        (Some([x0, y0]), Some([x1, y1])) => y0 + (y1 - y0) * (x - x0) / (x1 - x0),
        (Some([_, y]), None) | (None, Some([_, y])) => *y,
        (None, None) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_lie_on_the_curve_and_on_top_of_its_cliffs() {
        let roc = [[0.0, 0.0], [0.0, 0.5], [0.5, 1.0], [1.0, 1.0]];
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|x| height(&roc, x)), [0.5, 0.75, 1.0, 1.0]);
    }

    #[test]
    fn the_mean_of_a_perfect_and_a_blind_curve_lies_between_them() {
        let curve = |roc: &[[f64; 2]]| ClassCurve { class: String::new(), auc: 0.0, roc: roc.to_vec() };
        let curves = [curve(&[[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), curve(&[[0.0, 0.0], [1.0, 1.0]])];
        let mean = mean(&curves).unwrap();
        assert_eq!((mean[0], mean[1], mean[GRID + 1]), ((0.0, 0.0), (0.0, 0.5), (1.0, 1.0)));
    }
}
