//! Ranks that die, leave and come while a pre-training goes on: real processes, real collectives.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use vismae_tests::cluster::{
    agent, coordinator, descendants, go_on, kill, pause, quick_job, succeed, vismae, wait_for,
};

/// A pre-training of `slots` ranks that goes on with one.
fn job_file(folder: &Path, name: &str, slots: u32, epochs: u32) -> String {
    quick_job(folder, name, &format!("epochs = {epochs}\nlanes = 4\nslots = {slots}\nmin_slots = 1"))
}

/// Number and loss of every step of a run.
fn steps(folder: &Path, name: &str) -> Vec<(u64, f64)> {
    let path: PathBuf =
        [folder, name.as_ref(), format!("runs/{name}.pretrain/metrics/steps.csv").as_ref()].iter().collect();
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name| columns.iter().position(|column| *column == name).unwrap();
    let (step, loss) = (column("step"), column("loss"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[step].parse().unwrap(), cells[loss].parse().unwrap())
    };
    lines.map(row).collect()
}

#[test]
fn ranks_that_come_and_go_leave_the_training_as_it_was() {
    let folder = TempDir::new().unwrap();
    let epochs = 200;
    succeed(&["phantom", &folder.path().join("phantom").to_string_lossy(), "--size", "10"]);
    let calm = job_file(folder.path(), "calm", 1, epochs);
    let wild = job_file(folder.path(), "wild", 3, epochs);

    let (_up, url) = coordinator(folder.path(), &[]);
    let at = ["--coordinator", url.as_str()];
    let agent = |name: &str| agent(folder.path(), name, &url);
    let pretrain = || -> Value {
        let jobs: Value = serde_json::from_str(&succeed(&[&["jobs", "-o", "json"][..], &at].concat())).unwrap();
        jobs[0]["jobs"][1].clone()
    };
    let slots = || pretrain()["slots"].as_array().map_or(0, Vec::len);
    let generation = || pretrain()["generation"].as_u64().unwrap_or(0);
    let done = || pretrain()["progress"]["done"].as_u64().unwrap_or(0);
    let goes_on = || {
        let before = done();
        wait_for("the next steps", || done() > before);
    };

    let (mut first, second, mut third) = (agent("first"), agent("second"), agent("third"));
    succeed(&[&["submit", wild.as_str()][..], &at].concat());
    wait_for("three ranks at work", || slots() == 3 && done() > 0);

    // A trainer dies; its agent starts another one.
    let before = generation();
    kill(descendants(second.id())[0]);
    wait_for("three ranks again", || slots() == 3 && generation() >= before + 2);
    goes_on();
    // A node dies, and another one comes.
    third.kill();
    wait_for("two ranks", || slots() == 2);
    goes_on();
    let _fourth = agent("fourth");
    wait_for("three ranks again", || slots() == 3);
    goes_on();
    // A trainer hangs: it is left out, and comes back as it was.
    let hung = descendants(second.id())[0];
    let before = generation();
    pause(hung);
    wait_for("a group without it", || generation() > before);
    goes_on();
    go_on(hung);
    wait_for("a group with it", || generation() > before + 1);
    goes_on();
    // A node is drained.
    succeed(&[&["drain", "first"][..], &at].concat());
    assert_eq!(first.wait(), Some(0));
    wait_for("two ranks", || slots() == 2);

    let watched = vismae(&[&["watch", "wild"][..], &at].concat());
    assert_eq!(watched.status.code(), Some(0), "{}", String::from_utf8_lossy(&watched.stderr));
    assert_eq!(pretrain()["attempt"], 0, "{}", pretrain());

    let store = folder.path().join("wild").to_string_lossy().into_owned();
    let audit = succeed(&["audit", "wild.pretrain", "--store", &store, "-o", "json"]);
    let audit: Value = serde_json::from_str(&audit).unwrap();
    assert_eq!((&audit["exact"], audit["epochs"].as_array().map(Vec::len)), (&true.into(), Some(epochs as usize)));
    assert!(audit["groups"].as_u64() >= Some(6), "{}", audit["groups"]);

    succeed(&[&["run", calm.as_str(), "--workers", "1", "--threads", "1"][..]].concat());
    let (wild, calm) = (steps(folder.path(), "wild"), steps(folder.path(), "calm"));
    assert_eq!(wild.len(), calm.len());
    for ((step, loss), (same, expected)) in wild.into_iter().zip(calm) {
        assert_eq!(step, same);
        assert!((loss - expected).abs() <= 1e-4 * expected, "step {step}: {loss} and {expected}");
    }
}
