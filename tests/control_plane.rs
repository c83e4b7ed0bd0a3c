//! A coordinator and an agent as an operator runs them: queued work, what is shown of it, and a clean end.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use vismae_tests::cluster::{
    Process, binary, command, descendants, files_under, free_port, go_on, interrupt, pause, scrape, succeed, vismae,
    wait_for,
};
use vismae_tests::deploy::shown;

/// A pipeline that trains until it is told to stop.
fn endless(folder: &Path) -> String {
    pretraining(folder, "endless", 5000)
}

/// A pipeline that pre-trains on two slots.
fn pretraining(folder: &Path, name: &str, epochs: u32) -> String {
    let text = format!(
        r#"
name = "{name}"
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
epochs = {epochs}
global_batch = 24
lanes = 4
slots = 2
checkpoints = {{ every = 20 }}
learning_rate = 1e-3
"#
    );
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

fn phantom(folder: &Path) {
    phantom_of(folder, 10);
}

fn phantom_of(folder: &Path, size: u32) {
    succeed(&["phantom", &folder.join("phantom").to_string_lossy(), "--size", &size.to_string()]);
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

    let of_agent = || shown::metrics_of_scrape(&scrape(agent_admin, "/metrics"));
    wait_for("a checkpoint", || of_agent().contains("vismae_agent_checkpoint_bytes"));
    let mut exported = of_agent();
    exported.extend(shown::metrics_of_scrape(&scrape(coordinator_admin, "/metrics")));
    // There are no certificates, files and quotas here, nothing has to recover, and ranks are compared after ten seconds of steps only.
    let absent = [
        "vismae_certificate_expiry_timestamp_seconds",
        "vismae_reload_failures_total",
        "vismae_namespace_quota_slots",
        "vismae_recovery_duration_seconds",
        "vismae_straggler_score",
    ];
    let is_absent = |name: &String| absent.iter().any(|absent| name.starts_with(absent));
    let shown = shown::metrics().into_iter().filter(|name| !is_absent(name));
    let missing: Vec<_> = shown.filter(|name| !exported.contains(name)).collect();
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
    let old_results = store.join("runs/endless.pretrain/results.json");
    std::fs::create_dir_all(old_results.parent().unwrap()).unwrap();
    std::fs::write(&old_results, "{}").unwrap();
    let mut run = Process::start(command(&["run", &endless(folder.path()), "--workers", "2", "--threads", "1"]));
    let id = run.id();
    // Two agents, and a task in each.
    wait_for("four processes", || descendants(id).len() == 4 && store.join("corpora/phantom/manifests").exists());
    wait_for("the end of an earlier run's results", || !old_results.exists());
    let children = descendants(id);
    interrupt(id);
    assert_ne!(run.wait(), Some(0), "an interrupted run is not a success");
    wait_for("the end of all of them", || children.iter().all(|child| !Path::new(&format!("/proc/{child}")).exists()));
}

fn agent(name: &str, url: &str) -> Process {
    agent_with_slots(name, 1, url)
}

fn agent_with_slots(name: &str, slots: u32, url: &str) -> Process {
    let mut agent = std::process::Command::new(binary("vismae-worker"));
    agent.args(["agent", "--name", name, "--threads", "1", "--device", "cpu", "--coordinator", url]);
    agent.args(["--slots", &slots.to_string()]);
    Process::start(agent)
}

#[test]
fn a_killed_worker_costs_neither_the_job_nor_an_attempt() {
    let folder = TempDir::new().unwrap();
    phantom(folder.path());
    let url = format!("http://127.0.0.1:{}", free_port());
    let at = ["--coordinator", url.as_str()];
    let pretrain = || json(&[&["jobs", "-o", "json"][..], &at].concat())[0]["jobs"][1].clone();

    let listen = url.trim_start_matches("http://");
    let _up = Process::start(command(&["up", "--listen", listen]));
    wait_for("the coordinator", || vismae(&[&["jobs"][..], &at].concat()).status.success());
    let (mut first, _second) = (agent("first", &url), agent("second", &url));
    let file = pretraining(folder.path(), "short", 60);
    succeed(&[&["submit", file.as_str()][..], &at].concat());
    wait_for("the pre-training", || pretrain()["progress"]["loss"].is_number());

    let orphans = descendants(first.id());
    assert_eq!(orphans.len(), 1, "the agent holds one task");
    first.kill();
    wait_for("the end of the dead agent's task", || !Path::new(&format!("/proc/{}", orphans[0])).exists());
    wait_for("the loss of a slot", || pretrain()["slots"].as_array().is_some_and(|slots| slots.len() == 1));
    assert_eq!(pretrain()["reason"], "1 of at least 2 tasks are there, and wait for others in memory");
    let _third = agent("third", &url);

    let watched = vismae(&[&["watch", "short"][..], &at].concat());
    assert_eq!(watched.status.code(), Some(0), "{}", String::from_utf8_lossy(&watched.stderr));
    assert_eq!(pretrain()["attempt"], 0, "{}", pretrain());
    let steps = std::fs::read_to_string(folder.path().join("store/runs/short.pretrain/metrics/steps.csv")).unwrap();
    let results = std::fs::read_to_string(folder.path().join("store/runs/short.pretrain/results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results["world_size"], 2);
    assert_eq!(results["steps"], steps.lines().count() - 1);
}

/// What a store holds of a corpus, but for the catalogue of the files that it came from.
fn corpus_files(store: &Path) -> Vec<(String, Vec<u8>)> {
    let folder = store.join("corpora/phantom");
    let files = files_under(&folder).into_iter().filter(|file| file != "catalogue" && !file.starts_with("staging/"));
    files.map(|file| (file.clone(), std::fs::read(folder.join(file)).unwrap())).collect()
}

#[test]
fn workers_share_an_ingest_and_one_that_is_killed_leaves_no_trace_in_the_corpus() {
    let folder = TempDir::new().unwrap();
    phantom_of(folder.path(), 30);
    let url = format!("http://127.0.0.1:{}", free_port());
    let at = ["--coordinator", url.as_str()];
    let ingest = || json(&[&["jobs", "-o", "json"][..], &at].concat())[0]["jobs"][0].clone();
    let admin = format!("127.0.0.1:{}", free_port());
    let _up = Process::start(command(&["up", "--listen", url.trim_start_matches("http://"), "--admin", &admin]));
    wait_for("the coordinator", || vismae(&[&["jobs"][..], &at].concat()).status.success());
    let (mut first, second) = (agent("first", &url), agent("second", &url));
    wait_for("both agents", || {
        json(&[&["workers", "-o", "json"][..], &at].concat()).as_array().is_some_and(|workers| workers.len() == 2)
    });

    succeed(&[&["submit", pretraining(folder.path(), "shared", 1).as_str()][..], &at].concat());
    let staging = folder.path().join("store/corpora/phantom/staging");
    let claimed =
        || staging.is_dir() && files_under(&staging).iter().filter(|file| file.contains("attempt-0")).count() > 1;
    // The tasks stand still while they are looked at, so that a slow machine finds them in the middle of their work.
    let began = std::time::Instant::now();
    while !claimed() {
        assert!(began.elapsed().as_secs() < 60, "no member of the ingest claims anything");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let tasks: Vec<u32> = [&first, &second].iter().flat_map(|agent| descendants(agent.id())).collect();
    tasks.iter().for_each(|&task| pause(task));
    assert_eq!(ingest()["slots"].as_array().map(Vec::len), Some(2), "{}", ingest());
    assert!(files_under(folder.path()).iter().all(|file| !file.contains("manifests/")), "committed before its end");
    first.kill();
    tasks.iter().filter(|&&task| Path::new(&format!("/proc/{task}")).exists()).for_each(|&task| go_on(task));
    let watched = || ingest()["state"] == "succeeded";
    wait_for("the ingest", watched);
    assert_eq!(ingest()["attempt"], 1, "{}", ingest());
    let left = if staging.is_dir() { files_under(&staging) } else { Vec::new() };
    assert!(left.iter().all(|file| file.ends_with("/over")), "{left:?}");

    // The same corpus comes out of one process that nobody disturbs.
    let [input, calm] = ["phantom", "calm"].map(|name| folder.path().join(name).to_string_lossy().into_owned());
    succeed(&["ingest", &input, "--corpus", "phantom", "--store", &calm, "--image-size", "32"]);
    let (shared, calm) = (corpus_files(&folder.path().join("store")), corpus_files(Path::new(&calm)));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&shared), names(&calm));
    assert!(shared == calm, "the bytes differ");
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

#[test]
fn what_accepts_connections_and_is_no_coordinator_is_not_waited_for() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Accepts, and hangs up.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let mut agent = std::process::Command::new(binary("vismae-worker"));
    agent.args(["agent", "--name", "misled", "--coordinator", &url, "--patience", "1", "--device", "cpu"]);
    assert_eq!(Process::start(agent).wait(), Some(1));
}

#[test]
fn one_that_stands_by_takes_over_from_a_killed_leader_and_the_worker_finds_it() {
    let folder = TempDir::new().unwrap();
    phantom(folder.path());
    let state = folder.path().join("state").to_string_lossy().into_owned();
    let [first, second, first_admin, second_admin] = [free_port(), free_port(), free_port(), free_port()];
    let up = |port: u16, admin: u16, standby: &[&str]| {
        let mut up = command(&["up", "--listen", &format!("127.0.0.1:{port}"), "--state", &state]);
        up.args(["--admin", &format!("127.0.0.1:{admin}")]).args(standby);
        Process::start(up)
    };
    let urls = [first, second].map(|port| format!("http://127.0.0.1:{port}"));
    let answers = |url: &str| vismae(&["jobs", "--coordinator", url]).status.success();
    let mut leader = up(first, first_admin, &[]);
    wait_for("the leader", || answers(&urls[0]));
    let mut standby = up(second, second_admin, &["--standby"]);
    let probe = |path: &str| std::panic::catch_unwind(|| scrape(second_admin, path)).unwrap_or_default();
    wait_for("the one that stands by", || probe("/healthz").contains(" 200 OK"));
    assert!(probe("/readyz").contains(" 503 "), "it is not ready while another leads");

    let agent = agent_with_slots("node", 2, &urls.join(","));
    succeed(&["submit", &endless(folder.path()), "--coordinator", &urls[0]]);
    let pretrain = |url: &str| json(&["jobs", "-o", "json", "--coordinator", url])[0]["jobs"][1].clone();
    wait_for("the pre-training", || pretrain(&urls[0])["progress"]["loss"].is_number());
    let tasks = descendants(agent.id());
    assert!(!answers(&urls[1]), "only one leads");
    leader.kill();
    wait_for("the next leader", || answers(&urls[1]));
    wait_for("the worker", || pretrain(&urls[1])["progress"]["loss"].is_number());
    assert_eq!((descendants(agent.id()), pretrain(&urls[1])["attempt"].as_u64()), (tasks, Some(0)));
    assert!(probe("/readyz").contains(" 200 OK"));
    assert_eq!(standby.end_gently(), Some(0));
}

#[test]
fn training_goes_on_while_the_coordinator_is_killed_and_another_takes_its_place() {
    let folder = TempDir::new().unwrap();
    phantom(folder.path());
    let state = folder.path().join("state").to_string_lossy().into_owned();
    let up = |port: u16| {
        let mut up = command(&["up", "--listen", &format!("127.0.0.1:{port}"), "--state", &state]);
        up.args(["--admin", &format!("127.0.0.1:{}", free_port())]);
        Process::start(up)
    };
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let at = ["--coordinator", url.as_str()];
    let pretrain = || json(&[&["jobs", "-o", "json"][..], &at].concat())[0]["jobs"][1].clone();
    let answers = || vismae(&[&["jobs"][..], &at].concat()).status.success();

    let mut first = up(port);
    wait_for("the coordinator", answers);
    let agent = agent_with_slots("node", 2, &url);
    let file = pretraining(folder.path(), "long", 200);
    succeed(&[&["submit", file.as_str()][..], &at].concat());
    wait_for("the pre-training", || pretrain()["progress"]["loss"].is_number());
    let tasks = descendants(agent.id());
    assert_eq!(tasks.len(), 2, "the agent holds both ranks");
    let [watched, read] = ["watched", "read"].map(|name| folder.path().join(name));
    let follow = |what: &[&str], to: &Path| {
        let mut follow = command(&[what, &at].concat());
        follow.stdout(std::fs::File::create(to).unwrap()).spawn().unwrap()
    };
    let mut watch = follow(&["watch", "long"], &watched);
    let mut logs = follow(&["logs", "long.pretrain", "-f", "-o", "json"], &read);
    wait_for("a line of the log", || std::fs::metadata(&read).unwrap().len() > 0);
    first.kill();
    let published = folder.path().join("store/runs/long.pretrain/results.json").exists();
    assert!(!published, "the pre-training ended before anything could be shown");

    let mut second = up(port);
    wait_for("the next coordinator", answers);
    let adopted = || pretrain()["slots"].as_array().is_some_and(|slots| slots.len() == 2);
    wait_for("the agent with its tasks", || adopted() && pretrain()["progress"]["loss"].is_number());
    assert_eq!(descendants(agent.id()), tasks, "the same processes go on");
    wait_for("the end of the pre-training", || pretrain()["state"] == "succeeded");
    assert_eq!(pretrain()["attempt"], 0, "nothing was begun a second time");
    // Those who looked on have gone on with the second coordinator, each from where it was.
    assert_eq!([watch.wait().unwrap().code(), logs.wait().unwrap().code()], [Some(0), Some(0)]);
    assert!(std::fs::read_to_string(&watched).unwrap().contains("succeeded"));
    let read = std::fs::read_to_string(&read).unwrap();
    let lines: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["gap"].is_object()).count(), 1, "{read}");
    assert!(lines.iter().enumerate().all(|(index, line)| !lines[..index].contains(line)), "a line came twice: {read}");

    let mut third = up(free_port());
    assert_eq!(second.wait(), Some(5), "the older of two coordinators ends");
    assert_eq!(third.end_gently(), Some(0));
}
