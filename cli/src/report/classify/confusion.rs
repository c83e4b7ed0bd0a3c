//! Which classes are taken for which.

use maud::{Markup, html};
use vismae_shards::runs::ClassifyResults;

use super::super::comparison::Entry;
use super::super::number;
use super::super::table::{Cell, Table};

/// How strong the colour of a cell gets: letters stay readable on it in light and in dark.
const STRONGEST: f64 = 55.0;

/// The counts with a shade for their share of the true class.
pub(super) fn matrix(entry: &Entry<'_, ClassifyResults>) -> Markup {
    let run = entry.run;
    html! {
        figure {
            figcaption {
                h4 { "Confusion, " (entry.name) }
                p { "Test frames; rows are true classes, columns predicted ones" }
            }
            div.scroll {
                table.confusion style={ "--ink:" (entry.ink.variable()) } {
                    thead { tr { td {} @for class in &run.classes { th scope="col" { (class) } } } }
                    tbody {
                        @for (class, row) in run.classes.iter().zip(&run.confusion) {
                            tr {
                                th scope="row" { (class) }
                                @for &frames in row {
                                    @let share = frames as f64 / row.iter().sum::<u64>().max(1) as f64;
                                    td style=(format!("--share:{:.0}%", share * STRONGEST)) {
                                        (number::count(frames)) small { (number::per_cent(share)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One row for each pair of classes.
pub(super) fn table(entry: &Entry<'_, ClassifyResults>) -> Table {
    let mut table = Table::new("confusion", &["run", "true class", "predicted class", "frames"]);
    for (truth, row) in entry.run.classes.iter().zip(&entry.run.confusion) {
        for (predicted, frames) in entry.run.classes.iter().zip(row) {
            table.push(vec![Cell::text(entry.name), Cell::text(truth), Cell::text(predicted), Cell::count(*frames)]);
        }
    }
    table
}
