//! House rules that no compiler holds: file lengths, module docs, and which crate may know which.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

const LONGEST_FILE: usize = 500;

/// Which crates of ours a crate may name, and which crates of others it must never see.
const ARROWS: [(&str, &[&str], &[&str]); 8] = [
    (
        "vismae-core",
        &[],
        &["tokio", "tonic", "prost", "tch", "object_store", "rand", "chrono", "time", "jiff", "serde", "anyhow"],
    ),
    ("vismae-proto", &["vismae-core"], &["tch", "object_store"]),
    ("vismae-shards", &["vismae-core"], &["tonic", "prost", "tch"]),
    ("vismae-c10d", &[], &["tokio", "tonic", "prost"]),
    ("vismae-model", &["vismae-c10d"], &["tokio", "tonic", "prost", "object_store"]),
    ("vismae-coordinator", &["vismae-core", "vismae-proto", "vismae-shards"], &["tch"]),
    ("vismae-worker", &["vismae-core", "vismae-proto", "vismae-shards", "vismae-c10d", "vismae-model"], &[]),
    ("vismae-cli", &["vismae-core", "vismae-proto", "vismae-shards", "vismae-coordinator"], &["tch"]),
];

/// The folder of this package now, wherever it lay when this was compiled.
fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap().into()
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(package())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn sources() -> Vec<PathBuf> {
    let package = package();
    let root = package.parent().unwrap();
    let mut folders = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !["target", "vismae-data"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 10, "the walk finds the sources");
    files
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    let length = |file: &PathBuf| fs::read_to_string(file).unwrap().lines().count();
    let long: Vec<_> =
        sources().into_iter().map(|file| (length(&file), file)).filter(|(n, _)| *n > LONGEST_FILE).collect();
    assert!(long.is_empty(), "split by concern: {long:?}");
}

#[test]
fn every_source_file_begins_by_saying_what_it_is() {
    let begins_well = |file: &PathBuf| fs::read_to_string(file).unwrap().starts_with("//! ");
    // `mod tests` is explained by the module it tests.
    let explained = |file: &PathBuf| file.file_name().is_some_and(|name| name == "tests.rs");
    let silent: Vec<_> = sources().into_iter().filter(|file| !explained(file) && !begins_well(file)).collect();
    assert!(silent.is_empty(), "begin with a `//!` line: {silent:?}");
}

#[test]
fn crates_name_only_the_crates_they_may() {
    let mut wrong = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let Some((_, ours, never)) = ARROWS.iter().find(|(known, ..)| *known == name) else {
            assert!(["xtask", "vismae-tests"].contains(&name), "give `{name}` its arrows in the table above");
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let needed = dependency["name"].as_str().unwrap();
            let is_ours = needed.starts_with("vismae-");
            if is_ours && !ours.contains(&needed) || never.contains(&needed) {
                wrong.push(format!("{name} -> {needed}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn only_the_bridge_to_libtorch_may_be_unsafe() {
    let mut open = Vec::new();
    for package in packages().iter().filter(|package| package["name"] != "vismae-c10d") {
        for target in package["targets"].as_array().unwrap() {
            let kinds = target["kind"].as_array().unwrap();
            let root = target["src_path"].as_str().unwrap();
            let ships = kinds.iter().any(|kind| kind == "lib" || kind == "bin");
            if ships && !fs::read_to_string(root).unwrap().contains("#![forbid(unsafe_code)]") {
                open.push(root.to_owned());
            }
        }
    }
    assert!(open.is_empty(), "add `#![forbid(unsafe_code)]`: {open:?}");
}
