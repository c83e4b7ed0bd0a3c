//! Coordinators that follow one another on one state: what was acknowledged goes on, and nothing is done twice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

mod wire;

use std::sync::Arc;

use object_store::local::LocalFileSystem;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use vismae_coordinator::journal::{DurableJournal, JournalError, OpenJournalError};
use vismae_coordinator::server::{Config, RunError, serve_with};
use vismae_proto::convert::pipeline_to_wire;
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::task_command::Command;
use vismae_proto::v1::{
    Drain, DrainWorkerRequest, ListPipelinesRequest, LogGap, LogLine, ReadLogsRequest, State, SubmitPipelineRequest,
    UndrainWorkerRequest, WorkerState, coordinator_message,
};
use wire::{Agent, Coordinator, any_port, demo, in_time, single};

/// A folder that outlives its coordinators.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Result<(DurableJournal, Vec<vismae_core::effect::Record>), OpenJournalError> {
        let store = LocalFileSystem::new_with_prefix(self.0.path()).unwrap();
        DurableJournal::open(Arc::new(store), "coordinator").await
    }

    /// A coordinator that takes over whatever an earlier one has left here, alive or not.
    async fn coordinator(&self) -> Coordinator {
        let (journal, records) = in_time(self.open()).await.unwrap();
        let shutdown = CancellationToken::new();
        let running = serve_with(journal, records, Config::new(any_port()), None, shutdown.clone()).await.unwrap();
        Coordinator::of(running, shutdown).await
    }
}

#[tokio::test]
async fn a_task_goes_on_through_a_restart_and_its_end_counts() {
    let disk = Disk::new();
    let first = disk.coordinator().await;
    first.submit(&single()).await;
    let mut agent = Agent::attach(&first, "w0", 1).await;
    let task = agent.started().await;
    // Not stopped: the next one finds what a killed one leaves.
    let second = disk.coordinator().await;
    let mut watch = second.watch("demo").await;
    let mut agent = Agent::come_back(&second, "w0", 1, &[(&task, 0)]).await;
    let view = watch.until("demo.ingest", State::Running).await;
    assert_eq!(view.jobs[0].slots, ["w0#0"]);
    agent.succeed(&task, &[("frames", 7.0)]).await;
    let (settled, command) = agent.any_command().await;
    assert_eq!((settled.as_str(), matches!(command, Command::Settle(_))), (task.as_str(), true), "{command:?}");
    let last = watch.last().await;
    assert_eq!((last.state(), last.jobs[0].attempt), (State::Succeeded, 0));
    drop(first);
    second.stop().await;
}

#[tokio::test]
async fn a_watch_goes_on_with_the_next_coordinator_and_a_log_says_what_it_may_lack() {
    let disk = Disk::new();
    let first = disk.coordinator().await;
    first.submit(&single()).await;
    let mut agent = Agent::attach(&first, "w0", 1).await;
    let task = agent.started().await;
    let say = |text: &str| Message::Log(LogLine { task: task.clone(), text: text.into(), ..Default::default() });
    let read = async |coordinator: &Coordinator, cursor: &str| {
        let request = ReadLogsRequest { job: "demo.ingest".into(), follow: true, cursor: cursor.into() };
        let mut lines = coordinator.jobs().read_logs(request).await.unwrap().into_inner();
        in_time(lines.message()).await.unwrap().unwrap()
    };
    agent.say(say("one")).await;
    let one = read(&first, "").await;
    assert_eq!((one.text.as_str(), one.gap), ("one", None));
    let seen = first.watch("demo").await.until("demo.ingest", State::Running).await;
    let second = disk.coordinator().await;
    let agent = Agent::come_back(&second, "w0", 1, &[(&task, 0)]).await;
    // It looks as it did: nothing is sent before something happens to it.
    let mut watch = second.watch_from("demo", &seen.cursor).await;
    agent.say(say("two")).await;
    let gap = read(&second, &one.cursor).await;
    assert_eq!((gap.gap, gap.text.as_str()), (Some(LogGap { lines: None }), ""));
    assert_eq!(read(&second, &gap.cursor).await.text, "two");
    agent.succeed(&task, &[]).await;
    let next = watch.message().await.unwrap().unwrap();
    assert_eq!(next.state(), State::Succeeded, "and not the running state once more");
    drop(first);
    second.stop().await;
}

