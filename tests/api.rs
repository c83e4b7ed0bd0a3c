//! The API in the hands of a client that was generated from the protocol, and of one that knows nothing but reflection: the
//! examples in Python, against a real coordinator and worker.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;
use vismae_tests::clients::{python, python_with};
use vismae_tests::cluster::{Process, command, free_port, succeed, vismae, wait_for};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A coordinator with one worker, and the examples with what they need.
struct Setting {
    folder: TempDir,
    address: String,
    _up: Process,
}

impl Setting {
    /// None where the clients are not installed.
    fn start() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        generate(folder.path())?;
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let mut up = command(&["up", "--workers", "1", "--threads", "1", "--listen", &address]);
        up.args(["--admin", &format!("127.0.0.1:{}", free_port())]);
        let up = Process::start(up);
        let url = format!("http://{address}");
        let workers = || vismae(&["workers", "--coordinator", &url]);
        wait_for("the worker", || String::from_utf8_lossy(&workers().stdout).contains("cpu"));
        Some(Self { folder, address, _up: up })
    }

    fn example(&self, script: &str, arguments: &[&str]) -> Output {
        let mut python = python_with(self.folder.path()).unwrap();
        python.arg(checkout().join("examples/python").join(script)).args(["--coordinator", &self.address]);
        python.args(arguments).output().unwrap()
    }

    /// What the example says that must end well: pipelines, one on each line.
    fn pipelines(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.example("pipelines.py", arguments);
        let [said, complained] = texts(&output);
        assert!(output.status.success(), "{arguments:?} ended with {}: {said}{complained}", output.status);
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Writes a specification, and gives its path.
    fn write(&self, name: &str, spec: &Value) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, spec.to_string()).unwrap();
        path.to_string_lossy().into_owned()
    }
}

/// The client, as the example says that it is made.
fn generate(folder: &Path) -> Option<()> {
    let mut protoc = python()?;
    protoc.args(["-m", "grpc_tools.protoc"]).arg(format!("--proto_path={}", checkout().join("proto").display()));
    for option in ["--python_out", "--grpc_python_out"] {
        protoc.arg(format!("{option}={}", folder.display()));
    }
    let files = std::fs::read_dir(checkout().join("proto/vismae/v1")).unwrap();
    protoc.args(files.map(|file| file.unwrap().path()));
    let output = protoc.output().unwrap();
    assert!(output.status.success(), "{:?}", texts(&output));
    Some(())
}

