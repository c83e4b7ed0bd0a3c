//! The API in the hands of a client that was generated from the protocol, and of one that knows nothing but reflection: the
//! examples in Python, against a real coordinator and worker.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;
use vismae_tests::clients::{python, python_with};
use vismae_tests::cluster::{Process, command, free_port, scrape, succeed, vismae, wait_for};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A coordinator, and the examples with what they need.
struct Setting {
    folder: TempDir,
    url: String,
    _up: Process,
}

impl Setting {
    /// A coordinator that asks nobody anything, with one worker; none where the clients are not installed.
    fn start() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        generate(folder.path())?;
        let address = format!("127.0.0.1:{}", free_port());
        let mut up = command(&["up", "--workers", "1", "--threads", "1", "--listen", &address]);
        up.args(["--admin", &format!("127.0.0.1:{}", free_port())]);
        let up = Process::start(up);
        let url = format!("http://{address}");
        let workers = || vismae(&["workers", "--coordinator", &url]);
        wait_for("the worker", || String::from_utf8_lossy(&workers().stdout).contains("cpu"));
        Some(Self { folder, url, _up: up })
    }

    /// A coordinator with a certificate and no worker, where `eve` is a viewer and `ada` a submitter.
    fn guarded() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        generate(folder.path())?;
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        succeed(&["certs", "--dir", &path("certs")]);
        let access = [("eve", "default:viewer"), ("ada", "default:submitter")].map(|(name, grant)| {
            let file = path(&format!("{name}.token"));
            succeed(&["tokens", "new", name, "--grant", grant, "--token-file", &file])
        });
        std::fs::write(path("access.toml"), access.concat()).unwrap();
        let [port, admin] = [free_port(), free_port()];
        let mut up = command(&["up", "--client-ca", &path("certs/ca.pem"), "--access", &path("access.toml")]);
        up.args(["--listen", &format!("127.0.0.1:{port}"), "--admin", &format!("127.0.0.1:{admin}")]);
        up.args(["--tls-cert", &path("certs/coordinator.pem"), "--tls-key", &path("certs/coordinator.key")]);
        let up = Process::start(up);
        let ready = || std::panic::catch_unwind(|| scrape(admin, "/readyz")).unwrap_or_default();
        wait_for("the coordinator", || ready().contains(" 200 OK"));
        Some(Self { folder, url: format!("https://localhost:{port}"), _up: up })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    fn example(&self, script: &str, arguments: &[&str]) -> Output {
        self.example_in(&[], script, arguments)
    }

    /// Runs an example with some variables of its environment.
    fn example_in(&self, environment: &[(&str, &str)], script: &str, arguments: &[&str]) -> Output {
        let mut python = python_with(self.folder.path()).unwrap();
        python.arg(checkout().join("examples/python").join(script)).args(arguments);
        python.env("VISMAE_COORDINATOR", &self.url).envs(environment.iter().copied()).output().unwrap()
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

#[test]
fn a_client_with_a_token_does_what_its_role_may_and_is_told_what_it_may_not() {
    let Some(setting) = Setting::guarded() else { return };
    let ca = setting.path("certs/ca.pem");
    let token = |name: &str| std::fs::read_to_string(setting.path(&format!("{name}.token"))).unwrap();
    let spec = setting.write("ingest.spec.json", &ingest(setting.folder.path()));
    let ada = setting.path("ada.token");
    let submit = ["--ca", &ca, "--token-file", &ada, "submit", &spec];
    assert_eq!(setting.pipelines(&submit)[0]["state"], "STATE_PENDING");

    // The token of who only looks is in the environment.
    let eve = token("eve");
    let viewer = [("VISMAE_CA", ca.as_str()), ("VISMAE_TOKEN", eve.as_str())];
    let listed = setting.example_in(&viewer, "pipelines.py", &["list"]);
    assert_eq!(serde_json::from_str::<Value>(&texts(&listed)[0]).unwrap()["name"], "phantom", "{listed:?}");
    let called = setting.example_in(&viewer, "discover.py", &["vismae.v1.JobService/ListPipelines"]);
    assert!(texts(&called)[0].contains(r#""name": "phantom""#), "{called:?}");
    let denied = [
        ("pipelines.py", ["submit", spec.as_str()]),
        ("pipelines.py", ["cancel", "phantom"]),
        ("discover.py", ["vismae.v1.JobService/CancelPipeline", r#"{"name": "phantom"}"#]),
    ];
    for (script, arguments) in denied {
        let output = setting.example_in(&viewer, script, &arguments);
        let told = &texts(&output)[1];
        assert_eq!(output.status.code(), Some(6), "{told}");
        assert!(told.starts_with("PERMISSION_DENIED: ") && told.contains("needs the role `submitter`"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    setting.pipelines(&["--ca", &ca, "--token-file", &ada, "cancel", "phantom"]);
    let watched = setting.example_in(&viewer, "pipelines.py", &["watch", "phantom"]);
    assert_eq!(watched.status.code(), Some(1), "{watched:?}");
    assert!(texts(&watched)[0].contains("STATE_CANCELLED"), "{watched:?}");
}

#[test]
fn a_client_says_what_keeps_it_from_a_coordinator_and_shows_no_token() {
    let Some(setting) = Setting::guarded() else { return };
    let ca = setting.path("certs/ca.pem");
    let eve = std::fs::read_to_string(setting.path("eve.token")).unwrap();
    let elsewhere = ["--coordinator", "http://coordinator.example.org:7340"];
    let without_scheme = setting.url.trim_start_matches("https://");
    let told = |environment: &[(&str, &str)], options: &[&str]| {
        ["pipelines.py", "discover.py"].map(|script| {
            let arguments = if script == "pipelines.py" { [options, &["list"]].concat() } else { options.to_vec() };
            let output = setting.example_in(environment, script, &arguments);
            let told = &texts(&output)[1];
            assert!(!told.contains(eve.trim()) && !told.contains("Traceback"), "{told}");
            (output.status.code(), told.clone())
        })
    };
    // Whoever has shown no token may only learn what there is to call.
    let [list, describe] = told(&[("VISMAE_CA", &ca)], &[]);
    assert!(list.0 == Some(6) && list.1.starts_with("UNAUTHENTICATED: "), "{list:?}");
    assert_eq!(describe.0, Some(0), "{describe:?}");
    struct Case<'a>(&'a [(&'a str, &'a str)], &'a [&'a str], i32, &'a str);
    let cases = [
        Case(&[("VISMAE_TOKEN", &eve)], &[], 3, "CERTIFICATE_VERIFY_FAILED"),
        Case(&[("VISMAE_TOKEN", &eve)], &elsewhere, 2, "in plain text"),
        Case(&[("VISMAE_CA", &ca)], &elsewhere, 2, "is for `https://`"),
        Case(&[], &["--ca", "no/such/ca.pem"], 2, "`no/such/ca.pem`: No such file"),
        Case(&[], &["--coordinator", without_scheme], 2, "expected one such as `https://"),
    ];
    for Case(environment, options, code, words) in cases {
        for said in told(environment, options) {
            assert!(said.0 == Some(code) && said.1.contains(words), "no {code} and `{words}` in {said:?}");
        }
    }
}
