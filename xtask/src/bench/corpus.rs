//! `cargo xtask bench corpus`: files to frames to batches, beside what others would take for it.

mod field;
mod formats;
mod ingest;
mod order;
mod rates;
mod settings;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::Output;
use super::figures::all_met;
use super::peers::Peers;
use super::table::Table;
use crate::setup;
use field::Field;

/// What the measurement may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each contender is measured; ingests and tables of settings at most three times
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Sets of real images, each with a `MANIFEST.csv` [default: ../shared/data beside the checkout, else phantoms]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Frames that are written and read
    #[arg(long, default_value_t = 32768)]
    frames: usize,
    /// Where frames, shards and logs go [default: bench-corpus in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only the table of levels of zstd and sizes of row groups
    #[arg(long)]
    settings: bool,
    /// As tables or as JSON
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What one part of the measurement came to.
#[derive(Debug)]
struct Section {
    /// In the JSON.
    key: &'static str,
    /// Above the table.
    title: String,
    table: Table,
    /// Below the table.
    notes: Vec<String>,
    json: Value,
}

/// Builds in release, prepares the frames, lets all contenders take turns and prints the tables.
pub(super) fn run(options: &Options) -> Result<()> {
    if options.rounds == 0 || options.frames == 0 {
        bail!("`--rounds` and `--frames` are counts, found 0, expected at least 1");
    }
    if let Some(data) = options.data.as_ref().filter(|data| !data.is_dir()) {
        bail!("`--data {}` is no folder, expected one that holds sets of images", data.display());
    }
    let ready = setup::run()?;
    let field = Field::prepare(&ready, options)?;
    if options.output == Output::Table {
        println!("{}", field.describe());
    }
    let rare = options.rounds.min(3);
    let mut sections = Vec::new();
    let mut done = |section: Section| {
        if options.output == Output::Table {
            println!("\n{}\n\n{}", section.title, section.table);
            section.notes.iter().for_each(|note| println!("{note}"));
        }
        sections.push(section);
    };
    if options.settings {
        done(settings::measure(&field, rare)?);
    } else {
        let peers = Peers::install(&ready)?;
        done(rates::reading(&field, &peers, options.rounds)?);
        if field.can_pin() {
            done(rates::reading_on_one_core(&field, &peers, options.rounds)?);
        }
        done(rates::writing(&field, &peers, options.rounds)?);
        done(ingest::measure(&field, &peers, rare)?);
        done(formats::measure(&field, &peers, rare)?);
        done(order::measure(&field, options.rounds)?);
    }
    let figures = sections.into_iter().map(|section| (section.key.to_owned(), section.json));
    let figures = Value::Object(figures.collect());
    if options.output == Output::Json {
        println!("{:#}", json!({ "field": field.json(), "rounds": options.rounds, "figures": figures }));
    }
    field.clear()?;
    all_met(&figures)
}
