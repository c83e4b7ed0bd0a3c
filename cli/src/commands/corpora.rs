//! `vismae corpora`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde::Serialize;
use vismae_core::ids::CorpusName;
use vismae_shards::manifest::Manifest;
use vismae_shards::store::Store;

use super::StoreAddress;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::output::{Format, table};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    at: StoreAddress,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List every corpus
    List,
    /// Show the latest version of one corpus
    Show {
        /// Corpus
        #[arg(value_parser = corpus_name)]
        name: CorpusName,
    },
}

fn corpus_name(name: &str) -> Result<CorpusName, String> {
    CorpusName::new(name).map_err(|invalid| invalid.to_string())
}

/// A committed corpus version.
#[derive(Debug, Serialize)]
struct CorpusView {
    name: String,
    version: u64,
    image_size: u32,
    frames: u64,
    labels: u64,
    masks: u64,
    bytes: u64,
    classes: Vec<String>,
    /// Frames by modality and split.
    parts: BTreeMap<String, BTreeMap<String, u64>>,
    /// Refused files by the code of the reason.
    quarantined: BTreeMap<String, u64>,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let store = options.at.open()?;
    match options.what.unwrap_or(What::List) {
        What::Show { name } => format.result(&load(&store, &name).await?, show),
        What::List => {
            let mut views = Vec::new();
            for name in store.folders("corpora").await.or_fail(Exit::WorkFailed)? {
                let name = CorpusName::new(name).or_fail(Exit::WorkFailed)?;
                // A corpus whose ingest has not committed yet has no version to show.
                if !Manifest::versions(&store, &name).await.or_fail(Exit::WorkFailed)?.is_empty() {
                    views.push(load(&store, &name).await?);
                }
            }
            format.result(&views, |views| list(views, store.url()))
        }
    }
}

async fn load(store: &Store, name: &CorpusName) -> Result<CorpusView, Failure> {
    let manifest = Manifest::load(store, name, None).await.or_fail(Exit::Usage)?;
    let mut parts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for shard in &manifest.shards {
        let splits = parts.entry(shard.modality.to_string()).or_default();
        *splits.entry(shard.split.word().to_owned()).or_default() += shard.rows;
    }
    Ok(CorpusView {
        name: manifest.corpus.clone(),
        version: manifest.version,
        image_size: manifest.recipe.image_size,
        frames: manifest.counts.frames,
        labels: manifest.counts.labels,
        masks: manifest.counts.masks,
        bytes: manifest.shards.iter().map(|shard| shard.bytes).sum(),
        classes: manifest.classes.clone(),
        parts,
        quarantined: quarantined(store, name, manifest.version).await?,
    })
}

/// Counts the refused files of a version by reason.
async fn quarantined(store: &Store, name: &CorpusName, version: u64) -> Result<BTreeMap<String, u64>, Failure> {
    let path = format!("{}/quarantine/{version:06}.parquet", Manifest::folder(name));
    if !store.exists(&path).await.or_fail(Exit::WorkFailed)? {
        return Ok(BTreeMap::new());
    }
    let bytes = store.get(&path).await.or_fail(Exit::WorkFailed)?;
    let file = SerializedFileReader::new(bytes).or_fail(Exit::WorkFailed)?;
    let mut counts = BTreeMap::new();
    for row in file.get_row_iter(None).or_fail(Exit::WorkFailed)? {
        let row = row.or_fail(Exit::WorkFailed)?;
        let reason =
            row.get_column_iter().find(|(column, _)| *column == "reason").map(|(_, reason)| reason.to_string());
        let reason = reason.unwrap_or_default().trim_matches('"').to_owned();
        *counts.entry(reason).or_default() += 1;
    }
    Ok(counts)
}

fn list(views: &[CorpusView], store: &str) -> String {
    if views.is_empty() {
        return format!("no corpus in `{store}`: make one with `vismae ingest`");
    }
    let row = |view: &CorpusView| {
        [
            view.name.clone(),
            view.version.to_string(),
            format!("{} px", view.image_size),
            view.frames.to_string(),
            view.labels.to_string(),
            view.masks.to_string(),
            view.parts.keys().cloned().collect::<Vec<_>>().join(" "),
            view.quarantined.values().sum::<u64>().to_string(),
        ]
    };
    table(
        ["CORPUS", "VERSION", "SIZE", "FRAMES", "LABELS", "MASKS", "MODALITIES", "QUARANTINED"],
        views.iter().map(row),
    )
}

fn show(view: &CorpusView) -> String {
    let mut text = format!(
        "corpus {} version {}: {} frames of {} px, {:.1} MB; {} with a label, {} with a mask\nclasses: {}\n",
        view.name,
        view.version,
        view.frames,
        view.image_size,
        view.bytes as f64 / 1e6,
        view.labels,
        view.masks,
        if view.classes.is_empty() { "none".to_owned() } else { view.classes.join(", ") },
    );
    let rows = view.parts.iter().flat_map(|(modality, splits)| {
        splits.iter().map(move |(split, frames)| [modality.clone(), split.clone(), frames.to_string()])
    });
    text.push_str(&table(["MODALITY", "SPLIT", "FRAMES"], rows));
    if !view.quarantined.is_empty() {
        let rows = view.quarantined.iter().map(|(reason, files)| [reason.clone(), files.to_string()]);
        text.push_str("\n\n");
        text.push_str(&table(["QUARANTINED", "FILES"], rows));
    }
    text
}
