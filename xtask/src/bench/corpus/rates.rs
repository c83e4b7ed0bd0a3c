//! Reading and writing the frames: rates, and how often ours holds that of each peer.

use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::Section;
use super::field::Field;
use crate::bench::contender::{Contender, take_turns};
use crate::bench::figures::{Bar, Spread, number, rates, short};
use crate::bench::peers::Peers;
use crate::bench::table::Table;

/// How often ours must hold the rate of a peer.
const PYARROW: Bar = Bar::AtLeast(2.0);
const MOSAICML: Bar = Bar::AtLeast(6.0);
const PNG: Bar = Bar::AtLeast(20.0);

/// The bound of every loader.
const COPY: &str = "plain copy in memory";

/// One who takes part.
struct Entry {
    name: &'static str,
    command: Command,
    bar: Option<Bar>,
}

impl Entry {
    fn new(name: &'static str, command: Command, bar: Option<Bar>) -> Self {
        Self { name, command, bar }
    }
}

/// One epoch of the frames as batches, with all cores.
pub(super) fn reading(field: &Field, peers: &Peers, rounds: usize) -> Result<Section> {
    let (frames, shards) = (field.frames_file(), field.shards());
    let of_frames = |name: &str, folder: &str| -> Result<Command> {
        let mut command = peers.command(name)?;
        command.arg(&frames).arg(field.scratch(folder));
        Ok(command)
    };
    let of_shards = |name: &str| -> Result<Command> {
        let mut command = peers.command(name)?;
        command.arg(&shards);
        Ok(command)
    };
    let mut entries = vec![
        Entry::new("vismae", field.ours("read", &[&shards]), None),
        Entry::new(COPY, field.ours("copy", &[&frames]), None),
        Entry::new("pyarrow, same shards, by columns", of_shards("read-pyarrow")?, Some(PYARROW)),
        Entry::new("pyarrow, same shards, by rows", of_shards("read-pyarrow-rows")?, Some(PYARROW)),
    ];
    if peers.have_torch() {
        for (name, codec) in [("MosaicML streaming, raw", "raw"), ("MosaicML streaming, zstd", "zstd")] {
            let mut command = of_frames("read-mosaicml", &format!("mosaicml-{codec}"))?;
            command.arg(codec);
            entries.push(Entry::new(name, command, Some(MOSAICML)));
        }
    }
    entries.push(Entry::new("WebDataset, PNG", of_frames("read-webdataset", "webdataset")?, Some(PNG)));
    entries.push(Entry::new("HF datasets, PNG in Parquet", of_frames("read-datasets-png", "datasets")?, Some(PNG)));
    entries.push(Entry::new("HF datasets, same shards", of_shards("read-datasets-shards")?, None));
    let mut section = contest(field, ("reading", "Reading"), entries, rounds)?;
    section.notes.push(
        "vismae: planned order, rows shuffled within 4 row groups in each of 8 lanes, shards checked; pyarrow: row groups \
         in a new order, rows as they lie; PNG loaders and datasets read 1024 of the frames"
            .to_owned(),
    );
    section.notes.extend(without_torch(peers));
    Ok(section)
}

/// The same for the quickest two, on one core.
pub(super) fn reading_on_one_core(field: &Field, peers: &Peers, rounds: usize) -> Result<Section> {
    let shards = field.shards();
    let mut pyarrow = peers.command("read-pyarrow")?;
    pyarrow.arg(&shards);
    let mut by_rows = peers.command("read-pyarrow-rows")?;
    by_rows.arg(&shards);
    let entries = vec![
        Entry::new("vismae", field.pinned(&field.ours("read", &[&shards])), None),
        Entry::new("pyarrow, same shards, by columns", field.pinned(&pyarrow), Some(PYARROW)),
        Entry::new("pyarrow, same shards, by rows", field.pinned(&by_rows), Some(PYARROW)),
    ];
    contest(field, ("reading_on_one_core", "Reading, each on one core"), entries, rounds)
}

