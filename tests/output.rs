//! What commands print for programs: with `-o json` each result is one JSON document, and a stream one on each line.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use vismae_tests::cluster::{Process, binary, command, free_port, succeed, vismae, wait_for};

/// An ingest and a pre-training that are over in seconds, on so many slots.
fn job_file(folder: &Path, name: &str, slots: u32) -> String {
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
epochs = 1
global_batch = 24
lanes = 4
slots = {slots}
learning_rate = 1e-3
"#
    );
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

/// The commands that `vismae --help` lists.
fn commands() -> BTreeSet<String> {
    let help = succeed(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).filter(|name| name != "help").collect()
}

/// Commands that were tried, and what they must say.
#[derive(Default)]
struct Tried(BTreeSet<String>);

impl Tried {
    /// Runs a command with `-o json`, whatever its exit code, and reads what it says as one document.
    fn document(&mut self, arguments: &[&str]) -> Value {
        self.0.insert(arguments[0].to_owned());
        let output = vismae(&[arguments, &["-o", "json"]].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&said).unwrap_or_else(|error| {
            panic!("{arguments:?} said no single document ({error}): {said}{}", String::from_utf8_lossy(&output.stderr))
        })
    }
}

#[test]
fn every_command_prints_json_if_asked() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (images, store) = (path("phantom"), path("store"));
    let mut tried = Tried::default();
    assert!(tried.document(&["phantom", &images, "--size", "10"])["files"].is_number());
    let at = ["--store", store.as_str()];
    let ingest = ["ingest", &images, "--corpus", "phantom", "--image-size", "32"];
    assert_eq!(tried.document(&[&ingest[..], &at].concat())["version"], 1);
    for corpora in
        [&["list"][..], &["show", "phantom"], &["verify", "phantom"], &["files", "phantom"], &["shuffle", "phantom"]]
    {
        tried.document(&[&["corpora"], corpora, &at].concat());
    }
    let file = job_file(folder.path(), "small", 1);
    let run = tried.document(&["run", &file, "--workers", "1", "--threads", "1"]);
    assert_eq!((&run["pipeline"]["state"], run["report"].is_string()), (&"succeeded".into(), true), "{run}");
    assert!(tried.document(&[&["report", "small"][..], &at].concat())["report"].is_string());
    let audit = tried.document(&[&["audit", "small.pretrain"][..], &at].concat());
    assert_eq!((&audit["exact"], audit["epochs"].as_array().map(Vec::len)), (&true.into(), Some(1)), "{audit}");
    for what in [&["list"][..], &["verify"], &["gc", "--dry-run"]] {
        tried.document(&[&["checkpoints"], what, &["small.pretrain"], &at].concat());
    }
    let none = vismae(&[&["audit", "small.other"][..], &at].concat());
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("small.pretrain"), "{none:?}");
    assert_eq!(tried.document(&["completions", "bash"])["shell"], "bash");
    tried.document(&["certs", "--dir", &path("certs")]);
    tried.document(&["tokens", "new", "ada", "--grant", "default:viewer", "--token-file", &path("token")]);

    let (port, said) = (free_port(), folder.path().join("up"));
    let mut up = command(&["up", "--listen", &format!("127.0.0.1:{port}"), "-o", "json"]);
    up.args(["--admin", &format!("127.0.0.1:{}", free_port()), "--workers", "1", "--threads", "1"]);
    let _up = Process::start_into(up, &said);
    let url = format!("http://127.0.0.1:{port}");
    let here = ["--coordinator", url.as_str()];
    wait_for("the coordinator", || vismae(&[&["jobs"][..], &here].concat()).status.success());
    // It answers a moment before it says so.
    wait_for("its words", || std::fs::read_to_string(&said).unwrap().ends_with('\n'));
    let up: Value = serde_json::from_str(&std::fs::read_to_string(&said).unwrap()).unwrap();
    assert_eq!(up["coordinator"], url.as_str());
    tried.0.insert("up".to_owned());
    let ask_again = |tried: &mut Tried, arguments: &[&str]| tried.document(&[arguments, &here].concat());
    let mut ask = |arguments: &[&str]| ask_again(&mut tried, arguments);
    // One that needs more slots than there are, and waits.
    let wide = job_file(folder.path(), "wide", 4);
    assert_eq!(ask(&["submit", &wide, "--dry-run"])["name"], "wide");
    assert_eq!(ask(&["jobs"]), Value::Array(vec![]), "nothing was queued");
    assert_eq!(ask(&["submit", &wide])["name"], "wide");
    let seen = ask(&["jobs"])[0].clone();
    assert!(seen["name"] == "wide" && seen["etag"].as_str().is_some_and(|etag| !etag.is_empty()), "{seen}");
    let stale = vismae(&[&["cancel", "wide", "--etag", "stale", "-o", "json"][..], &here].concat());
    let refused: Value = serde_json::from_slice(&stale.stderr).unwrap();
    assert_eq!((stale.status.code(), refused["exit"].as_i64()), (Some(1), Some(1)), "{refused}");
    assert_eq!((&refused["reason"], &refused["names"]["name"]), (&"ETAG_MISMATCH".into(), &"wide".into()), "{refused}");
    assert!(ask(&["workers"]).is_array() && ask(&["namespaces"]).is_array());
    let why = |said: &Value| said["why"]["facts"]["needed"].clone();
    wait_for("a reason with numbers", || {
        why(&ask(&["jobs"])[0]["jobs"][1]) == "4" || ask(&["jobs"])[0]["jobs"][1]["why"]["word"] == "dependencies"
    });
    assert!(ask(&["explain", "wide.pretrain"]).is_object());
    assert!(ask(&["suspend", "wide"])["state"].is_string() && ask(&["resume", "wide"])["state"].is_string());
    assert_eq!(ask(&["submit", &file])["name"], "small");
    assert_eq!(ask(&["watch", "small"])["state"], "succeeded");
    assert!(ask(&["cancel", "wide"])["state"].is_string());
    assert_eq!(ask(&["watch", "wide"])["state"], "cancelled");
    let log = succeed(&["logs", "small.pretrain", "-f", "-o", "json", "--coordinator", &url]);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["text"].is_string()), "{log}");
    tried.0.insert("logs".to_owned());
    let worker = ask_again(&mut tried, &["workers", "--order-by", "join_time desc"])[0].clone();
    let (name, etag) = (worker["name"].as_str().unwrap(), worker["etag"].as_str().unwrap());
    assert_eq!(ask_again(&mut tried, &["drain", name, "--dry-run", "--etag", etag])["state"], "active");
    assert_eq!(ask_again(&mut tried, &["drain", name, "--etag", etag])["state"], "leaving");
    let away = |tried: &mut Tried| ask_again(tried, &["workers"])[0]["state"] == "away";
    wait_for("the worker to leave", || away(&mut tried));
    assert_eq!(ask_again(&mut tried, &["drain", name, "--undo"])["name"], name);
    assert_eq!(ask_again(&mut tried, &["workers"]), Value::Array(vec![]), "nothing is known of it any more");
    assert_eq!(tried.0, commands(), "a command that is not tried here");
}

#[test]
fn bash_completes_what_it_has_been_told() {
    let script = r#"
        source <("$1" completions bash)
        complete -p vismae
        COMP_WORDS=(vismae su) COMP_CWORD=1
        _vismae vismae su vismae
        echo "${COMPREPLY[@]}""#;
    let output = Command::new("bash").args(["-c", script, "bash"]).arg(binary("vismae")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with("vismae\nsubmit suspend\n"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
