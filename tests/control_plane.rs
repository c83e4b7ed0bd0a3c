//! A coordinator and an agent as an operator runs them: queued work, what is shown of it, and a clean end.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use vismae_tests::cluster::{
    Process, binary, command, descendants, free_port, interrupt, scrape, succeed, vismae, wait_for,
};
use vismae_tests::deploy::shown;

/// A pipeline that trains until it is told to stop.
fn endless(folder: &Path) -> String {
    let text = r#"
name = "endless"
store = "store"

[corpus]
name = "phantom"
inputs = ["phantom"]
image_size = 32

[model]
size = "tiny"
image_size = 32
embed_dim = 24
depths = [1, 2]
heads = [2, 4]

[pretrain]
epochs = 5000
global_batch = 24
lanes = 4
slots = 2
learning_rate = 1e-3
"#;
    let path = folder.join("endless.toml");
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

fn phantom(folder: &Path) {
    succeed(&["phantom", &folder.join("phantom").to_string_lossy(), "--size", "10"]);
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeed(arguments)).unwrap()
}

#[test]
fn an_operator_sees_queued_work_through_and_cancels_it() {
    let folder = TempDir::new().unwrap();
    phantom(folder.path());
    let [port, coordinator_admin, agent_admin] = [free_port(), free_port(), free_port()];
    let url = format!("http://127.0.0.1:{port}");
    let at = ["--coordinator", url.as_str()];
    let ask = |arguments: &[&str]| json(&[arguments, &at, &["-o", "json"]].concat());

    let mut up = command(&["up", "--listen", &format!("127.0.0.1:{port}")]);
    up.args(["--admin", &format!("127.0.0.1:{coordinator_admin}")]);
    let mut up = Process::start(up);
    wait_for("the coordinator", || vismae(&[&["jobs"][..], &at].concat()).status.success());
    let mut agent = std::process::Command::new(binary("vismae-worker"));
    agent.args(["agent", "--name", "node", "--slots", "2", "--threads", "1", "--device", "cpu"]).args(at);
    agent.args(["--admin", &format!("127.0.0.1:{agent_admin}")]);
    let mut agent = Process::start(agent);
    wait_for("the agent", || ask(&["workers"]).as_array().is_some_and(|workers| workers.len() == 1));

    succeed(&[&["submit", endless(folder.path()).as_str()][..], &at].concat());
    let trains = || {
        let shown = ask(&["jobs"]);
        let job = &shown[0]["jobs"][1];
        job["slots"].as_array().is_some_and(|slots| slots.len() == 2) && job["progress"]["loss"].is_number()
    };
    wait_for("the pre-training on both slots", trains);

    let mut exported = shown::metrics_of_scrape(&scrape(agent_admin, "/metrics"));
    exported.extend(shown::metrics_of_scrape(&scrape(coordinator_admin, "/metrics")));
    let missing: Vec<_> = shown::metrics().into_iter().filter(|name| !exported.contains(name)).collect();
    assert!(missing.is_empty(), "shown and not exported: {missing:?}; exported: {exported:?}");
    assert!(scrape(agent_admin, "/healthz").contains(" 200 OK"), "the agent is not healthy");

    succeed(&[&["cancel", "endless"][..], &at].concat());
    let watched = vismae(&[&["watch", "endless"][..], &at].concat());
    assert_eq!(watched.status.code(), Some(4), "{}", String::from_utf8_lossy(&watched.stderr));
    assert_eq!(ask(&["jobs"])[0]["jobs"][1]["state"], "cancelled");
    let log = succeed(&[&["logs", "endless.pretrain"][..], &at].concat());
    assert!(log.contains("the pipeline was cancelled"), "{log}");
    wait_for("free slots", || ask(&["workers"])[0]["slots"][0]["task"].is_null());

    assert_eq!(agent.end_gently(), Some(0));
    assert_eq!(up.end_gently(), Some(0));
}

#[test]
fn an_interrupted_run_leaves_no_process_behind() {
    let folder = TempDir::new().unwrap();
    phantom(folder.path());
    let store = folder.path().join("store");
    let mut run = Process::start(command(&["run", &endless(folder.path()), "--workers", "2", "--threads", "1"]));
    let id = run.id();
    // Two agents, and a task in each.
    wait_for("four processes", || descendants(id).len() == 4 && store.join("corpora/phantom/manifests").exists());
    let children = descendants(id);
    interrupt(id);
    assert_ne!(run.wait(), Some(0), "an interrupted run is not a success");
    wait_for("the end of all of them", || children.iter().all(|child| !Path::new(&format!("/proc/{child}")).exists()));
}

#[test]
fn an_agent_without_a_coordinator_says_so_and_fails() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let mut agent = std::process::Command::new(binary("vismae-worker"));
    agent.args(["agent", "--name", "lonely", "--coordinator", &url, "--patience", "1", "--device", "cpu"]);
    let output = agent.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(&format!("no coordinator answers at `{url}`")), "{said}");
}
