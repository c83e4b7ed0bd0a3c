//! Nodes that are killed at every stage of a checkpoint and of the last commit: real processes, on a real S3 server behind a proxy that
//! holds one request until they are gone.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use vismae_tests::clients::S3;
use vismae_tests::cluster::{agent, coordinator, descendants, kill, quick_job, says, succeed, vismae, wait_for};
use vismae_tests::faults::{Faults, Hold};
use vismae_tests::proxy::Proxy;

const fn hold(method: &'static str, path: &'static str, says: &'static str, is_done: bool) -> Hold {
    Hold { method, path, says, is_done }
}

/// Everything that is written for a checkpoint, in its order, and then for the end of the run.
const STAGES: [Hold; 10] = [
    hold("PUT", "/part-00000-of-00002", "", false),
    hold("PUT", "/part-00001-of-00002", "", true),
    hold("PUT", "/steps.csv", "", false),
    hold("PUT", "/ledger/", "\"entry\": \"checkpoint\"", false),
    hold("PUT", "/ledger/", "\"entry\": \"checkpoint\"", true),
    hold("PUT", "/ledger/", "\"entry\": \"retire\"", false),
    hold("POST", "?delete", "/checkpoints/", true),
    hold("PUT", "/commits/", "", true),
    hold("PUT", "/ledger/", "\"entry\": \"end\"", true),
    hold("PUT", "/model/model.safetensors", "", false),
];

fn job_file(folder: &Path, name: &str) -> String {
    quick_job(folder, name, "epochs = 300\nlanes = 4\nslots = 2\ncheckpoints = { every = 10, latest = 2 }")
}

#[test]
#[ignore = "takes three minutes, most of which are waits for ten pairs of killed nodes"]
fn nodes_that_are_killed_at_any_stage_of_a_checkpoint_go_on_to_the_same_bits() {
    let Some(server) = S3::start() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(Proxy::start(server.port(), Faults::new(1, vec![])));
    let bucket = |port: u16| {
        format!(
            "s3://vismae/wild?endpoint=http://127.0.0.1:{port}&allow_http=true&region=us-east-1&skip_signature=true"
        )
    };
    let folder = TempDir::new().unwrap();
    succeed(&["phantom", &folder.path().join("phantom").to_string_lossy(), "--size", "10"]);
    let (calm, wild) = (job_file(folder.path(), "calm"), job_file(folder.path(), "wild"));
    let text = std::fs::read_to_string(&wild).unwrap();
    std::fs::write(&wild, text.replace("store = \"wild\"", &format!("store = \"{}\"", bucket(proxy.port)))).unwrap();

    let (_up, url) = coordinator(folder.path(), &[]);
    let at = ["--coordinator", url.as_str()];
    succeed(&[&["submit", wild.as_str()][..], &at].concat());
    let store = bucket(server.port());
    let kept = || says(&["checkpoints", "verify", "wild.pretrain", "--store", &store]);
    let mut newest = 0;
    for (number, stage) in STAGES.into_iter().enumerate() {
        proxy.faults.hold(stage);
        let agents = [agent(folder.path(), "first", &url), agent(folder.path(), "second", &url)];
        wait_for(&format!("stage {number}, {stage:?}"), || proxy.faults.is_held());
        for mut agent in agents {
            // The agent first: it has no time to say that a task has died.
            let tasks = descendants(agent.id());
            agent.kill();
            tasks.into_iter().for_each(kill);
        }
        let kept = kept();
        let kept = kept.as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(kept.iter().all(|kept| kept["damages"] == Value::Array(vec![])), "{stage:?}: {kept:#?}");
        let latest = kept.last().and_then(|kept| kept["step"].as_u64()).unwrap_or(0);
        assert!(latest >= newest, "{stage:?}: {latest} is the latest, {newest} had been");
        newest = latest;
    }
    assert!(newest > 50, "{newest}");

    let _agents = [agent(folder.path(), "first", &url), agent(folder.path(), "second", &url)];
    let watched = vismae(&[&["watch", "wild"][..], &at].concat());
    assert_eq!(watched.status.code(), Some(0), "{}", String::from_utf8_lossy(&watched.stderr));
    let audit = says(&["audit", "wild.pretrain", "--store", &store]);
    assert_eq!(audit["exact"], true, "{audit:#}");
    let gc = says(&["checkpoints", "gc", "wild.pretrain", "--latest", "2", "--store", &store]);
    assert_eq!((gc["retired"].as_array().map(Vec::len), kept().as_array().map(Vec::len)), (Some(0), Some(2)), "{gc:#}");

    succeed(&["run", calm.as_str(), "--workers", "2", "--threads", "1"]);
    let calm = std::fs::read(folder.path().join("calm/runs/calm.pretrain/model/model.safetensors")).unwrap();
    let wild = runtime.block_on(async {
        let store = vismae_shards::store::Store::open(&store).unwrap();
        store.get("runs/wild.pretrain/model/model.safetensors").await.unwrap()
    });
    assert!(wild == calm, "other weights than those of a run that nothing happened to");
}