#[tokio::test]
async fn an_end_that_nobody_heard_is_told_again_and_counts_once() {
    let disk = Disk::new();
    let first = disk.coordinator().await;
    first.submit(&demo()).await;
    let mut agent = Agent::attach(&first, "w0", 2).await;
    let ingest = agent.started().await;
    let second = disk.coordinator().await;
    // The task ended while nobody was there; the agent tells it, and tells it again.
    let mut agent = Agent::come_back(&second, "w0", 2, &[(&ingest, 0)]).await;
    agent.succeed(&ingest, &[]).await;
    agent.succeed(&ingest, &[]).await;
    let (one, other) = (agent.started().await, agent.started().await);
    assert_eq!([one.as_str(), other.as_str()], ["demo.pretrain/0/0", "demo.pretrain/0/1"]);
    drop(first);
    second.stop().await;
}

#[tokio::test]
async fn what_a_task_was_not_told_is_told_by_the_next_coordinator() {
    let disk = Disk::new();
    let first = disk.coordinator().await;
    first.submit(&demo()).await;
    let mut agent = Agent::attach(&first, "w0", 2).await;
    let ingest = agent.started().await;
    agent.succeed(&ingest, &[]).await;
    let (one, other) = (agent.started().await, agent.started().await);
    agent.ready(&one).await;
    agent.ready(&other).await;
    // The memberships may have been on their way when it died.
    let mut formed = first.watch("demo").await;
    while formed.message().await.unwrap().unwrap().jobs[1].generation == 0 {}
    let second = disk.coordinator().await;
    let mut agent = Agent::come_back(&second, "w0", 2, &[(&one, 0), (&other, 1)]).await;
    for _ in 0..2 {
        match agent.command().await {
            (_, Command::Membership(membership)) => assert_eq!(membership.generation, 1),
            other => panic!("expected a membership, got {other:?}"),
        }
    }
    // And a task that it never heard of is started, in its slot.
    let third = disk.coordinator().await;
    let mut agent = Agent::come_back(&third, "w0", 2, &[(&one, 0)]).await;
    match agent.command().await {
        (task, Command::Membership(_) | Command::Stop(_)) => assert_eq!(task, one),
        other => panic!("{other:?}"),
    }
    drop((first, second));
    third.stop().await;
}

#[tokio::test]
async fn a_start_that_never_arrived_is_sent_again_and_a_task_nobody_wants_is_stopped() {
    let disk = Disk::new();
    let first = disk.coordinator().await;
    first.submit(&single()).await;
    let mut agent = Agent::attach(&first, "w0", 2).await;
    let task = agent.started().await;
    let second = disk.coordinator().await;
    let mut agent = Agent::come_back(&second, "w0", 2, &[("gone.ingest/0/0", 1)]).await;
    let (stopped, command) = agent.command().await;
    assert!(stopped == "gone.ingest/0/0" && matches!(command, Command::Stop(_)), "{stopped} {command:?}");
    assert_eq!(agent.started().await, task);
    drop(first);
    second.stop().await;
}

