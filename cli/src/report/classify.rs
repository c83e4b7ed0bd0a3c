//! The section on classification: how well classes are told apart, from pre-trained and from random weights.

mod confusion;
mod roc;

use maud::{Markup, html};
use vismae_shards::runs::ClassifyResults;

use super::ReportError;
use super::chart::Shape;
use super::comparison::{Comparison, Entry};
use super::learning;
use super::number;
use super::table::{Cell, Table, Tables};

/// Test sets smaller than this carry a word of caution.
const FEW: u64 = 200;

/// Draws classifiers that saw the same frames.
pub(super) fn section(
    comparison: &Comparison<'_, ClassifyResults>,
    tables: &mut Tables,
) -> Result<Markup, ReportError> {
    let lead = comparison.lead();
    let scores = scores(comparison);
    let losses: Vec<_> =
        comparison.entries.iter().map(|entry| learning::Course::of(entry, &entry.run.losses)).collect();
    let body = html! {
        h3 { (lead.name) }
        p.lead {
            "Which of " (number::counted(lead.run.classes.len() as u64, "class")) " (" (lead.run.classes.join(", "))
            ") a frame belongs to; " (comparison.frames()) "."
        }
        (scores.to_html())
        (caution(lead))
        (comparison.unfinished())
        @if lead.run.classes.len() == 2 {
            div.figures.small {
                (roc::chart_of_two(comparison)?)
                @for entry in &comparison.entries { (confusion::matrix(entry)) }
                (learning::chart(&losses, "Cross entropy", Shape::Small)?)
            }
        } @else {
            div.figures.small { (roc::charts_of_many(comparison)?) }
            (classes_beside_runs(comparison).to_html())
            div.figures.narrow {
                @for entry in &comparison.entries { (confusion::matrix(entry)) }
                (learning::chart(&losses, "Cross entropy", Shape::Square)?)
            }
        }
    };
    tables.add(scores);
    tables.add(by_class(comparison));
    for entry in &comparison.entries {
        tables.add(confusion::table(entry));
        tables.add(roc::table(entry));
    }
    for course in &losses {
        tables.add(course.table());
    }
    Ok(body)
}

fn scores(comparison: &Comparison<'_, ClassifyResults>) -> Table {
    let mut table = Table::new(
        "classification",
        &[
            "run",
            "first weights",
            "AUC",
            "balanced accuracy",
            "accuracy",
            "AUC on val",
            "best epoch",
            "epochs",
            "train frames",
            "val frames",
            "test frames",
            "seconds",
            "images per second",
        ],
    );
    for entry in &comparison.entries {
        let run = entry.run;
        table.push(vec![
            Cell::text(entry.name),
            Cell::text(entry.start()),
            Cell::number(run.auc, number::score),
            Cell::number(run.balanced_accuracy, number::score),
            Cell::number(run.accuracy, number::score),
            Cell::number(run.val_auc, number::score),
            Cell::count(u64::from(run.best_epoch) + 1),
            Cell::count(run.epochs.into()),
            Cell::count(run.train_samples),
            Cell::count(run.val_samples),
            Cell::count(run.test_samples),
            Cell::number(run.seconds, number::significant),
            Cell::number(run.images_per_second, number::significant),
        ]);
    }
    table
}

fn by_class(comparison: &Comparison<'_, ClassifyResults>) -> Table {
    let mut table =
        Table::new("classification-by-class", &["class", "run", "first weights", "AUC", "± s.e.", "test frames"]);
    for (index, class) in comparison.lead().run.classes.iter().enumerate() {
        for entry in &comparison.entries {
            let [auc, error] = area(entry.run, class, frames(entry.run, index));
            table.push(vec![
                Cell::text(class),
                Cell::text(entry.name),
                Cell::text(entry.start()),
                auc,
                error,
                Cell::count(frames(entry.run, index)),
            ]);
        }
    }
    table
}

/// One row for each class, the runs side by side.
fn classes_beside_runs(comparison: &Comparison<'_, ClassifyResults>) -> Table {
    let columns: Vec<String> =
        comparison.entries.iter().flat_map(|entry| [format!("AUC, {}", entry.name), "± s.e.".to_owned()]).collect();
    let columns: Vec<&str> = ["class", "test frames"].into_iter().chain(columns.iter().map(String::as_str)).collect();
    let mut table = Table::new("classes", &columns);
    for (index, class) in comparison.lead().run.classes.iter().enumerate() {
        let frames = frames(comparison.lead().run, index);
        let areas = comparison.entries.iter().flat_map(|entry| area(entry.run, class, frames));
        table.push([Cell::text(class), Cell::count(frames)].into_iter().chain(areas).collect());
    }
    table
}

/// Test frames of a class.
fn frames(run: &ClassifyResults, class: usize) -> u64 {
    run.confusion.get(class).map_or(0, |row| row.iter().sum())
}

/// The area under the curve of a class, and its standard error.
fn area(run: &ClassifyResults, class: &str, frames: u64) -> [Cell; 2] {
    let auc = run.curves.iter().find(|curve| curve.class == class).map(|curve| curve.auc);
    let error = auc.and_then(|auc| standard_error(auc, frames, run.test_samples));
    [Cell::number(auc, number::score), Cell::number(error, number::score)]
}

/// The standard error of an area under the curve (Hanley and McNeil, 1982), from the frames of the class among all.
fn standard_error(auc: f64, positives: u64, all: u64) -> Option<f64> {
    let (positive, negative) = (positives as f64, all.checked_sub(positives)? as f64);
    if positive < 1.0 || negative < 1.0 {
        return None;
    }
    let both_positive = auc / (2.0 - auc);
    let both_negative = 2.0 * auc * auc / (1.0 + auc);
    let variance = auc * (1.0 - auc)
        + (positive - 1.0) * (both_positive - auc * auc)
        + (negative - 1.0) * (both_negative - auc * auc);
    Some((variance / (positive * negative)).max(0.0).sqrt())
}

fn caution(lead: &Entry<'_, ClassifyResults>) -> Markup {
    let test = lead.run.test_samples;
    html! {
        @if test < FEW {
            p.note {
                "The test split has " (number::counted(test, "frame"))
                ": differences of a few hundredths are within what another draw of patients would give."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_error_is_that_of_the_published_example() {
        // An area of 0.893 with 51 abnormal and 58 normal cases has a standard error of 0.032.
        let error = standard_error(0.893, 51, 109).unwrap();
        assert!((error - 0.032).abs() < 0.002, "{error}");
        assert_eq!(standard_error(0.9, 0, 10), None);
        assert_eq!(standard_error(0.9, 12, 10), None);
    }
}
