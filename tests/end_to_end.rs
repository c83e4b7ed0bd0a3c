//! The main job, whole, with real processes: coordinator, agents, task processes, and Gloo between them.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::path::Path;

use safetensors::SafeTensors;
use tempfile::TempDir;
use vismae_tests::cluster::{files_under, succeed};

/// A job file over the phantom corpus in the same folder.
fn job_file(folder: &Path, name: &str, slots: u32, corpus_inputs: &str, finetunes: &str) -> String {
    let text = format!(
        r#"
name = "{name}"

[corpus]
name = "phantom"
image_size = 32
{corpus_inputs}

[model]
size = "tiny"
image_size = 32
embed_dim = 24
depths = [1, 2]
heads = [2, 4]

[pretrain]
epochs = 4
global_batch = 24
lanes = 4
slots = {slots}
learning_rate = 1e-3
warmup_epochs = 1
clip_norm = 1.0
{finetunes}
"#
    );
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

const FINETUNES: &str = r#"
[[finetune]]
name = "classify"
task = "classify"
init = "pretrain"
epochs = 1
batch = 24
learning_rate = 1e-3

[[finetune]]
name = "segment"
task = "segment"
init = "random"
epochs = 1
batch = 24
learning_rate = 1e-3
"#;

fn weights(store: &Path, job: &str) -> Vec<(String, Vec<f32>)> {
    let bytes = std::fs::read(store.join(format!("runs/{job}/model/model.safetensors"))).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> = file
        .tensors()
        .into_iter()
        .filter(|(_, view)| view.dtype() == safetensors::Dtype::F32)
        .map(|(name, view)| {
            let numbers =
                view.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
            (name, numbers)
        })
        .collect();
    tensors.sort_by(|one, other| one.0.cmp(&other.0));
    tensors
}

#[test]
fn a_pipeline_goes_from_files_to_a_report_and_two_workers_give_the_weights_of_one() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let store = folder.path().join("store");
    let store_text = path("store");
    succeed(&["phantom", &path("phantom"), "--size", "10"]);

    let whole = job_file(folder.path(), "whole", 2, "inputs = [\"phantom\"]", FINETUNES);
    succeed(&["run", &whole, "--workers", "2", "--threads", "1", "--store", &store_text]);
    let files = files_under(&store);
    for expected in [
        "corpora/phantom/manifests/000001.json",
        "runs/whole.pretrain/model/model.safetensors",
        "runs/whole.pretrain/model/config.json",
        "runs/whole.pretrain/metrics/steps.csv",
        "runs/whole.pretrain/results.json",
        "runs/whole.classify/results.json",
        "runs/whole.segment/results.json",
        "runs/whole/report.html",
    ] {
        assert!(files.iter().any(|file| file == expected), "no `{expected}` among {files:#?}");
    }
    for modality in ["ct", "mr", "pet", "xr", "us"] {
        let figure = format!("runs/whole.pretrain/figures/{modality}-0-reconstructed.pgm");
        assert!(files.contains(&figure), "no `{figure}`");
    }

    let alone = job_file(folder.path(), "alone", 1, "", "");
    succeed(&["run", &alone, "--workers", "1", "--threads", "1", "--store", &store_text]);
    let (two, one) = (weights(&store, "whole.pretrain"), weights(&store, "alone.pretrain"));
    let steps =
        std::fs::read_to_string(store.join("runs/alone.pretrain/metrics/steps.csv")).unwrap().lines().count() - 1;
    assert!(steps >= 20, "{steps} steps, expected at least 20");
    assert_eq!(two.len(), one.len());
    let mut largest = 0.0_f32;
    for ((name, two), (other, one)) in two.iter().zip(&one) {
        assert_eq!(name, other);
        for (two, one) in two.iter().zip(one) {
            largest = largest.max((two - one).abs());
        }
    }
    // The ranks add the same numbers in another order: single precision over some twenty AdamW steps.
    assert!(largest < 2e-4, "weights differ by {largest}");
    let results = std::fs::read_to_string(store.join("runs/whole.pretrain/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results["world_size"], 2, "the first run was not a gang of two");
}
