//! Why jobs wait, and what makes them run: quotas, suspension, labels and priorities, as an operator meets them.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::fs::File;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use vismae_tests::cluster::{Process, binary, command, free_port, succeed, wait_for};

/// Epochs of a pre-training that nobody waits for.
const ENDLESS: u32 = 5000;

/// A coordinator without workers, and a corpus to train on.
struct Cluster {
    folder: TempDir,
    url: String,
    _up: Process,
}

impl Cluster {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        succeed(&["phantom", &path("phantom"), "--size", "10"]);
        let corpus = ["--corpus", "phantom", "--image-size", "32", "--store", &path("store")];
        succeed(&[&["ingest", path("phantom").as_str()][..], &corpus].concat());
        let listen = format!("127.0.0.1:{}", free_port());
        let mut up = command(&["up", "--listen", &listen]);
        up.args(["--admin", &format!("127.0.0.1:{}", free_port())]);
        let cluster = Self { folder, url: format!("http://{listen}"), _up: Process::start(up) };
        wait_for("the coordinator", || cluster.run(&["jobs"]).status.success());
        cluster
    }

    /// A worker of one slot that has joined.
    fn worker(&self, name: &str, options: &[&str]) -> Process {
        let mut agent = Command::new(binary("vismae-worker"));
        agent.args(["agent", "--name", name, "--threads", "1", "--device", "cpu", "--slots", "1"]);
        agent.args(["--coordinator", &self.url]).args(options);
        let worker = Process::start(agent);
        let is_here = |workers: &Value| workers.as_array().unwrap().iter().any(|worker| worker["name"] == name);
        wait_for("the worker", || is_here(&self.json(&["workers"])));
        worker
    }

    fn command(&self, arguments: &[&str]) -> Command {
        command(&[arguments, &["--coordinator", &self.url]].concat())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn text(&self, arguments: &[&str]) -> String {
        succeed(&[arguments, &["--coordinator", &self.url]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    /// Queues a pre-training on one slot as the only job of a pipeline.
    fn submit(&self, name: &str, epochs: u32, placement: &str, options: &[&str]) {
        let text = format!(
            r#"
name = "{name}"
store = "store"

[corpus]
name = "phantom"
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
slots = 1
learning_rate = 1e-3
{placement}
"#
        );
        let file = self.folder.path().join(format!("{name}.toml"));
        std::fs::write(&file, text).unwrap();
        self.text(&[&["submit", &file.to_string_lossy()], options].concat());
    }

    /// The only job of a pipeline.
    fn job(&self, pipeline: &str) -> Value {
        let all = self.json(&["jobs"]);
        let pipeline = all.as_array().unwrap().iter().find(|one| one["name"] == pipeline).unwrap();
        pipeline["jobs"][0].clone()
    }

    /// Waits until a pre-training has made steps.
    fn trains(&self, pipeline: &str) {
        let has_loss = || {
            let job = self.job(pipeline);
            job["state"] == "running" && job["progress"]["loss"].is_number()
        };
        wait_for(&format!("the training of `{pipeline}`"), has_loss);
    }

    /// Waits until a job is in a state.
    fn reaches(&self, pipeline: &str, state: &str) {
        wait_for(&format!("`{pipeline}` {state}"), || self.job(pipeline)["state"] == state);
    }

    /// What is said of the job of a pipeline, which must hold each of these lines, spaces aside.
    fn explained(&self, pipeline: &str, lines: &[&str]) {
        let told = self.text(&["explain", &format!("{pipeline}.pretrain")]);
        let spaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said: Vec<String> = told.lines().map(spaced).collect();
        for line in lines {
            assert!(said.iter().any(|said| said == line), "no line `{line}` in\n{told}");
        }
    }

    fn slots_in_use(&self) -> usize {
        let workers = self.json(&["workers"]);
        let slots = workers.as_array().unwrap().iter().flat_map(|worker| worker["slots"].as_array().unwrap());
        slots.filter(|slot| !slot["task"].is_null()).count()
    }
}

#[test]
fn a_namespace_at_its_quota_holds_a_pipeline_back_until_the_quota_is_raised() {
    let cluster = Cluster::start();
    let _workers = [cluster.worker("one", &[]), cluster.worker("two", &[])];
    let made = cluster.json(&["namespaces", "set", "team", "--cpu", "1"]);
    assert_eq!((&made["name"], &made["quota"]["cpu"]), (&"team".into(), &1.into()), "{made}");
    let refused = cluster.run(&["namespaces", "set", "team"]);
    assert_eq!(refused.status.code(), Some(2), "a change without a limit: {refused:?}");

    cluster.submit("first", ENDLESS, "", &["--namespace", "team"]);
    cluster.trains("first");
    cluster.submit("second", ENDLESS, "", &["--namespace", "team"]);
    wait_for("the reason", || cluster.job("second")["reason"] != "was just queued");
    let reason = "needs 1 slot at once, namespace `team` uses 1 of the 1 of kind `cpu` that it may";
    assert_eq!(cluster.job("second")["reason"], reason);
    cluster.explained(
        "second",
        &[
            &format!("second.pretrain {reason}"),
            "asks for 1 slot of any, at priority 0",
            "slots 2 cpu, 0 cuda present; 2 cpu, 0 cuda match; 1 cpu, 0 cuda of those free",
            "namespace team uses 1 of 1 cpu, 0 of any cuda",
            "held by first.pretrain: 1 slot",
            "it can run when: 1 slot of its namespace must come free; nobody can be stopped for it",
        ],
    );
    let unknown = cluster.run(&["explain", "third.pretrain"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let in_use = cluster.run(&["namespaces", "delete", "team"]);
    assert_eq!(in_use.status.code(), Some(2), "{in_use:?}");

    cluster.text(&["namespaces", "set", "team", "--cpu", "2"]);
    cluster.trains("second");
    cluster.explained("second", &["second.pretrain goes its way", "it can run when: nothing has to happen"]);
    for pipeline in ["first", "second"] {
        cluster.text(&["cancel", pipeline]);
        cluster.reaches(pipeline, "cancelled");
    }
    cluster.text(&["namespaces", "delete", "team"]);
}

#[test]
fn a_pipeline_that_is_suspended_gives_its_slot_back_and_finishes_once_it_is_resumed() {
    let cluster = Cluster::start();
    let _worker = cluster.worker("node", &[]);
    cluster.submit("paused", 60, "", &[]);
    cluster.trains("paused");
    cluster.text(&["suspend", "paused"]);
    cluster.reaches("paused", "suspended");
    wait_for("the free slot", || cluster.slots_in_use() == 0);
    let steps = |job: &Value| job["progress"]["done"].as_u64().unwrap();
    let done = steps(&cluster.job("paused"));
    cluster.explained(
        "paused",
        &[
            "paused.pretrain the pipeline is suspended",
            "it can run when: its pipeline must be resumed",
            "attempts 1 so far, 2 failures left",
            "attempt 0 ended: the pipeline is suspended",
        ],
    );
    // Others go by what is suspended.
    cluster.submit("other", 1, "", &[]);
    cluster.reaches("other", "succeeded");
    assert_eq!((&cluster.job("paused")["state"], steps(&cluster.job("paused"))), (&"suspended".into(), done));

    cluster.text(&["resume", "paused"]);
    let watched = cluster.run(&["watch", "paused"]);
    assert_eq!(watched.status.code(), Some(0), "{watched:?}");
    let again = cluster.run(&["resume", "paused"]);
    assert_eq!(again.status.code(), Some(2), "a pipeline that is over is not resumed: {again:?}");
}

#[test]
fn a_job_waits_for_a_worker_with_its_label_and_runs_there() {
    let cluster = Cluster::start();
    let _elsewhere = cluster.worker("north", &["--label", "zone=a"]);
    cluster.submit("placed", 20, r#"node_labels = { zone = "b" }"#, &[]);
    wait_for("the reason", || cluster.job("placed")["reason"] != "was just queued");
    cluster.explained(
        "placed",
        &[
            "placed.pretrain needs 1 slot at once, 0 of 1 slots match `zone=b`",
            "asks for 1 slot of any where zone=b, at priority 0",
            "slots 1 cpu, 0 cuda present; 0 cpu, 0 cuda match; 0 cpu, 0 cuda of those free",
            "it can run when: workers with 1 slot more that it may use must join, or it must ask for less",
        ],
    );
    let _there = cluster.worker("south", &["--label", "zone=b"]);
    cluster.trains("placed");
    assert_eq!(cluster.job("placed")["slots"], serde_json::json!(["south#0"]));
    let labels = cluster.json(&["workers"]);
    assert_eq!((&labels[0]["labels"]["zone"], &labels[1]["labels"]["zone"]), (&"a".into(), &"b".into()), "{labels}");
    cluster.reaches("placed", "succeeded");
}

#[test]
fn a_pipeline_of_higher_priority_takes_the_slot_and_the_lower_one_says_to_whom_it_lost_it() {
    let cluster = Cluster::start();
    let _worker = cluster.worker("node", &[]);
    cluster.submit("low", ENDLESS, "", &[]);
    cluster.trains("low");
    let said = cluster.folder.path().join("said");
    let mut watch = cluster.command(&["watch", "low"]);
    watch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said).unwrap());
    let mut watch = watch.spawn().unwrap();
    wait_for("the first line of the watch", || said.metadata().unwrap().len() > 0);
    cluster.submit("high", ENDLESS, "", &["--priority", "5"]);
    cluster.trains("high");
    cluster.explained("high", &["high.pretrain goes its way", "asks for 1 slot of any, at priority 5"]);
    let cause = "`high.pretrain` has a higher priority (5 over 0) and needs 1 slot; this one held 1";
    cluster.explained(
        "low",
        &[
            "low.pretrain needs 1 slot at once, 0 of 1 free",
            "held by high.pretrain: 1 slot",
            &format!("attempt 0 ended: {cause}"),
            "it can run when: 1 slot more must come free; nobody can be stopped for it",
        ],
    );
    cluster.text(&["cancel", "high"]);
    cluster.trains("low");
    assert_eq!(cluster.job("low")["attempt"], 1);
    cluster.text(&["cancel", "low"]);
    let code = watch.wait().unwrap().code();
    let said = std::fs::read_to_string(said).unwrap();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains(&format!("stops because {cause}")), "{said}");
}
