//! `vismae corpora files`: the shards of one version, for tools that read Parquet. The folder of a corpus holds those of every version.

use clap::Args;
use serde::Serialize;
use vismae_core::ids::CorpusName;
use vismae_core::spec::Modality;
use vismae_shards::manifest::{Manifest, Shard};
use vismae_shards::split::Split;
use vismae_shards::store::Store;

use super::{corpus_name, split};
use crate::commands::local_folder;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::output::Format;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Corpus
    #[arg(value_parser = corpus_name)]
    name: CorpusName,
    /// Version [default: the latest]
    #[arg(long = "corpus-version", value_name = "NUMBER")]
    version: Option<u64>,
    /// Only this split: train, val or test
    #[arg(long, value_parser = split)]
    split: Option<Split>,
    /// Only this modality: CT, MR, PET, XR or US
    #[arg(long, value_parser = modality)]
    modality: Option<Modality>,
}

/// One shard.
#[derive(Debug, Serialize)]
struct FileView {
    /// A path where the store is a folder, else a URL.
    file: String,
    modality: String,
    split: String,
    rows: u64,
    bytes: u64,
    blake3: String,
}

fn modality(word: &str) -> Result<Modality, String> {
    Modality::from_code(word).ok_or_else(|| "expected CT, MR, PET, XR or US".to_owned())
}

pub(super) async fn run(store: &Store, options: Options, format: Format) -> Result<(), Failure> {
    let manifest = Manifest::load(store, &options.name, options.version).await.or_fail(Exit::Usage)?;
    let wanted = |shard: &&Shard| {
        options.split.is_none_or(|split| shard.split == split)
            && options.modality.is_none_or(|modality| shard.modality == modality)
    };
    let files: Vec<FileView> = manifest.shards.iter().filter(wanted).map(|shard| view(store, shard)).collect();
    format.result(&files, |files| files.iter().map(|file| file.file.as_str()).collect::<Vec<_>>().join("\n"))
}

fn view(store: &Store, shard: &Shard) -> FileView {
    let file = match local_folder(store.url()) {
        Some(folder) => folder.join(&shard.path).to_string_lossy().into_owned(),
        None => format!("{}/{}", store.url().trim_end_matches('/'), shard.path),
    };
    FileView {
        file,
        modality: shard.modality.to_string(),
        split: shard.split.to_string(),
        rows: shard.rows,
        bytes: shard.bytes,
        blake3: shard.blake3.to_string(),
    }
}
