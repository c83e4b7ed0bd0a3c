//! A coordinator that asks everyone who they are, set up as the documentation says, with the real programs.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use vismae_tests::cluster::{Process, binary, command, free_port, succeed, vismae, wait_for};

const DENIED: i32 = 6;

struct Setup {
    folder: tempfile::TempDir,
    port: u16,
}

impl Setup {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), port: free_port() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// What a command needs to reach the coordinator, with the token of a file.
    fn reached_with(&self, token_file: &str) -> [String; 6] {
        ["--coordinator", &self.url(), "--ca", &self.path("certs/ca.pem"), "--token-file", &self.path(token_file)]
            .map(str::to_owned)
    }

    fn run(&self, arguments: &[&str], token_file: &str) -> Output {
        let at = self.reached_with(token_file);
        let at: Vec<&str> = at.iter().map(String::as_str).collect();
        vismae(&[arguments, &at[..]].concat())
    }

    fn coordinator(&self) -> Process {
        let mut up = command(&["up", "--audit-log", &self.path("audit.jsonl")]);
        up.args(["--listen", &format!("127.0.0.1:{}", self.port), "--admin", &format!("127.0.0.1:{}", free_port())]);
        up.args(["--tls-cert", &self.path("certs/coordinator.pem"), "--tls-key", &self.path("certs/coordinator.key")]);
        up.args(["--client-ca", &self.path("certs/ca.pem"), "--access", &self.path("access.toml")]);
        Process::start(up)
    }

    fn worker(&self, name: &str, certificate: &str) -> Command {
        let mut worker = Command::new(binary("vismae-worker"));
        worker.args(["agent", "--coordinator", &self.url(), "--name", name, "--ca", &self.path("certs/ca.pem")]);
        worker.args(["--cert", &self.path(&format!("certs/{certificate}.pem"))]);
        worker.args(["--key", &self.path(&format!("certs/{certificate}.key"))]);
        worker
    }
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0
}

#[test]
fn a_cluster_with_certificates_and_tokens_runs_a_pipeline_and_lets_nobody_else_in() {
    let setup = Setup::new();
    succeed(&["certs", "--dir", &setup.path("certs"), "--worker", "gpu-1"]);
    let viewer =
        succeed(&["tokens", "new", "eve", "--grant", "research:viewer", "--token-file", &setup.path("eve.token")]);
    let submitter =
        succeed(&["tokens", "new", "ada", "--grant", "research:submitter", "--token-file", &setup.path("ada.token")]);
    let admin = succeed(&["tokens", "new", "root", "--grant", "*:admin", "--token-file", &setup.path("root.token")]);
    std::fs::write(setup.path("access.toml"), viewer + &submitter + &admin).unwrap();
    for secret in ["certs/ca.key", "certs/coordinator.key", "certs/gpu-1.key", "eve.token"] {
        assert!(is_private(&setup.folder.path().join(secret)), "{secret}");
    }
    let _coordinator = setup.coordinator();
    wait_for("the coordinator", || setup.run(&["workers"], "eve.token").status.success());

    let named = setup.run(&["namespaces", "set", "research", "--cpu", "4"], "root.token");
    assert!(named.status.success(), "{}", said(&named));
    let refused = setup.run(&["namespaces", "set", "research", "--cpu", "400"], "ada.token");
    assert_eq!(refused.status.code(), Some(DENIED), "{}", said(&refused));

    // Somebody else's name, with a certificate that is good for another.
    let mut impostor = setup.worker("gpu-2", "gpu-1");
    let refused = impostor.output().unwrap();
    assert!(said(&refused).contains("expected one with the DNS name `gpu-2`"), "{}", said(&refused));
    let _worker = Process::start(setup.worker("gpu-1", "gpu-1"));
    wait_for("the worker", || said(&setup.run(&["workers"], "eve.token")).contains("gpu-1"));

    succeed(&["phantom", &setup.path("data/phantom"), "--size", "10"]);
    let job = job_file(&setup);
    let refused = setup.run(&["submit", &job], "eve.token");
    assert_eq!(refused.status.code(), Some(DENIED), "{}", said(&refused));
    assert!(said(&refused).contains("`token:eve` needs the role `submitter`"), "{}", said(&refused));
    let queued = setup.run(&["submit", &job], "ada.token");
    assert!(queued.status.success(), "{}", said(&queued));
    let watched = setup.run(&["watch", "guarded"], "eve.token");
    assert!(watched.status.success(), "{}", said(&watched));

    std::fs::write(setup.path("guess.token"), "vismae_00000000").unwrap();
    let unknown = setup.run(&["jobs"], "guess.token");
    assert_eq!(unknown.status.code(), Some(DENIED), "{}", said(&unknown));
    let token = std::fs::read_to_string(setup.path("ada.token")).unwrap();
    let exposed = vismae(&[
        "jobs",
        "--coordinator",
        "http://coordinator.example.org:1",
        "--token-file",
        &setup.path("ada.token"),
    ]);
    assert!(said(&exposed).contains("in plain text") && !said(&exposed).contains(&token), "{}", said(&exposed));

    let log = std::fs::read_to_string(setup.path("audit.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let noted =
        |caller: &str, outcome: &str| lines.iter().any(|line| line["caller"] == caller && line["outcome"] == outcome);
    for (caller, outcome) in [
        ("agent:gpu-1", "REFUSED"),
        ("agent:gpu-1", "OK"),
        ("token:eve", "PERMISSION_DENIED"),
        ("token:ada", "OK"),
        ("unknown", "UNAUTHENTICATED"),
    ] {
        assert!(noted(caller, outcome), "{caller} {outcome} is not in\n{log}");
    }
    assert!(!log.contains(&token));
}

/// A pipeline of one ingest.
fn job_file(setup: &Setup) -> String {
    let path = PathBuf::from(setup.path("job.toml"));
    let text = format!(
        "name = \"guarded\"\nnamespace = \"research\"\nstore = \"{}\"\n[corpus]\nname = \"phantom\"\ninputs = [\"{}\"]\nimage_size = 32\n",
        setup.path("store"),
        setup.path("data/phantom"),
    );
    std::fs::write(&path, text).expect("a job file");
    path.to_string_lossy().into_owned()
}
