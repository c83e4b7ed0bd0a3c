//! Decoding by format, on one thread.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Section;
use super::field::Field;
use crate::bench::contender::{Contender, take_turns};
use crate::bench::figures::{Spread, number, rates, short};
use crate::bench::once;
use crate::bench::peers::Peers;
use crate::bench::table::Table;

/// Both decode the same files to arrays, format by format.
pub(super) fn measure(field: &Field, peers: &Peers, rounds: usize) -> Result<Section> {
    eprintln!("decoding by format: 2 contenders, {rounds} rounds");
    let list = field.scratch("formats.tsv");
    let mut listing = peers.command("list-formats")?;
    listing.arg(&list).arg(&field.data);
    let files = once(listing)?;
    let mut decode = peers.command("decode")?;
    decode.arg(&list);
    let mut contenders = [
        Contender::start("vismae, decoding", field.ours("decode", &[&list]), &field.logs())?,
        Contender::start("peers, decoding", decode, &field.logs())?,
    ];
    let passes = take_turns(&mut contenders, rounds)?;
    let [ours, theirs] = [by_format(&passes[0])?, by_format(&passes[1])?];
    let mut table =
        Table::new(&["format", "files", "vismae files/s", "Mvalues/s", "peer files/s", "vismae is faster by"]);
    let mut rows = Vec::new();
    for (format, ours) in &ours {
        let theirs = theirs.get(format).with_context(|| format!("the peers decoded no `{format}`"))?;
        let rate = |passes: &[Value]| rates(passes, "rows", "seconds");
        let (our_rates, their_rates) = (rate(ours)?, rate(theirs)?);
        let values = Spread::of(rates(ours, "values", "seconds")?)?;
        let ratio = Spread::of(our_rates.iter().zip(&their_rates).map(|(ours, theirs)| ours / theirs))?;
        let (our_rate, their_rate) = (Spread::of(our_rates)?, Spread::of(their_rates)?);
        table.row(vec![
            format.clone(),
            files.get(format).map_or_else(String::new, Value::to_string),
            short(our_rate.median),
            short(values.median / 1e6),
            short(their_rate.median),
            ratio.to_string(),
        ]);
        let refused = [number(&ours[0], "refused")?, number(&theirs[0], "refused")?];
        rows.push(json!({
            "format": format, "files": files.get(format), "files_per_second": our_rate.json(),
            "values_per_second": values.json(), "peer_files_per_second": their_rate.json(), "ratio": ratio.json(),
            "refused": refused[0], "peer_refused": refused[1],
        }));
    }
    let notes = vec![format!("peers: {}", contenders[1].version)];
    let title = "Decoding, on one thread, from a path to values".to_owned();
    Ok(Section { key: "decoding", title, table, notes, json: Value::Array(rows) })
}

/// The answers of each format, pass by pass.
fn by_format(passes: &[Value]) -> Result<BTreeMap<String, Vec<Value>>> {
    let mut formats: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for pass in passes {
        let answers = pass.get("formats").and_then(Value::as_object).context("an answer names no formats")?;
        for (format, answer) in answers {
            formats.entry(format.clone()).or_default().push(answer.clone());
        }
    }
    Ok(formats)
}
