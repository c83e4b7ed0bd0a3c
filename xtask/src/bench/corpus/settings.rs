//! What the level of zstd and the size of row groups cost and save.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Section;
use super::field::Field;
use crate::bench::contender::{Contender, take_turns};
use crate::bench::figures::{Spread, number, rates, short};
use crate::bench::table::Table;

/// Every pair of settings, round by round.
pub(super) fn measure(field: &Field, rounds: usize) -> Result<Section> {
    eprintln!("settings: {rounds} rounds");
    let command = field.ours("settings", &[&field.frames_file()]);
    let passes = &take_turns(&mut [Contender::start("settings", command, &field.logs())?], rounds)?[0];
    let cells = |pass: &Value| pass.get("cells").and_then(Value::as_array).cloned().context("an answer has no cells");
    let passes: Vec<Vec<Value>> = passes.iter().map(cells).collect::<Result<_>>()?;
    let mut table = Table::new(&["zstd", "row group, MiB", "write images/s", "read images/s", "bytes of a raw byte"]);
    let mut rows = Vec::new();
    for (at, cell) in passes[0].iter().enumerate() {
        let answers: Vec<Value> = passes.iter().filter_map(|cells| cells.get(at).cloned()).collect();
        let write = Spread::of(rates(&answers, "rows", "write_seconds")?)?;
        let read = Spread::of(rates(&answers, "rows", "read_seconds")?)?;
        let (bytes, images) = (number(cell, "bytes")?, number(cell, "rows")?);
        let share = bytes / (images * 224.0 * 224.0);
        let group = number(cell, "group_bytes")? / 1_048_576.0;
        let level = cell["level"].as_i64().map_or_else(|| "none".to_owned(), |level| level.to_string());
        table.row(vec![level, short(group), write.to_string(), read.to_string(), format!("{share:.3}")]);
        rows.push(json!({
            "level": cell["level"], "group_bytes": cell["group_bytes"], "write_images_per_second": write.json(),
            "read_images_per_second": read.json(), "bytes": bytes, "share_of_raw": share,
        }));
    }
    let notes = vec!["2048 of the frames, encoded and decoded in memory on one thread".to_owned()];
    Ok(Section { key: "settings", title: "Levels and row groups".to_owned(), table, notes, json: json!(rows) })
}