fn texts(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// The specification that lies beside the examples, on images and a store of the test.
fn ingest(folder: &Path) -> Value {
    let text = std::fs::read_to_string(checkout().join("examples/python/ingest.json")).unwrap();
    let mut spec: Value = serde_json::from_str(&text).unwrap();
    spec["storeUrl"] = json!(format!("file://{}/store", folder.display()));
    spec["jobs"][0]["ingest"]["inputs"] = json!([folder.join("phantom")]);
    spec["jobs"][0]["ingest"]["workers"] = json!(1);
    spec
}

#[test]
fn a_client_made_from_the_protocol_runs_watches_lists_and_cancels() {
    let Some(setting) = Setting::start() else { return };
    let folder = setting.folder.path();
    succeed(&["phantom", &folder.join("phantom").to_string_lossy(), "--size", "10"]);
    let output = setting.example("pipelines.py", &["check"]);
    assert_eq!(texts(&output)[0].trim(), "SERVING", "{output:?}");

    let spec = setting.write("ingest.spec.json", &ingest(folder));
    let request = ["submit", &spec, "--request-id", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"];
    let first = setting.pipelines(&request);
    assert_eq!(first[0]["name"], "phantom");
    let views = setting.pipelines(&["watch", "phantom"]);
    assert_eq!(views.last().unwrap()["jobs"], json!({"phantom.ingest": "STATE_SUCCEEDED"}), "{views:?}");
    // An answer that never came is asked for again.
    let again = setting.pipelines(&request);
    assert_eq!((&again[0]["name"], &again[0]["created"]), (&first[0]["name"], &first[0]["created"]));

    // It asks for more slots than there are, and waits.
    let mut endless = ingest(folder);
    endless["jobs"][0] = json!({"name": "pretrain", "pretrain": {
        "corpus": "phantom", "epochs": 1, "globalBatch": 8, "lanes": 8, "slots": 8,
        "optimiser": {"learningRate": 0.001},
        "model": {"imageSize": 64, "patchSize": 4, "embedDim": 32, "depths": [2], "heads": [2], "window": 4, "maskUnit": 2,
                  "maskRatio": 0.75},
    }});
    endless["name"] = json!("waiting");
    let waiting = setting.write("waiting.json", &endless);
    assert_eq!(setting.pipelines(&["submit", &waiting])[0]["state"], "STATE_PENDING");
    let names = |size: &str| -> Vec<Value> {
        setting.pipelines(&["list", "--page-size", size]).into_iter().map(|pipeline| pipeline["name"].clone()).collect()
    };
    assert_eq!(names("1"), ["phantom", "waiting"]);
    assert_eq!(names("1"), names("100"));
    let pending = setting.pipelines(&["list", "--filter", r#"state = PENDING AND name : "wait*""#]);
    assert_eq!(pending.iter().map(|pipeline| &pipeline["name"]).collect::<Vec<_>>(), ["waiting"]);
    assert_eq!(setting.pipelines(&["cancel", "waiting"])[0]["state"], "STATE_CANCELLED");
    let watched = setting.example("pipelines.py", &["watch", "waiting"]);
    assert_eq!(watched.status.code(), Some(1), "a pipeline that was cancelled has not succeeded");
}

#[test]
fn a_client_made_from_the_protocol_learns_why_it_was_refused() {
    let Some(setting) = Setting::start() else { return };
    let mut spec = ingest(setting.folder.path());
    spec["name"] = json!("Phantom");
    spec["jobs"][0]["ingest"]["imageSize"] = json!(1);
    spec["jobs"][0]["ingest"]["minimumContent"] = json!(7);
    let output = setting.example("pipelines.py", &["submit", &setting.write("bad.json", &spec)]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = &texts(&output)[1];
    for expected in [
        "INVALID_ARGUMENT: 3 fields are not usable",
        "reason INVALID_FIELDS of vismae",
        "  name: ",
        "  ingest.image_size: is 1, expected 16 to 2048 pixels",
        "  ingest.minimum_content: is 7, expected a share in 0 to 1",
    ] {
        assert!(told.contains(expected), "no `{expected}` in {told}");
    }
    let output = setting.example("pipelines.py", &["cancel", "nobody"]);
    let told = &texts(&output)[1];
    assert!(told.contains("NOT_FOUND: no pipeline is called `nobody`") && told.contains("reason NOT_FOUND"), "{told}");
}

#[test]
fn a_client_that_knows_nothing_finds_the_services_and_calls_one() {
    let Some(setting) = Setting::start() else { return };
    let described = texts(&setting.example("discover.py", &[]));
    for method in [
        "vismae.v1.JobService/SubmitPipeline(vismae.v1.SubmitPipelineRequest) returns (vismae.v1.Pipeline)",
        "vismae.v1.AgentService/Attach(stream vismae.v1.AgentMessage) returns (stream vismae.v1.CoordinatorMessage)",
        "grpc.health.v1.Health/Check(",
    ] {
        assert!(described[0].contains(method), "no `{method}` in {described:?}");
    }
    let called = setting.example("discover.py", &["vismae.v1.WorkerService/ListWorkers", r#"{"pageSize": 10}"#]);
    let answer: Value = serde_json::from_str(&texts(&called)[0]).unwrap();
    assert_eq!(answer["workers"][0]["slots"][0]["device"], "cpu", "{answer}");
}