#[tokio::test]
async fn a_request_is_answered_as_before_and_over_pipelines_are_still_known() {
    let disk = Disk::new();
    let request = SubmitPipelineRequest {
        spec: Some(pipeline_to_wire(&single())),
        request_id: "7d3f2a54-3b0f-4a4c-9d54-0e3a1f9c2b11".into(),
        ..Default::default()
    };
    let first = disk.coordinator().await;
    let before = first.jobs().submit_pipeline(request.clone()).await.unwrap().into_inner();
    first.submit(&single()).await;
    first
        .jobs()
        .cancel_pipeline(vismae_proto::v1::CancelPipelineRequest { name: "demo-2".into(), ..Default::default() })
        .await
        .unwrap();
    first.stop().await;
    let second = disk.coordinator().await;
    let after = second.jobs().submit_pipeline(request).await.unwrap().into_inner();
    assert_eq!((after.name, after.create_time), (before.name, before.create_time));
    let all = second.jobs().list_pipelines(ListPipelinesRequest::default()).await.unwrap().into_inner().pipelines;
    let all: Vec<_> = all.iter().map(|pipeline| (pipeline.name.as_str(), pipeline.state())).collect();
    assert_eq!(all, [("demo", State::Pending), ("demo-2", State::Cancelled)]);
    second.stop().await;
}

#[tokio::test]
async fn a_drained_worker_gets_no_tasks_from_the_next_coordinator_either() {
    let disk = Disk::new();
    let first = disk.coordinator().await;
    first.submit(&single()).await;
    let mut agent = Agent::attach(&first, "w0", 1).await;
    let task = agent.started().await;
    let drain = DrainWorkerRequest { name: "w0".to_owned(), ..Default::default() };
    first.workers().drain_worker(drain).await.unwrap();
    // Killed before the agent has heard of it, which goes on with its task.
    let second = disk.coordinator().await;
    let mut agent = Agent::come_back(&second, "w0", 1, &[(&task, 0)]).await;
    let told = in_time(agent.hear()).await.unwrap();
    assert_eq!(told, Some(coordinator_message::Message::Drain(Drain {})), "behind the welcome");
    drop((first, agent));
    // Its agent is started again, and the coordinator too.
    let third = disk.coordinator().await;
    let mut again = Agent::attach(&third, "w0", 1).await;
    let mut other = Agent::attach(&third, "w1", 1).await;
    assert_eq!(other.started().await, "demo.ingest/1/0");
    let undo = UndrainWorkerRequest { name: "w0".to_owned(), ..Default::default() };
    let worker = third.workers().undrain_worker(undo).await.unwrap().into_inner();
    assert_eq!(worker.state(), WorkerState::Active);
    third.submit(&single()).await;
    assert_eq!(again.started().await, "demo-2.ingest/0/0");
    drop(second);
    third.stop().await;
}

#[tokio::test]
async fn the_newer_of_two_coordinators_fences_the_older_which_says_so() {
    let disk = Disk::new();
    let mut older = disk.coordinator().await;
    let newer = disk.coordinator().await;
    // Without a single write: it would otherwise go on talking to its workers.
    let error = in_time(older.running.ended()).await.unwrap_err();
    assert!(matches!(error, RunError::Journal(JournalError::Fenced)), "{error}");
    in_time(older.running.ended()).await.unwrap();
    newer.submit(&single()).await;
    newer.stop().await;
}

#[tokio::test]
async fn what_a_newer_version_or_nobody_wrote_is_refused_by_name() {
    let disk = Disk::new();
    let put = async |key: &str, value: &str| {
        let store = LocalFileSystem::new_with_prefix(disk.0.path()).unwrap();
        let db = slatedb::Db::open("coordinator", Arc::new(store)).await.unwrap();
        db.put(key, value).await.unwrap();
        db.close().await.unwrap();
    };
    let refused = async || in_time(disk.open()).await.err().unwrap().to_string();
    put("schema", "2").await;
    assert_eq!(
        refused().await,
        "the coordinator's state has form 2, expected at most 1: start the newer version that wrote it"
    );
    put("schema", "1").await;
    put("job/demo.ingest", "\u{1}").await;
    let told = refused().await;
    assert!(told.starts_with("the coordinator's state is damaged: record `job/demo.ingest` can't be read"), "{told}");
}
