//! The losses of fine-tunes, epoch by epoch.

use maud::{Markup, html};
use vismae_shards::runs::EpochLoss;

use super::ReportError;
use super::chart::{Axis, Chart, Mark, Shape, Stroke, figure};
use super::comparison::{Entry, Finetuned};
use super::number;
use super::palette::Ink;
use super::series::Point;
use super::table::{Cell, Table};

/// Losses that differ by more than this factor are drawn by ratios.
const RATIO: f64 = 8.0;

/// The losses of one run.
pub(super) struct Course<'r> {
    name: &'r str,
    ink: Ink,
    losses: &'r [EpochLoss],
}

impl<'r> Course<'r> {
    /// The losses of an entry.
    pub(super) fn of<R: Finetuned>(entry: &Entry<'r, R>, losses: &'r [EpochLoss]) -> Self {
        Self { name: entry.name, ink: entry.ink, losses }
    }

    fn points(&self, of: fn(&EpochLoss) -> Option<f64>) -> Vec<Point> {
        self.losses.iter().map(|loss| (f64::from(loss.epoch) + 1.0, of(loss).unwrap_or(f64::NAN))).collect()
    }

    /// One row for each epoch.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new("losses", &["run", "epoch", "train loss", "val loss"]);
        for loss in self.losses {
            table.push(vec![
                Cell::text(self.name),
                Cell::count(u64::from(loss.epoch) + 1),
                Cell::number(loss.train, number::significant),
                Cell::number(loss.val, number::significant),
            ]);
        }
        table
    }
}

/// Draws the losses of runs over each other.
pub(super) fn chart(courses: &[Course<'_>], loss: &str, shape: Shape) -> Result<Markup, ReportError> {
    let all = || courses.iter().flat_map(|course| course.losses);
    let Some(y) = Axis::around(all().flat_map(|loss| [loss.train, loss.val]).flatten(), RATIO) else {
        return Ok(html! {});
    };
    let epochs = all().map(|loss| loss.epoch).max().unwrap_or(0) + 1;
    let (mut marks, mut legend) = (Vec::new(), Vec::new());
    for course in courses.iter().rev() {
        marks.push(Mark::Line(course.points(|loss| loss.train), course.ink, Stroke::Faint));
        marks.push(Mark::Line(course.points(|loss| loss.val), course.ink, Stroke::Strong));
    }
    for course in courses {
        legend.push((course.ink, Stroke::Strong, format!("{}, val", course.name)));
        legend.push((course.ink, Stroke::Faint, format!("{}, train", course.name)));
    }
    let by_ratio = if y.is_logarithmic() { ", logarithmic" } else { "" };
    let x = Axis::fixed(1.0, f64::from(epochs.max(2))).whole().titled("epoch");
    let chart = Chart { label: "losses of fine-tuning over epochs".to_owned(), shape, x, y, marks };
    Ok(figure("Fine-tuning loss", format!("{loss}{by_ratio}, mean of an epoch"), &legend, &chart.draw()?))
}
