//! Pre-trainings that lose every rank at once, or are parked, and go on from what they have kept: real processes, real files.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use vismae_tests::cluster::{
    Process, agent, binary, coordinator, descendants, files_under, free_port, kill, quick_job, says, scrape, succeed,
    vismae, wait_for,
};
use vismae_tests::disk::{seen_by, with_disk};

/// A pre-training of two ranks, with a checkpoint each ten steps.
fn job_file(folder: &Path, name: &str, epochs: u32) -> String {
    let checkpoints = "checkpoints = { every = 10, latest = 3 }";
    quick_job(folder, name, &format!("epochs = {epochs}\nlanes = 4\nslots = 2\n{checkpoints}"))
}

#[test]
fn a_run_that_loses_every_rank_goes_on_from_its_last_whole_checkpoint_to_the_same_bits() {
    let folder = TempDir::new().unwrap();
    succeed(&["phantom", &folder.path().join("phantom").to_string_lossy(), "--size", "10"]);
    let (calm, wild) = (job_file(folder.path(), "calm", 120), job_file(folder.path(), "wild", 120));
    let store = folder.path().join("wild").to_string_lossy().into_owned();
    let kept = |what: &str| says(&["checkpoints", what, "wild.pretrain", "--store", &store]);
    let last = || kept("list").as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
    let last_step = || last()["step"].as_u64().unwrap_or(0);

    let (_up, url) = coordinator(folder.path(), &[]);
    let at = ["--coordinator", url.as_str()];
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

#[test]
fn a_run_that_finds_all_its_checkpoints_damaged_stops_and_names_them() {
    let folder = TempDir::new().unwrap();
    succeed(&["phantom", &folder.path().join("phantom").to_string_lossy(), "--size", "10"]);
    let job = job_file(folder.path(), "rotten", 600);
    let store = folder.path().join("rotten").to_string_lossy().into_owned();
    let kept = || says(&["checkpoints", "list", "rotten.pretrain", "--store", &store]);
    let (_up, url) = coordinator(folder.path(), &[]);
    let at = ["--coordinator", url.as_str()];
    let _agents = [agent(folder.path(), "first", &url), agent(folder.path(), "second", &url)];
    succeed(&[&["submit", job.as_str()][..], &at].concat());
    wait_for("two checkpoints", || kept().as_array().is_some_and(|all| all.len() > 1));
    succeed(&[&["suspend", "rotten"][..], &at].concat());
    wait_for("its end", || says(&[&["jobs"][..], &at].concat())[0]["state"] == "suspended");
    let folders: Vec<String> =
        kept().as_array().unwrap().iter().map(|kept| kept["folder"].as_str().unwrap().to_owned()).collect();
    for kept in &folders {
        let record = Path::new(&store).join(kept).join("steps.csv");
        assert!(record.exists());
        std::fs::write(record, "step").unwrap();
    }
    succeed(&[&["resume", "rotten"][..], &at].concat());
    wait_for("the end of the run", || says(&[&["jobs"][..], &at].concat())[0]["state"] == "failed");
    let explained = says(&[&["explain", "rotten.pretrain"][..], &at].concat()).to_string();
    for kept in &folders {
        assert!(explained.contains(&format!("{kept}/steps.csv` has 4 bytes")), "{kept}: {explained}");
    }
    assert!(explained.contains("does not begin anew by itself"), "{explained}");

    let gone = says(&["checkpoints", "gc", "rotten.pretrain", "--damaged", "--store", &store]);
    assert_eq!(gone["retired"].as_array().map(Vec::len), Some(folders.len()), "{gone:#}");
    assert_eq!(kept().as_array().map(Vec::len), Some(0));
}

#[test]
fn training_goes_on_without_checkpoints_while_the_disk_is_full_and_with_them_after() {
    let folder = TempDir::new().unwrap();
    succeed(&["phantom", &folder.path().join("phantom").to_string_lossy(), "--size", "10"]);
    let job = job_file(folder.path(), "full", 600);
    let disk = folder.path().join("full");
    std::fs::create_dir(&disk).unwrap();
    let Some(mut agent) = with_disk(&disk, "24m", &binary("vismae-worker")) else { return };
    let (_up, url) = coordinator(folder.path(), &[]);
    let (at, admin) = (["--coordinator", url.as_str()], free_port());
    agent.args(["agent", "--name", "node", "--threads", "1", "--device", "cpu", "--coordinator", &url, "--slots", "2"]);
    agent.args(["--admin", &format!("127.0.0.1:{admin}")]);
    let agent = Process::start_logged(agent, &folder.path().join("node.log"));
    wait_for("the worker", || TcpStream::connect(("127.0.0.1", admin)).is_ok());
    let store = disk.to_string_lossy().into_owned();
    // What that process sees under the path.
    let disk = Path::new("/proc").join(agent.id().to_string()).join("root").join(disk.strip_prefix("/").unwrap());
    let inside = |arguments: &[&str]| -> Value {
        let mut vismae = seen_by(agent.id(), &binary("vismae"));
        let output = vismae.args(arguments).args(["--store", &store, "-o", "json"]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let counted = |name: &str| -> u64 {
        let metrics = scrape(admin, "/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or(0)
    };
    let committed = || counted("vismae_agent_checkpoints_total");
    let failed = || counted("vismae_agent_checkpoints_failed_total");
    let done = || says(&[&["jobs"][..], &at].concat())[0]["jobs"][1]["progress"]["done"].as_u64().unwrap_or(0);
    succeed(&[&["submit", job.as_str()][..], &at].concat());
    wait_for("some checkpoints", || committed() >= 3);

    // Whatever is left of the disk, another takes.
    let filler = disk.join("filler");
    let mut file = File::create(&filler).unwrap();
    let piece = vec![0; 1 << 12];
    wait_for("two checkpoints that are not", || {
        while file.write_all(&piece).is_ok() {}
        failed() >= 2
    });
    let (before, step) = (committed(), done());
    wait_for("further steps", || {
        while file.write_all(&piece).is_ok() {}
        done() >= step + 30
    });
    assert_eq!(committed(), before);
    let kept = || inside(&["checkpoints", "verify", "full.pretrain"]);
    assert!(kept().as_array().unwrap().iter().all(|kept| kept["damages"] == Value::Array(vec![])), "{:#}", kept());

    drop(file);
    std::fs::remove_file(&filler).unwrap();
    wait_for("checkpoints", || committed() > before + 1);
    let watched = vismae(&[&["watch", "full"][..], &at].concat());
    assert_eq!(watched.status.code(), Some(0), "{}", String::from_utf8_lossy(&watched.stderr));
    assert_eq!(inside(&["audit", "full.pretrain"])["exact"], true);
    // Nothing is left of those that failed, listed or not.
    let of = |kept: &Value| kept["folder"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let named: Vec<String> = kept().as_array().unwrap().iter().map(of).collect();
    let checkpoints = disk.join("runs/full.pretrain/checkpoints");
    let found = files_under(&checkpoints);
    let strays: Vec<&String> =
        found.iter().filter(|file| file.contains('#') || !named.iter().any(|name| file.contains(name))).collect();
    assert!(strays.is_empty(), "{strays:?} beside {named:?}");
}
