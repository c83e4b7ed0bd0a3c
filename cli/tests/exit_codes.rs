//! The binary as scripts see it: exit codes, and messages that name the value and what to do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const WORK_FAILED: i32 = 1;
const USAGE: i32 = 2;
const UNREACHABLE: i32 = 3;

fn vismae(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vismae"));
    command.args(arguments);
    for name in ["VISMAE_COORDINATOR", "VISMAE_STORE", "VISMAE_WORKER", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

fn example(name: &str) -> String {
    let examples: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "examples"].iter().collect();
    examples.join(name).to_string_lossy().into_owned()
}

/// The exit code, and what was said on standard error.
fn ended(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn a_job_file_with_mistakes_names_all_of_them_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("job.toml"), folder.path().join("store"));
    let good = fs::read_to_string(example("demo.toml")).unwrap();
    let bad = good
        .replacen("global_batch = 32 ", "global_batch = 31 ", 1)
        .replacen("lanes = 8 ", "laens = 8 ", 1)
        .replacen("size = \"tiny\"", "size = 1", 1);
    fs::write(&file, bad).unwrap();
    let (code, said) =
        ended(&vismae(&["run", &text(&file), "--store", &text(&store), "--input", &text(folder.path())]));
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("job.toml` has 3 mistakes"), "{said}");
    for expected in [
        "`pretrain.laens` is not a known key, did you mean `lanes`?",
        "`pretrain.global_batch` is 31, expected a multiple of `lanes` = 8",
        "`model.size` is a whole number of 0 or more `1`, expected a string",
    ] {
        assert!(said.contains(expected), "{expected} is not in:\n{said}");
    }
    assert!(!store.exists());
}

#[test]
fn programs_hear_of_mistakes_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.toml");
    let good = fs::read_to_string(example("demo.toml")).unwrap();
    fs::write(&file, good.replacen("lanes = 8 ", "laens = 8 ", 1)).unwrap();
    let (code, said) = ended(&vismae(&["submit", &text(&file), "-o", "json"]));
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, said["exit"].as_i64()), (USAGE, Some(USAGE.into())), "{said}");
    assert_eq!(said["fields"][0]["field"], "pretrain.laens", "{said}");
    let problem = said["fields"][0]["problem"].as_str().unwrap();
    assert!(problem.starts_with("is not a known key, did you mean `lanes`?"), "{said}");
}

#[test]
fn a_job_file_that_is_absent_is_named() {
    let (code, said) = ended(&vismae(&["run", "/no/such/job.toml"]));
    assert_eq!(code, USAGE, "{said}");
    assert!(said.starts_with("error: job file `/no/such/job.toml` cannot be read: No such file"), "{said}");
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    assert_eq!(ended(&vismae(&["run", "--wokers", "2"])).0, USAGE);
    assert_eq!(ended(&vismae(&[])).0, USAGE);
    assert_eq!(ended(&vismae(&["watch", "demo", "--coordinator", "nonsense"])).0, USAGE);
}

#[test]
fn a_coordinator_that_is_absent_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let demo = example("demo.toml");
    for arguments in [&["jobs"][..], &["watch", "demo"], &["submit", &demo], &["workers"], &["logs", "demo.pretrain"]] {
        let (code, said) = ended(&vismae(&[arguments, &["--coordinator", &url]].concat()));
        assert_eq!(code, UNREACHABLE, "{arguments:?}: {said}");
        assert!(said.contains(&url) && said.contains("vismae up"), "{said}");
    }
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = ended(&vismae(&["up", "--listen", &address, "--admin", "127.0.0.1:0"]));
    assert_eq!(code, UNREACHABLE, "{said}");
    assert!(said.contains(&format!("address `{address}` is in use")) && said.contains("`--listen`"), "{said}");
}

#[test]
fn an_open_port_is_refused_unless_asked_for() {
    let (code, said) = ended(&vismae(&["up", "--listen", "0.0.0.0:0"]));
    assert_eq!(code, USAGE);
    assert!(said.contains("--insecure"), "{said}");
}

#[test]
fn a_missing_worker_program_is_named_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (store, input) = (text(&folder.path().join("store")), text(folder.path()));
    let output = command(&["run", &example("demo.toml"), "--store", &store, "--input", &input])
        .env("VISMAE_WORKER", "/no/such/vismae-worker")
        .output()
        .unwrap();
    let (code, said) = ended(&output);
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("`/no/such/vismae-worker` does not exist") && said.contains("VISMAE_WORKER"), "{said}");
}

#[test]
fn more_slots_than_workers_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (store, input) = (text(&folder.path().join("store")), text(folder.path()));
    let (code, said) =
        ended(&vismae(&["run", &example("demo.toml"), "--store", &store, "--input", &input, "--workers", "1"]));
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("job `pretrain` needs 2 slots"), "{said}");
}

#[test]
fn a_store_that_is_absent_is_not_made_by_looking_at_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    for arguments in [&["corpora"][..], &["corpora", "show", "phantom"], &["report", "demo"]] {
        let (code, said) = ended(&vismae(&[arguments, &["--store", &text(&store)]].concat()));
        assert_eq!(code, USAGE, "{arguments:?}: {said}");
        assert!(said.contains(&text(&store)), "{said}");
        assert!(!store.exists());
    }
}

#[test]
fn an_empty_store_has_no_corpora_and_says_so_in_either_form() {
    let folder = tempfile::tempdir().unwrap();
    let listed = vismae(&["corpora", "list", "--store", &text(folder.path())]);
    assert!(listed.status.success());
    assert!(String::from_utf8_lossy(&listed.stdout).starts_with("no corpus in `file://"));
    let listed = vismae(&["corpora", "list", "--store", &text(folder.path()), "-o", "json"]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), "[]");
}

#[test]
fn a_worker_that_cannot_start_ends_the_run_and_shows_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let (store, input) = (text(&folder.path().join("store")), text(folder.path()));
    // A program that ends at once, whatever it is asked.
    let output = command(&["run", &example("demo.toml"), "--store", &store, "--input", &input])
        .env("VISMAE_WORKER", "/bin/false")
        .output()
        .unwrap();
    let (code, said) = ended(&output);
    assert_eq!(code, WORK_FAILED, "{said}");
    assert!(said.contains("ended by itself") && said.contains("logs/worker-"), "{said}");
}
