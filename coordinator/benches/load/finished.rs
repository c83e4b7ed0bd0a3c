//! Finished jobs in a real store: what one coordinator leaves there, and how soon the next one has it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use object_store::local::LocalFileSystem;
use serde_json::{Value, json};
use vismae_coordinator::journal::{DurableJournal, Journal as _};
use vismae_core::coordinator::Coordinator;
use vismae_core::time::MonoTime;
use vismae_proto::client::connect;
use vismae_proto::v1::job_service_client::JobServiceClient;
use vismae_proto::v1::{GetPipelineRequest, State};

use crate::Outcome;
use crate::churn::{LEASE, Workshop};

/// Where `vismae up` keeps its records in a store.
const FOLDER: &str = "coordinator";
/// Pipelines whose records are kept by one write, as those of users who submit together are.
const TOGETHER: usize = 512;
/// How long a coordinator may take to answer, and how long it is left alone between two questions.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);

async fn open(state: &Path) -> Outcome<(DurableJournal, Vec<vismae_core::effect::Record>)> {
    let store = LocalFileSystem::new_with_prefix(state)?.with_fsync(true);
    Ok(DurableJournal::open(Arc::new(store), FOLDER).await?)
}

fn now() -> Outcome<MonoTime> {
    Ok(MonoTime::since_origin(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?))
}

/// Writes what a coordinator leaves that has carried out so many pipelines of one job and is killed then: nothing is closed.
pub(crate) async fn fill(state: &Path, pipelines: usize) -> Outcome<Value> {
    std::fs::create_dir_all(state)?;
    let (mut journal, before) = open(state).await?;
    if !before.is_empty() {
        return Err("the state is not empty".into());
    }
    let began = Instant::now();
    let mut workshop = Workshop::open(now()?)?;
    let (mut left, mut last) = (pipelines, None);
    while left > 0 {
        let (mut begun, mut ended) = (Vec::new(), Vec::new());
        for _ in 0..left.min(TOGETHER) {
            let done = workshop.pipeline(now()?)?;
            begun.extend(done.begun);
            ended.extend(done.ended);
            last = Some(done.name);
        }
        journal.append(&begun).await?;
        journal.append(&ended).await?;
        left -= left.min(TOGETHER);
    }
    let last = last.ok_or("there is no pipeline")?;
    Ok(json!({ "pipelines": pipelines, "last": last.to_string(), "seconds": began.elapsed().as_secs_f64() }))
}

/// Asks for a finished pipeline until a coordinator answers.
pub(crate) async fn ask(url: &str, name: &str) -> Outcome<Value> {
    let began = Instant::now();
    let channel = loop {
        match connect(url, PATIENCE).await {
            Ok(channel) => break channel,
            Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    let request = GetPipelineRequest { name: name.to_owned() };
    let pipeline = JobServiceClient::new(channel).get_pipeline(request).await?.into_inner();
    match pipeline.state() {
        State::Succeeded => Ok(json!({ "seconds": began.elapsed().as_secs_f64() })),
        state => Err(format!("pipeline `{name}` is {}, expected one that has succeeded", state.as_str_name()).into()),
    }
}

/// Takes up what is in a store in this process, in the two parts that a coordinator has no answers before.
pub(crate) async fn take_up(state: &Path) -> Outcome<Value> {
    let began = Instant::now();
    let (_journal, records) = open(state).await?;
    let read = began.elapsed();
    let count = records.len();
    let core = Coordinator::restore(LEASE, now()?, records);
    let restored = began.elapsed() - read;
    let (read, restored) = (read.as_secs_f64(), restored.as_secs_f64());
    Ok(json!({ "records": count, "jobs": core.pipelines().count(), "read": read, "restore": restored }))
}
