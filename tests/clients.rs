//! Shards in the hands of the programs that people read them with, and a store that is a real server.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use vismae_tests::clients::{S3, python, script};
use vismae_tests::cluster::{Process, command, free_port, succeed, vismae, wait_for};

/// Side of the frames, and of the pictures they come from.
const SIDE: u32 = 32;

/// Grey pictures in folders of two classes, no two alike.
fn pictures(folder: &Path) {
    for number in 0..24_u32 {
        let class = folder.join("xr").join(["calm", "stormy"][number as usize % 2]);
        std::fs::create_dir_all(&class).unwrap();
        let picture = image::GrayImage::from_fn(SIDE, SIDE, |x, y| image::Luma([(x * y * (number + 3) / 7) as u8]));
        picture.save(class.join(format!("{number}.png"))).unwrap();
    }
}

/// Standard output of a command that must succeed.
fn run(mut command: Command) -> String {
    let output = command.output().unwrap();
    let [said, complained] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}\n{complained}", output.status);
    said
}

#[test]
fn pyarrow_duckdb_and_datasets_see_the_pixels_that_were_ingested() {
    let Some(mut python) = python() else { return };
    let folder = TempDir::new().unwrap();
    let (sources, store) = (folder.path().join("sources"), folder.path().join("store"));
    pictures(&sources);
    let [sources, store] = [&sources, &store].map(|path| path.to_string_lossy().into_owned());
    succeed(&["ingest", &sources, "--corpus", "pictures", "--image-size", &SIDE.to_string(), "--store", &store]);
    python.arg(script("read_shards.py")).arg(format!("{store}/corpora/pictures")).arg(&sources);
    let said = run(python);
    assert!(said.contains("24 images of 2 classes"), "{said}");
}

#[test]
fn an_s3_server_holds_a_corpus_as_a_folder_does() {
    let Some(server) = S3::start() else { return };
    let folder = TempDir::new().unwrap();
    pictures(folder.path());
    let vismae = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.args(["--store", "s3://vismae/team/a", "-o", "json"]).envs(server.environment());
        serde_json::from_str::<serde_json::Value>(&run(command)).unwrap()
    };
    let sources = folder.path().to_string_lossy();
    let ingest = ["ingest", &sources, "--corpus", "pictures", "--image-size", "32"];
    assert_eq!(vismae(&ingest)["frames"], 24);
    // The same again commits nothing: the manifest was created once, by the server's own condition.
    let again = vismae(&ingest);
    assert_eq!((&again["version"], &again["committed"]), (&1.into(), &false.into()));
    assert_eq!(vismae(&["corpora", "show", "pictures"])["frames"], 24);
    assert_eq!(vismae(&["corpora", "verify", "pictures"])["faults"], serde_json::json!([]));
}

#[test]
fn an_s3_server_keeps_the_jobs_of_a_coordinator_that_is_killed_and_fences_the_older_of_two() {
    let Some(server) = S3::start() else { return };
    let up = || {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let mut up = command(&["up", "--listen", &format!("127.0.0.1:{port}"), "--state", "s3://vismae/team/state"]);
        up.args(["--admin", &format!("127.0.0.1:{}", free_port())]).envs(server.environment());
        let process = Process::start(up);
        wait_for("the coordinator", || vismae(&["jobs", "--coordinator", &url]).status.success());
        (process, url)
    };
    let shown = |url: &str| -> serde_json::Value {
        serde_json::from_str(&succeed(&["jobs", "-o", "json", "--coordinator", url])).unwrap()
    };
    let (mut first, url) = up();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo.toml");
    for _ in 0..3 {
        succeed(&["submit", &example.to_string_lossy(), "--coordinator", &url]);
    }
    succeed(&["cancel", "demo-2", "--coordinator", &url]);
    let before = shown(&url);
    assert_eq!(before.as_array().map(Vec::len), Some(3));
    first.kill();

    let (mut second, url) = up();
    // Why a job waits is found anew.
    let kept = |view: &serde_json::Value| -> Vec<_> {
        let pipelines = view.as_array().unwrap().iter();
        pipelines.map(|one| ["name", "state", "created", "ended"].map(|key| one[key].clone())).collect()
    };
    assert_eq!(kept(&shown(&url)), kept(&before), "what was acknowledged is there, and nothing else");
    succeed(&["cancel", "demo", "--coordinator", &url]);
    let (mut third, url) = up();
    assert_eq!(second.wait(), Some(5), "the older of two coordinators ends");
    let states = |view: &serde_json::Value| [0, 1, 2].map(|index| view[index]["state"].as_str().unwrap().to_owned());
    assert_eq!(states(&shown(&url)), ["cancelled", "cancelled", "pending"]);
    assert_eq!(third.end_gently(), Some(0));
}
