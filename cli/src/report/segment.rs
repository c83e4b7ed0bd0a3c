//! The section on segmentation: how well masks overlap, from pre-trained and from random weights.

mod dice;
mod overlays;

use maud::{Markup, html};

use super::ReportError;
use super::chart::Shape;
use super::comparison::Comparison;
use super::gather::Segmented;
use super::learning;
use super::number;
use super::table::{Cell, Table, Tables};

/// Draws segmenters that saw the same frames.
pub(super) fn section(comparison: &Comparison<'_, Segmented>, tables: &mut Tables) -> Result<Markup, ReportError> {
    let lead = comparison.lead();
    let scores = scores(comparison);
    let losses: Vec<_> =
        comparison.entries.iter().map(|entry| learning::Course::of(entry, &entry.run.results.losses)).collect();
    let body = html! {
        h3 { (lead.name) }
        p.lead {
            "Which of " (number::counted(lead.run.results.classes.into(), "class"))
            ", background included, a pixel belongs to; " (comparison.frames()) "."
        }
        (scores.to_html())
        (comparison.unfinished())
        (modalities_beside_runs(comparison).to_html())
        div.figures {
            (dice::histogram(comparison)?)
            (learning::chart(&losses, "Cross entropy and Dice loss", Shape::Wide)?)
        }
        @for entry in &comparison.entries { (overlays::gallery(entry)?) }
    };
    tables.add(scores);
    tables.add(by_modality(comparison));
    for entry in &comparison.entries {
        tables.add(dice::table(entry));
    }
    for course in &losses {
        tables.add(course.table());
    }
    Ok(body)
}

fn scores(comparison: &Comparison<'_, Segmented>) -> Table {
    let mut table = Table::new(
        "segmentation",
        &[
            "run",
            "first weights",
            "Dice",
            "± s.e.",
            "median",
            "worst tenth below",
            "Dice on val",
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
        let run = &entry.run.results;
        let spread = dice::Spread::of(&run.dice_per_image);
        table.push(vec![
            Cell::text(entry.name),
            Cell::text(entry.start()),
            Cell::number(run.dice, number::score),
            Cell::number(spread.and_then(|spread| spread.standard_error), number::score),
            Cell::number(spread.map(|spread| spread.median), number::score),
            Cell::number(spread.map(|spread| spread.tenth), number::score),
            Cell::number(run.val_dice, number::score),
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

fn by_modality(comparison: &Comparison<'_, Segmented>) -> Table {
    let mut table = Table::new("segmentation-by-modality", &["modality", "run", "first weights", "Dice"]);
    for (modality, _) in &comparison.lead().run.results.dice_by_modality {
        for entry in &comparison.entries {
            table.push(vec![
                Cell::text(modality),
                Cell::text(entry.name),
                Cell::text(entry.start()),
                dice_of(entry.run, modality),
            ]);
        }
    }
    table
}

/// One row for each modality, the runs side by side.
fn modalities_beside_runs(comparison: &Comparison<'_, Segmented>) -> Table {
    let columns: Vec<String> = comparison.entries.iter().map(|entry| format!("Dice, {}", entry.name)).collect();
    let columns: Vec<&str> = std::iter::once("modality").chain(columns.iter().map(String::as_str)).collect();
    let mut table = Table::new("modalities", &columns);
    for (modality, _) in &comparison.lead().run.results.dice_by_modality {
        let dices = comparison.entries.iter().map(|entry| dice_of(entry.run, modality));
        table.push(std::iter::once(Cell::text(modality)).chain(dices).collect());
    }
    table
}

fn dice_of(run: &Segmented, modality: &str) -> Cell {
    let dice = run.results.dice_by_modality.iter().find(|(known, _)| known == modality);
    Cell::number(dice.map(|(_, dice)| *dice), number::score)
}
