//! The order of a corpus of the size of the paper's.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::Section;
use super::field::Field;
use crate::bench::contender::{Contender, take_turns};
use crate::bench::figures::{Bar, Spread, numbers};
use crate::bench::table::Table;

const ROWS: &str = "2500000";

/// A figure of the answers, in which unit it is shown, and its bound.
const FIGURES: [(&str, &str, f64, Option<Bar>); 6] = [
    ("plan_seconds", "plan of an epoch, ms", 1e3, Some(Bar::Below(1000.0))),
    ("peak_bytes", "memory at the most, MiB", 1.0 / 1_048_576.0, Some(Bar::Below(64.0))),
    ("seek_seconds", "seek to any step, mean, ms", 1e3, Some(Bar::Below(10.0))),
    ("seek_seconds_max", "seek to any step, longest, ms", 1e3, Some(Bar::Below(10.0))),
    ("digest_seconds", "a batch planned and digested, to check a step, ms", 1e3, None),
    ("walk_seconds", "all steps of an epoch one by one, ms", 1e3, None),
];

/// Plans epochs and seeks in them.
pub(super) fn measure(field: &Field, rounds: usize) -> Result<Section> {
    eprintln!("order of {ROWS} rows: {rounds} rounds");
    let mut contenders = [Contender::start("order", field.ours("order", &[Path::new(ROWS)]), &field.logs())?];
    let passes = &take_turns(&mut contenders, rounds)?[0];
    let mut table = Table::new(&["of 2.5 million rows", "figure", "bar", ""]);
    let mut rows = Vec::new();
    for (name, words, unit, bar) in FIGURES {
        let spread = Spread::of(numbers(passes, name)?.into_iter().map(|figure| figure * unit))?;
        // A bound is for the worst.
        let verdict = bar.map(|bar| bar.verdict(spread.most));
        let bar = bar.map(|bar| bar.to_string());
        table.row(vec![
            words.to_owned(),
            spread.to_string(),
            bar.clone().unwrap_or_default(),
            verdict.unwrap_or_default().to_owned(),
        ]);
        rows.push(json!({ "figure": words, "value": spread.json(), "bar": bar, "verdict": verdict }));
    }
    let notes = vec![
        "64 lanes, batches of 4096, row groups of 256, windows of 4; a seek finds the rows of all lanes; memory is what planning, \
         seeking and walking add to the process"
            .to_owned(),
    ];
    Ok(Section { key: "order", title: "Order".to_owned(), table, notes, json: json!(rows) })
}
