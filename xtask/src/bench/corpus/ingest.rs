//! Files to a corpus, end to end, beside a script of the usual libraries that does the same.

use anyhow::Result;
use serde_json::json;

use super::Section;
use super::field::Field;
use crate::bench::contender::{Contender, take_turns};
use crate::bench::figures::{Bar, Spread, number, numbers, short};
use crate::bench::once;
use crate::bench::peers::Peers;
use crate::bench::table::Table;

const RATIO: Bar = Bar::AtLeast(3.0);
/// Of all real sets, on two cores.
const SECONDS: Bar = Bar::Below(15.0);
const COUNTS: [&str; 6] = ["files", "rows", "quarantined", "not_images", "duplicates", "nearly_empty"];

/// Both ingest everything, with all cores; then their frames are compared.
pub(super) fn measure(field: &Field, peers: &Peers, rounds: usize) -> Result<Section> {
    eprintln!("ingest: 2 contenders, {rounds} rounds");
    let (corpus, frames) = (field.scratch("ingested"), field.scratch("ingested-by-script"));
    let ours = field.ours("ingest", &[&corpus, &field.data]);
    let mut script = peers.command("ingest")?;
    script.arg(&frames).arg(&field.data);
    let mut contenders = [
        Contender::start("vismae", ours, &field.logs())?,
        Contender::start("script of pydicom, nibabel, Pillow, pyarrow", script, &field.logs())?,
    ];
    let passes = take_turns(&mut contenders, rounds)?;
    let seconds = [numbers(&passes[0], "seconds")?, numbers(&passes[1], "seconds")?];
    let ratio = Spread::of(seconds[0].iter().zip(&seconds[1]).map(|(ours, theirs)| theirs / ours))?;
    let header = ["contender", "seconds", "files", "frames", "quarantined", "no image", "duplicates", "nearly empty"];
    let mut table = Table::new(&[&header[..], &["vismae is faster by", "bar", ""]].concat());
    let mut rows = Vec::new();
    for (at, contender) in contenders.iter().enumerate() {
        let spread = Spread::of(seconds[at].iter().copied())?;
        let (bar, figure) =
            if at == 0 { (field.is_real().then_some(SECONDS), spread.median) } else { (Some(RATIO), ratio.median) };
        let last = &passes[at][rounds - 1];
        let counts = COUNTS.map(|name| number(last, name));
        let counts = counts.into_iter().collect::<Result<Vec<f64>>>()?;
        let verdict = bar.map(|bar| bar.verdict(figure));
        let mut cells = vec![contender.name.clone(), spread.to_string()];
        cells.extend(counts.iter().map(|count| format!("{count:.0}")));
        cells.push(if at == 0 { String::new() } else { ratio.to_string() });
        cells.push(bar.map_or_else(String::new, |bar| bar.to_string()));
        cells.push(verdict.unwrap_or_default().to_owned());
        table.row(cells);
        let bar = bar.map(|bar| bar.to_string());
        rows.push(json!({
            "contender": contender.name, "version": contender.version, "seconds": spread.json(), "counts": last,
            "ratio": (at > 0).then(|| ratio.json()), "bar": bar, "verdict": verdict,
        }));
    }
    let mut compare = peers.command("compare")?;
    compare.arg(&corpus).arg(&frames);
    let agreement = once(compare)?;
    let mut notes = vec![format!("versions: {}", contenders[1].version)];
    notes.push(format!(
        "{} frames of vismae, evenly taken, beside the nearest of the script of the same set and modality: mean absolute \
         difference {} of 255 grey levels in the middle, {} at most for 95 of 100; {} of 100 differ by less than 2",
        number(&agreement, "compared")?,
        short(number(&agreement, "median")?),
        short(number(&agreement, "p95")?),
        short(100.0 * number(&agreement, "close")?),
    ));
    if !field.is_real() {
        notes.push(
            "phantoms in the place of real sets: the bound in seconds is for those and is not applied".to_owned(),
        );
    }
    Ok(Section {
        key: "ingest",
        title: "Ingest, end to end, all cores".to_owned(),
        table,
        notes,
        json: json!({ "contenders": rows, "agreement": agreement }),
    })
}
