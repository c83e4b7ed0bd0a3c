//! Clients that come back: what they have seen is not sent again, and what they have missed is.

#![allow(clippy::unwrap_used, reason = "a broken expectation is a failed test")]

mod wire;

use tonic::Code;
use vismae_proto::status;
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{
    CancelPipelineRequest, GetPipelineRequest, LogLine, Pipeline, Progress, ReadLogsRequest, State,
};
use wire::{Agent, Coordinator, in_time, single};

async fn get(coordinator: &Coordinator) -> Pipeline {
    let request = GetPipelineRequest { name: "demo".into() };
    coordinator.jobs().get_pipeline(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_watch_goes_on_behind_its_cursor() {
    let coordinator = Coordinator::start().await;
    let submitted = coordinator.submit(&single()).await;
    let seen = coordinator.watch("demo").await.message().await.unwrap().unwrap();
    assert_eq!(seen, submitted, "the answer to a submission is the first view");
    let mut again = coordinator.watch_from("demo", &seen.cursor).await;
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    let task = agent.started().await;
    let next = again.message().await.unwrap().unwrap();
    assert_ne!(next.cursor, seen.cursor);
    // From an older place, or one that nobody ever gave, everything there is is new.
    for old in [&seen.cursor, "nonsense"] {
        let now = coordinator.watch_from("demo", old).await.message().await.unwrap().unwrap();
        assert_eq!(now.state(), State::Running);
    }
    agent.succeed(&task, &[("frames", 1.0), ("bytes", 2.0), ("seconds", 3.0)]).await;
    let last = again.last().await;
    assert_eq!(last.state(), State::Succeeded);
    let mut after = coordinator.watch_from("demo", &last.cursor).await;
    assert_eq!(after.message().await.unwrap(), None, "whoever has seen the end hears of nothing more");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_cancellation_that_was_decided_on_an_older_view_is_refused() {
    let coordinator = Coordinator::start().await;
    coordinator.submit(&single()).await;
    let before = get(&coordinator).await;
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    let task = agent.started().await;
    let cancel = |etag: &str| {
        let request = CancelPipelineRequest { name: "demo".into(), etag: etag.into() };
        let mut jobs = coordinator.jobs();
        async move { jobs.cancel_pipeline(request).await }
    };
    let refused = cancel(&before.etag).await.unwrap_err();
    let reason = tonic_types::StatusExt::get_details_error_info(&refused).unwrap().reason;
    assert_eq!((refused.code(), reason.as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    assert!(status::explain(&refused).contains("`demo` has changed"), "{refused}");
    let running = get(&coordinator).await;
    assert_eq!(running.state(), State::Running, "nothing was cancelled");
    // How far a job is changes all the time, and nobody's mind.
    let progress = Progress { done: 3, total: 9, ..Default::default() };
    agent.report(&task, Event::Progress(progress)).await;
    let mut watch = coordinator.watch_from("demo", &running.cursor).await;
    let advanced = watch.message().await.unwrap().unwrap();
    assert_eq!((advanced.jobs[0].progress.is_some(), &advanced.etag), (true, &running.etag));
    assert_eq!(cancel(&running.etag).await.unwrap().into_inner().state(), State::Cancelling);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_log_goes_on_behind_its_cursor() {
    let coordinator = Coordinator::start().await;
    coordinator.submit(&single()).await;
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    let task = agent.started().await;
    let say = async |text: &str| {
        agent.say(Message::Log(LogLine { task: task.clone(), text: text.into(), ..Default::default() })).await;
    };
    let read = async |cursor: &str| {
        let request = ReadLogsRequest { job: "demo.ingest".into(), follow: true, cursor: cursor.into() };
        coordinator.jobs().read_logs(request).await.map(tonic::Response::into_inner)
    };
    say("one").await;
    say("two").await;
    let mut first = read("").await.unwrap();
    let one = in_time(first.message()).await.unwrap().unwrap();
    drop(first);
    let mut second = read(&one.cursor).await.unwrap();
    let two = in_time(second.message()).await.unwrap().unwrap();
    assert_eq!((one.text.as_str(), two.text.as_str()), ("one", "two"));
    let mut third = read(&two.cursor).await.unwrap();
    say("three").await;
    assert_eq!(in_time(third.message()).await.unwrap().unwrap().text, "three");
    let refused = read("somewhere").await.unwrap_err();
    assert!(status::explain(&refused).contains("`cursor` is `somewhere`"), "{refused}");
    coordinator.stop().await;
}
