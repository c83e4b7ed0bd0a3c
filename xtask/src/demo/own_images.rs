//! The demo's job file for a user's images: only what these images can teach.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use toml::Table;

use crate::cargo;

/// Corpus and pipeline of a user's images, beside those of the phantoms.
const NAME: &str = "own-images";

/// Ingests the images, and writes the job file that trains on them beside the corpus.
pub(super) fn job_file(vismae: &Path, demo: &Path, data: &Path, store: &Path) -> Result<PathBuf> {
    let text = std::fs::read_to_string(demo).with_context(|| format!("`{}` cannot be read", demo.display()))?;
    let demo: Table = text.parse().with_context(|| format!("`{}` is no TOML", demo.display()))?;
    let side =
        demo.get("corpus").and_then(|corpus| corpus.get("image_size")).context("the demo names no image size")?;

    let mut ingest = Command::new(vismae);
    ingest.arg("ingest").arg(data).args(["--corpus", NAME, "--image-size", &side.to_string()]);
    ingest.arg("--store").arg(store);
    cargo::run(ingest)?;
    let (job, left_out) = adapt(demo, &Corpus::read(vismae, store)?);
    for why in left_out {
        println!("{why}");
    }

    let file = store.join(format!("{NAME}.toml"));
    std::fs::write(&file, toml::to_string(&job)?).with_context(|| format!("`{}` cannot be written", file.display()))?;
    println!("the job file is {}", file.display());
    Ok(file)
}

/// What the images come with.
#[derive(Debug, Clone, Copy)]
struct Corpus {
    classes: usize,
    masks: u64,
}

impl Corpus {
    fn read(vismae: &Path, store: &Path) -> Result<Self> {
        let output = Command::new(vismae)
            .args(["corpora", "show", NAME, "-o", "json", "--store"])
            .arg(store)
            .output()
            .context("`vismae corpora` cannot be started")?;
        if !output.status.success() {
            bail!("`vismae corpora show` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let shown: Value = serde_json::from_slice(&output.stdout).context("`vismae corpora show` gave no JSON")?;
        let classes = shown["classes"].as_array().context("`vismae corpora show` names no classes")?.len();
        let masks = shown["masks"].as_u64().context("`vismae corpora show` counts no masks")?;
        Ok(Self { classes, masks })
    }
}

/// The demo over an ingested corpus, and a line on each kind of fine-tune that it can't do.
fn adapt(mut job: Table, corpus: &Corpus) -> (Table, Vec<String>) {
    job.insert("name".to_owned(), NAME.into());
    if let Some(table) = job.get_mut("corpus").and_then(|table| table.as_table_mut()) {
        table.insert("name".to_owned(), NAME.into());
        table.remove("inputs");
    }
    let mut left_out = Vec::new();
    if corpus.classes < 2 {
        let found = corpus.classes;
        left_out.push(("classify", format!("no classifier: found {found} classes, expected 2 or more in `label`")));
    }
    if corpus.masks == 0 {
        left_out.push(("segment", "no segmenter: found no masks, expected some in `mask_file`".to_owned()));
    }
    if let Some(finetunes) = job.get_mut("finetune").and_then(|tables| tables.as_array_mut()) {
        let is_left_out = |task: &str| left_out.iter().any(|(kind, _)| *kind == task);
        finetunes.retain(|table| !table.get("task").and_then(|task| task.as_str()).is_some_and(is_left_out));
    }
    (job, left_out.into_iter().map(|(_, why)| why).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(corpus: Corpus) -> (Vec<String>, usize) {
        let demo = include_str!("../../../examples/demo.toml").parse().unwrap();
        let (job, left_out) = adapt(demo, &corpus);
        assert!(job["corpus"].get("inputs").is_none());
        let finetunes = job["finetune"].as_array().unwrap();
        (finetunes.iter().map(|table| table["task"].as_str().unwrap().to_owned()).collect(), left_out.len())
    }

    #[test]
    fn a_fine_tune_is_left_out_where_the_images_have_nothing_to_learn_it_from() {
        assert_eq!(tasks(Corpus { classes: 3, masks: 5 }).0.len(), 4);
        assert_eq!(tasks(Corpus { classes: 1, masks: 5 }), (vec!["segment".to_owned(); 2], 1));
        assert_eq!(tasks(Corpus { classes: 2, masks: 0 }), (vec!["classify".to_owned(); 2], 1));
        assert_eq!(tasks(Corpus { classes: 0, masks: 0 }), (vec![], 2));
    }
}
