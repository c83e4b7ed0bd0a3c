//! A corpus by the binary alone: drawn, ingested through two CT windows, and looked at.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::process::{Command, Output};

use serde_json::Value;

const USAGE: i32 = 2;

fn vismae(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vismae"));
    command.args(arguments);
    for name in ["VISMAE_STORE", "VISMAE_PSEUDONYM_KEY", "VISMAE_PSEUDONYM_KEY_FILE", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}

#[track_caller]
fn said(arguments: &[&str]) -> String {
    let output = vismae(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&said(&[arguments, &["-o", "json"]].concat())).unwrap()
}

#[test]
fn a_corpus_of_two_ct_windows_is_measured_beside_a_full_shuffle_and_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (images, store) = (at("images"), at("store"));
    said(&["phantom", &images, "--size", "10"]);
    let ingest = |extra: &[&str]| {
        json(&[&["ingest", &images, "--corpus", "phantom", "--store", &store, "--image-size", "32"], extra].concat())
    };
    let slices = |summary: &Value| {
        summary["parts"]["CT"].as_object().unwrap().values().map(|frames| frames.as_u64().unwrap()).sum::<u64>()
    };
    let single = ingest(&["--ct-window", "-160,240"]);
    let double = ingest(&["--ct-window", "-160,240", "--ct-window", "-1350,150"]);
    assert_eq!(slices(&double), 2 * slices(&single));

    // The second version shares the shards of the first, and has one more for each split of CT.
    let files = |extra: &[&str]| {
        let named = said(&[&["corpora", "files", "phantom", "--store", &store], extra].concat());
        named.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (all, first, train) =
        (files(&[]), files(&["--corpus-version", "1"]), files(&["--split", "train", "--modality", "CT"]));
    assert_eq!((all.len(), first.len(), train.len()), (18, 15, 2));
    assert!(first.iter().chain(&train).all(|file| all.contains(file) && std::path::Path::new(file).is_file()));

    let shuffle = ["corpora", "shuffle", "phantom", "--store", &store, "--lanes", "4", "--batch", "16"];
    let measured = json(&shuffle);
    assert_eq!(measured["version"], 2);
    assert_eq!(measured["modalities"].as_array().unwrap().len(), 5);
    assert_eq!(measured["unshuffled"]["mean_travel"], 0.0);
    let distance = |order: &str| measured[order]["modality_distance"].as_f64().unwrap();
    assert!(distance("shuffled") < distance("unshuffled") && distance("planned") < distance("unshuffled"));
    let table = said(&shuffle);
    assert!(table.contains("this plan") && table.contains("full shuffle") && table.contains("as stored"), "{table}");

    let refused = vismae(&["corpora", "shuffle", "phantom", "--store", &store, "--batch", "63"]);
    assert_eq!(refused.status.code(), Some(USAGE));
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("global batch 63 over 8 lanes is not usable"), "{refused}");
}
