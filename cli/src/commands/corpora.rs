//! `vismae corpora`.

mod files;
mod shuffle;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::{Args, Subcommand};
use serde::Serialize;
use vismae_core::ids::CorpusName;
use vismae_shards::ingest::{self, PseudonymKey};
use vismae_shards::manifest::Manifest;
use vismae_shards::quarantine::{self, RefusedFile};
use vismae_shards::split::Split;
use vismae_shards::store::Store;
use vismae_shards::verify::{self, Fault, Verification};

use super::StoreAddress;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::output::{Format, table};
use crate::progress::{Display, work_in_progress};

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
        /// Inputs of its ingest, to name the refused files by their paths; takes the pseudonym key of the ingest
        #[arg(long = "input", value_name = "INPUT")]
        inputs: Vec<PathBuf>,
    },
    /// Read every shard of a corpus and compare it with the manifest; exit code 1 when anything differs
    Verify {
        /// Corpus
        #[arg(value_parser = corpus_name)]
        name: CorpusName,
        /// Version [default: the latest]
        #[arg(long = "corpus-version", value_name = "NUMBER")]
        version: Option<u64>,
    },
    /// Name the Parquet files of one version, one a line
    Files(files::Options),
    /// Show how well the order of a pre-training mixes a corpus, beside a full shuffle and none
    Shuffle(shuffle::Options),
}

fn corpus_name(name: &str) -> Result<CorpusName, String> {
    CorpusName::new(name).map_err(|invalid| invalid.to_string())
}

fn split(word: &str) -> Result<Split, String> {
    Split::from_word(word).ok_or_else(|| "expected train, val or test".to_owned())
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
    quarantined: Vec<RefusedFile>,
}

/// Refused files that are shown one by one; `-o json` and the list itself hold all of them.
const SHOWN: usize = 20;

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let store = options.at.open()?;
    match options.what.unwrap_or(What::List) {
        What::Show { name, inputs } => {
            let mut view = load(&store, &name).await?;
            if !inputs.is_empty() {
                resolve(&mut view, &inputs)?;
            }
            format.result(&view, show)
        }
        What::Verify { name, version } => verify(&store, &name, version, format).await,
        What::Files(options) => files::run(&store, options, format).await,
        What::Shuffle(options) => shuffle::run(&store, options, format).await,
        What::List => {
            let mut views = Vec::new();
            for name in Manifest::corpora(&store).await.or_fail(Exit::WorkFailed)? {
                views.push(load(&store, &CorpusName::new(name).or_fail(Exit::WorkFailed)?).await?);
            }
            format.result(&views, |views| list(views, store.url()))
        }
    }
}

/// What a verification came to.
#[derive(Debug, Serialize)]
struct VerificationView {
    corpus: String,
    version: u64,
    shards: u64,
    bytes: u64,
    faults: Vec<Fault>,
}

async fn verify(store: &Store, name: &CorpusName, version: Option<u64>, format: Format) -> Result<(), Failure> {
    let manifest = Manifest::load(store, name, version).await.or_fail(Exit::Usage)?;
    let total = manifest.shards.len() as u64;
    let verification = {
        let display = Mutex::new(Display::new(format));
        let start = Instant::now();
        let show = |done| {
            let line = work_in_progress("verify", "hashing", (done, total), start);
            display.lock().unwrap_or_else(PoisonError::into_inner).update(&line);
        };
        verify::verify(store, &manifest, show).await.or_fail(Exit::WorkFailed)?
    };
    let Verification { shards, bytes, faults } = verification;
    let failed = faults.len();
    let view = VerificationView { corpus: manifest.corpus, version: manifest.version, shards, bytes, faults };
    format.result(&view, |view| {
        let summary = format!(
            "corpus {} version {}: {} shards, {:.1} MB read and hashed",
            view.corpus,
            view.version,
            view.shards,
            view.bytes as f64 / 1e6
        );
        if view.faults.is_empty() {
            return summary + "; all as the manifest says";
        }
        let rows = view.faults.iter().map(|fault| [fault.path.clone(), fault.kind.to_owned(), fault.message.clone()]);
        summary + "\n" + &table(["PATH", "FAULT", "WHAT"], rows)
    })?;
    if failed == 0 {
        return Ok(());
    }
    Err(Failure::new(Exit::WorkFailed, format!("{failed} of {shards} shards are not what was committed"))
        .hint("restore them from a copy of the store, or ingest again"))
}

/// Puts paths in the place of aliases.
fn resolve(view: &mut CorpusView, inputs: &[PathBuf]) -> Result<(), Failure> {
    let key = PseudonymKey::from_environment().or_fail(Exit::Usage)?;
    let inputs: Vec<String> = inputs.iter().map(|input| input.to_string_lossy().into_owned()).collect();
    let names = ingest::names_by_alias(&inputs, &key).or_fail(Exit::Usage)?;
    for refused in &mut view.quarantined {
        if let Some(name) = names.get(&refused.file) {
            refused.file.clone_from(name);
        }
    }
    Ok(())
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
        quarantined: quarantine::read(store, &manifest).await.or_fail(Exit::WorkFailed)?,
    })
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
            view.quarantined.len().to_string(),
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
        text.push_str("\n\n");
        text.push_str(&refused(&view.quarantined));
    }
    text
}

/// How many files were refused for each reason, and the first of them with what was wrong.
fn refused(files: &[RefusedFile]) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for file in files {
        *counts.entry(&file.reason).or_default() += 1;
    }
    let counts = counts.into_iter().map(|(reason, files)| [reason.to_owned(), files.to_string()]);
    let rows = files.iter().take(SHOWN).map(|file| [file.source.clone(), file.file.clone(), file.message.clone()]);
    let mut text = table(["QUARANTINED", "FILES"], counts) + "\n\n" + &table(["SOURCE", "FILE", "WHY"], rows);
    if files.len() > SHOWN {
        text.push_str(&format!("\nand {} more: `-o json` lists all", files.len() - SHOWN));
    }
    text.push_str("\nfiles are called by aliases, since names name patients: `--input DIR` gives their paths");
    text
}