/// The frames onto the disk, with all cores.
pub(super) fn writing(field: &Field, peers: &Peers, rounds: usize) -> Result<Section> {
    let frames = field.frames_file();
    let ours = field.ours("write", &[&frames, &field.scratch("written")]);
    let mut pyarrow = peers.command("write-pyarrow")?;
    pyarrow.arg(&frames).arg(field.scratch("written-pyarrow"));
    let mut by_rows = peers.command("write-pyarrow-rows")?;
    by_rows.arg(&frames).arg(field.scratch("written-pyarrow-rows"));
    let mut entries = vec![
        Entry::new("vismae", ours, None),
        Entry::new("pyarrow, zstd -1, by columns", pyarrow, Some(PYARROW)),
        Entry::new("pyarrow, zstd -1, by rows", by_rows, Some(PYARROW)),
    ];
    if peers.have_torch() {
        for (name, codec) in [("MosaicML streaming, raw", "raw"), ("MosaicML streaming, zstd", "zstd")] {
            let mut command = peers.command("write-mosaicml")?;
            command.arg(&frames).arg(field.scratch(&format!("written-mosaicml-{codec}"))).arg(codec);
            entries.push(Entry::new(name, command, None));
        }
    }
    let mut section = contest(field, ("writing", "Writing"), entries, rounds)?;
    section
        .notes
        .push("vismae: PGM, sample ids, Parquet, and the hash of each shard; the others: their file".to_owned());
    section.notes.extend(without_torch(peers));
    Ok(section)
}

fn without_torch(peers: &Peers) -> Option<String> {
    let note =
        "left out: MosaicML streaming, which needs the Python package of torch; unset LIBTORCH to have it fetched";
    (!peers.have_torch()).then(|| note.to_owned())
}

/// Lets all take turns; the first is ours, which the others are compared with round by round.
fn contest(field: &Field, names: (&'static str, &str), entries: Vec<Entry>, rounds: usize) -> Result<Section> {
    let (key, title) = names;
    eprintln!("{}: {} contenders, {rounds} rounds", title.to_lowercase(), entries.len());
    let bars: Vec<Option<Bar>> = entries.iter().map(|entry| entry.bar).collect();
    let started = entries.into_iter().map(|entry| Contender::start(entry.name, entry.command, &field.logs()));
    let mut contenders: Vec<Contender> = started.collect::<Result<_>>()?;
    let passes = take_turns(&mut contenders, rounds)?;
    let mut table =
        Table::new(&["contender", "images/s", "images/s per core", "MB on disk", "vismae is faster by", "bar", ""]);
    let ours = rates(&passes[0], "rows", "seconds")?;
    let mut rows = Vec::new();
    for ((contender, passes), bar) in contenders.iter().zip(&passes).zip(bars) {
        let theirs = rates(passes, "rows", "seconds")?;
        let (rate, core) = (Spread::of(theirs.iter().copied())?, Spread::of(rates(passes, "rows", "cpu_seconds")?)?);
        let ratio = Spread::of(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs))?;
        let verdict = bar.map(|bar| bar.verdict(ratio.median));
        let disk = passes.last().filter(|_| key == "writing").map(|pass| number(pass, "bytes")).transpose()?;
        let of_peer = contender.name != "vismae";
        table.row(vec![
            contender.name.clone(),
            rate.to_string(),
            short(core.median),
            disk.map_or_else(String::new, |bytes| short(bytes / 1e6)),
            if of_peer { ratio.to_string() } else { String::new() },
            bar.map_or_else(String::new, |bar| bar.to_string()),
            verdict.unwrap_or_default().to_owned(),
        ]);
        let bar = bar.map(|bar| bar.to_string());
        rows.push(json!({
            "contender": contender.name, "version": contender.version, "images_per_second": rate.json(),
            "images_per_core_second": core.json(), "bytes_on_disk": disk, "ratio": of_peer.then(|| ratio.json()),
            "bar": bar, "verdict": verdict,
        }));
    }
    let mut notes = Vec::new();
    if let Some(copy) = contenders.iter().position(|contender| contender.name == COPY) {
        let copy = rates(&passes[copy], "rows", "seconds")?;
        let share = Spread::of(ours.iter().zip(&copy).map(|(ours, copy)| 100.0 * ours / copy))?;
        notes.push(format!("vismae comes to {share} of 100 parts of the rate of a plain copy"));
    }
    let versions: Vec<&str> = contenders.iter().map(|contender| contender.version.as_str()).collect();
    notes.push(format!("versions: {}", distinct(&versions).join(", ")));
    Ok(Section { key, title: title.to_owned(), table, notes, json: Value::Array(rows) })
}

fn distinct<'v>(versions: &[&'v str]) -> Vec<&'v str> {
    let mut distinct = versions.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}
