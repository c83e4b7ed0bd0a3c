//! Pre-trainings that lose every rank at once, or are parked, and go on from what they have kept: real processes, real files.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use vismae_tests::cluster::{
    Process, binary, command, descendants, free_port, kill, quick_job, succeed, vismae, wait_for,
};

/// A pre-training of two ranks, with a checkpoint each ten steps.
fn job_file(folder: &Path, name: &str) -> String {
    quick_job(folder, name, "epochs = 120\nlanes = 4\nslots = 2\ncheckpoints = { every = 10, latest = 3 }")
}

fn agent(folder: &Path, name: &str, url: &str) -> Process {
    let mut agent = std::process::Command::new(binary("vismae-worker"));
    agent.args(["agent", "--name", name, "--threads", "1", "--device", "cpu", "--coordinator", url, "--slots", "1"]);
    Process::start_logged(agent, &folder.join(format!("{name}.log")))
}

/// What a command says with `-o json`, whatever its exit code; nothing where there is nothing to speak of yet.
fn says(arguments: &[&str]) -> Value {
    let output = vismae(&[arguments, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

#[test]
fn a_run_that_loses_every_rank_goes_on_from_its_last_whole_checkpoint_to_the_same_bits() {
    let folder = TempDir::new().unwrap();
    succeed(&["phantom", &folder.path().join("phantom").to_string_lossy(), "--size", "10"]);
    let (calm, wild) = (job_file(folder.path(), "calm"), job_file(folder.path(), "wild"));
    let store = folder.path().join("wild").to_string_lossy().into_owned();
    let kept = |what: &str| says(&["checkpoints", what, "wild.pretrain", "--store", &store]);
    let last = || kept("list").as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
    let last_step = || last()["step"].as_u64().unwrap_or(0);

    let url = format!("http://127.0.0.1:{}", free_port());
    let at = ["--coordinator", url.as_str()];
    let up = command(&["up", "--listen", url.trim_start_matches("http://")]);
    let _up = Process::start_logged(up, &folder.path().join("up.log"));
    wait_for("the coordinator", || vismae(&[&["jobs"][..], &at].concat()).status.success());
    let agents = [agent(folder.path(), "first", &url), agent(folder.path(), "second", &url)];
    let pretrain = || says(&[&["jobs"][..], &at].concat())[0]["jobs"][1].clone();
    let done = || pretrain()["progress"]["done"].as_u64().unwrap_or(0);
    succeed(&[&["submit", wild.as_str()][..], &at].concat());
    wait_for("some checkpoints", || last_step() >= 20);

    // Stopped as a whole, it keeps the very step it had come to, and goes on with the next.
    let suspend = || {
        succeed(&[&["suspend", "wild"][..], &at].concat());
        wait_for("its end", || says(&[&["jobs"][..], &at].concat())[0]["state"] == "suspended");
        last_step()
    };
    let parked = suspend();
    // What was reported before is at most half a second older.
    assert!(parked >= done(), "kept {parked} of {}", done());
    succeed(&[&["resume", "wild"][..], &at].concat());
    wait_for("more checkpoints", || last_step() >= parked + 30);

    // All ranks die: the last checkpoint is taken.
    let before = pretrain()["attempt"].as_u64();
    agents.iter().for_each(|agent| kill(descendants(agent.id())[0]));
    wait_for("another attempt", || pretrain()["attempt"].as_u64() > before && last_step() >= parked + 60);

    // The last checkpoint is damaged: the one before is taken.
    let parked = suspend();
    assert_eq!(kept("verify").as_array().map(Vec::len), Some(3));
    let damaged = last();
    let part =
        folder.path().join("wild").join(damaged["folder"].as_str().unwrap()).join("part-00001-of-00002.safetensors");
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let verified = vismae(&["checkpoints", "verify", "wild.pretrain", "--store", &store]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&verified.stdout).contains("DAMAGED: part-00001-of-00002.safetensors"));
    succeed(&[&["resume", "wild"][..], &at].concat());
    wait_for("the first steps", || (1..parked).contains(&done()));

    let watched = vismae(&[&["watch", "wild"][..], &at].concat());
    assert_eq!(watched.status.code(), Some(0), "{}", String::from_utf8_lossy(&watched.stderr));
    let audit = says(&["audit", "wild.pretrain", "--store", &store]);
    assert_eq!(audit["exact"], true, "{audit:#}");
    let generations = |audit: &Value| -> usize {
        let epochs = audit["epochs"].as_array().unwrap().iter();
        let all: std::collections::BTreeSet<u64> =
            epochs.flat_map(|epoch| epoch["generations"].as_array().unwrap()).filter_map(Value::as_u64).collect();
        all.len()
    };
    assert_eq!(generations(&audit), 4, "{audit:#}");

    succeed(&["run", calm.as_str(), "--workers", "2", "--threads", "1"]);
    let model = |name: &str| {
        std::fs::read(folder.path().join(name).join(format!("runs/{name}.pretrain/model/model.safetensors")))
    };
    assert!(
        model("wild").unwrap() == model("calm").unwrap(),
        "other weights than those of a run that nothing happened to"
    );

    // What is left of it can go, but for the latest.
    let gone = says(&["checkpoints", "gc", "wild.pretrain", "--latest", "1", "--store", &store]);
    assert_eq!(gone["retired"].as_array().map(Vec::len), Some(2), "{gone:#}");
    assert_eq!(kept("verify").as_array().map(Vec::len), Some(1));
}
