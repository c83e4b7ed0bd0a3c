//! Ranks that hang, or are slow, while their processes are well: real processes, real collectives.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use vismae_tests::cluster::{
    Process, agent, coordinator, descendants, free_port, quick_job, scrape, succeed, vismae, wait_for,
};
use vismae_tests::freeze::Frozen;

/// How long a rank may be in one place of a step here, in seconds.
const BOUND: &str = "4s";

struct Cluster {
    folder: TempDir,
    url: String,
    admin: u16,
    _up: Process,
    agents: Vec<Process>,
}

impl Cluster {
    /// A coordinator with three workers of one slot.
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        succeed(&["phantom", &folder.path().join("phantom").to_string_lossy(), "--size", "10"]);
        let admin = free_port();
        let (up, url) = coordinator(folder.path(), &["--stall", BOUND, "--admin", &format!("127.0.0.1:{admin}")]);
        let agents = ["w0", "w1", "w2"].map(|name| agent(folder.path(), name, &url)).into();
        Self { folder, url, admin, _up: up, agents }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn at<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        [command, &["--coordinator", &self.url]].concat()
    }

    /// The pre-training, as it is shown.
    fn pretrain(&self) -> Value {
        let jobs: Value = serde_json::from_str(&succeed(&self.at(&["jobs", "-o", "json"]))).unwrap();
        jobs[0]["jobs"][1].clone()
    }

    fn generation(&self) -> u64 {
        self.pretrain()["generation"].as_u64().unwrap_or(0)
    }

    fn done(&self) -> u64 {
        self.pretrain()["progress"]["done"].as_u64().unwrap_or(0)
    }

    fn goes_on(&self) {
        let before = self.done();
        wait_for("the next steps", || self.done() > before + 10);
    }

    fn explanation(&self) -> Value {
        serde_json::from_str(&succeed(&self.at(&["explain", "wild.pretrain", "-o", "json"]))).unwrap()
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(format!("{name}.log"))).unwrap()
    }
}

#[test]
fn a_rank_that_hangs_while_its_pulse_goes_on_is_left_out_and_comes_back() {
    let cluster = Cluster::start();
    let job = quick_job(cluster.path(), "wild", "epochs = 200\nlanes = 3\nslots = 3\nmin_slots = 1");
    succeed(&cluster.at(&["submit", &job]));
    wait_for("three ranks at work", || cluster.pretrain()["slots"].as_array().map_or(0, Vec::len) == 3);
    cluster.goes_on();

    let hung = descendants(cluster.agents[1].id())[0];
    let before = cluster.generation();
    let began = Instant::now();
    let frozen = Frozen::first_thread(hung);
    wait_for("a group without it", || cluster.generation() > before);
    println!("released {:.1} s after the hang, with a bound of {BOUND}", began.elapsed().as_secs_f64());
    cluster.goes_on();
    let told = cluster.explanation();
    let notice = &told["notices"][0];
    assert_eq!(
        (&notice["why"]["word"], &notice["why"]["facts"]["worker"]),
        (&"stalled".into(), &"w1".into()),
        "{told}"
    );
    assert_eq!(notice["why"]["facts"]["waiting"], "2", "{told}");
    assert!(!cluster.log("w1").contains("no pulse of the task"), "its other threads go on");
    let metrics = scrape(cluster.admin, "/metrics");
    assert!(metrics.contains("vismae_stalls_total{verdict=\"left_out\"} 1"), "{metrics}");

    let before = cluster.generation();
    drop(frozen);
    wait_for("a group with it", || cluster.generation() > before);
    cluster.goes_on();
    assert_eq!(cluster.pretrain()["slots"].as_array().map(Vec::len), Some(3), "its process is the same");
    assert_eq!(descendants(cluster.agents[1].id())[0], hung);

    let watched = vismae(&cluster.at(&["watch", "wild"]));
    assert_eq!(watched.status.code(), Some(0), "{}", String::from_utf8_lossy(&watched.stderr));
    assert_eq!(cluster.pretrain()["attempt"], 0, "{}", cluster.pretrain());
    let store = cluster.path().join("wild").to_string_lossy().into_owned();
    let audit: Value =
        serde_json::from_str(&succeed(&["audit", "wild.pretrain", "--store", &store, "-o", "json"])).unwrap();
    assert_eq!(audit["exact"], true, "{audit}");
}

#[test]
fn a_slow_rank_is_told_with_its_score_and_leaves_where_that_is_asked_for() {
    let mut cluster = Cluster::start();
    let job = quick_job(
        cluster.path(),
        "wild",
        "epochs = 20000\nlanes = 3\nslots = 3\nmin_slots = 2\nexclude_stragglers = true",
    );
    succeed(&cluster.at(&["submit", &job]));
    wait_for("three ranks at work", || cluster.pretrain()["slots"].as_array().map_or(0, Vec::len) == 3);
    cluster.goes_on();
    let slow = descendants(cluster.agents[2].id())[0];
    let before = cluster.generation();
    // Three windows of ten seconds, and some that are like the others before it is slow.
    let began = Instant::now();
    while cluster.generation() == before {
        assert!(began.elapsed() < Duration::from_secs(150), "{}", cluster.explanation());
        let frozen = Instant::now();
        while frozen.elapsed() < Duration::from_secs(2) {
            let held = Frozen::first_thread(slow);
            std::thread::sleep(Duration::from_millis(40));
            drop(held);
            std::thread::sleep(Duration::from_millis(4));
        }
    }
    println!("left out {:.1} s after it became slow", began.elapsed().as_secs_f64());
    cluster.goes_on();
    let told = cluster.explanation();
    let why = &told["notices"][0]["why"];
    assert_eq!((&why["word"], &why["facts"]["worker"]), (&"straggler".into(), &"w2".into()), "{told}");
    assert_eq!(why["facts"]["remedy"], "left_out", "{told}");
    assert_eq!(cluster.pretrain()["why"]["word"], "straggler", "{}", cluster.pretrain());
    let metrics = scrape(cluster.admin, "/metrics");
    assert!(metrics.contains("vismae_stragglers_total{remedy=\"left_out\"} 1"), "{metrics}");
    assert!(metrics.contains("vismae_straggler_score{job=\"wild.pretrain\"}"), "{metrics}");
    // Where the others become too few, a slow one is better than none.
    let before = cluster.generation();
    cluster.agents[1].kill();
    wait_for("a group with the slow one", || cluster.generation() > before);
    cluster.goes_on();
    assert_eq!(cluster.pretrain()["attempt"], 0, "{}", cluster.pretrain());
    assert_eq!(descendants(cluster.agents[2].id())[0], slow, "its process is the same");
    succeed(&cluster.at(&["cancel", "wild"]));
}
