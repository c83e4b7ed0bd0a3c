//! What agents see: how they are let in, believed, and sent away.

mod wire;

use std::time::Duration;

use tonic::Code;
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{
    Drain, DrainWorkerRequest, Failed, GetWorkerRequest, Heartbeat, Hello, Leaving, ListWorkersRequest, State,
    UndrainWorkerRequest, WorkerState, coordinator_message,
};
use wire::{Agent, Coordinator, in_time, single};

async fn refusal(agent: &mut Agent) -> String {
    match agent.hear().await {
        Ok(Some(coordinator_message::Message::Refused(refused))) => refused.reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn an_agent_is_told_its_timers() {
    let coordinator = Coordinator::with_lease(Duration::from_secs(7)).await;
    let mut agent = Agent::hello(&coordinator, "w0", 2).await;
    let welcome = agent.welcome().await;
    assert_eq!((welcome.heartbeat_millis, welcome.lease_millis), (1000, 7000));
    let page = coordinator.workers().list_workers(ListWorkersRequest::default()).await.unwrap().into_inner();
    assert_eq!(page.workers.len(), 1);
    let worker = &page.workers[0];
    assert_eq!((worker.name.as_str(), worker.host.as_str(), worker.state()), ("w0", "127.0.0.1", WorkerState::Active));
    assert!(worker.slots.iter().all(|slot| slot.device == "cpu" && slot.task.is_empty()));
    coordinator.stop().await;
}

#[tokio::test]
async fn an_agent_that_does_not_introduce_itself_is_refused() {
    let coordinator = Coordinator::start().await;
    let mut agent = Agent::open(&coordinator, Message::Heartbeat(Heartbeat {})).await;
    assert_eq!(refusal(&mut agent).await, "the first message is no `hello`");
    let hello = Hello { worker: "W 0".into(), devices: vec!["tpu".into()], ..Default::default() };
    let mut agent = Agent::open(&coordinator, Message::Hello(hello)).await;
    let reason = refusal(&mut agent).await;
    assert!(reason.contains("`W 0`") && reason.contains("`tpu`"), "{reason}");
    let mut agent = Agent::hello(&coordinator, "w0", 0).await;
    assert_eq!(refusal(&mut agent).await, "worker `w0` offers no slots, expected at least one");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_name_is_refused_while_its_holder_is_alive() {
    let coordinator = Coordinator::with_lease(Duration::from_millis(200)).await;
    let holder = Agent::attach(&coordinator, "w0", 1).await;
    let mut newcomer = Agent::hello(&coordinator, "w0", 1).await;
    let reason = tokio::select! {
        reason = refusal(&mut newcomer) => reason,
        () = async {
            let mut beat = tokio::time::interval(Duration::from_millis(20));
            loop {
                beat.tick().await;
                holder.heartbeat().await;
            }
        } => unreachable!("heartbeats go on for ever"),
    };
    assert!(reason.starts_with("a worker called `w0` is here already"), "{reason}");
    coordinator.stop().await;
}

#[tokio::test]
async fn the_name_of_a_silent_worker_passes_to_a_newcomer() {
    let coordinator = Coordinator::with_lease(Duration::from_millis(200)).await;
    let mut silent = Agent::attach(&coordinator, "w0", 1).await;
    Agent::attach(&coordinator, "w0", 1).await;
    let status = silent.hear().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "silent for 0.2 s"));
    coordinator.stop().await;
}

#[tokio::test]
async fn the_task_of_a_lost_worker_is_done_by_another() {
    let coordinator = Coordinator::start().await;
    coordinator.submit(&single()).await;
    let mut first = Agent::attach(&coordinator, "w0", 1).await;
    assert_eq!(first.started().await, "demo.ingest/0/0");
    let mut second = Agent::attach(&coordinator, "w1", 1).await;
    let mut watch = coordinator.watch("demo").await;
    drop(first);
    let view = watch.until("demo.ingest", State::Pending).await;
    assert_eq!(
        view.jobs[0].reason,
        "tries again after 1 s (2 tries left): `demo.ingest/0/0`: worker `w0` was lost: its connection ended"
    );
    let task = second.started().await;
    assert_eq!(task, "demo.ingest/1/0");
    second.succeed(&task, &[]).await;
    assert_eq!(watch.last().await.state(), State::Succeeded);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_leaving_worker_gets_no_new_task() {
    let coordinator = Coordinator::start().await;
    let leaving = Agent::attach(&coordinator, "w0", 1).await;
    leaving.say(Message::Leaving(Leaving {})).await;
    let mut staying = Agent::attach(&coordinator, "w1", 1).await;
    coordinator.submit(&single()).await;
    assert_eq!(staying.started().await, "demo.ingest/0/0");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_drained_worker_is_told_to_leave_and_gets_no_new_task() {
    let coordinator = Coordinator::start().await;
    let mut drained = Agent::attach(&coordinator, "w0", 1).await;
    let mut workers = coordinator.workers();
    let worker = workers.drain_worker(drain("w0")).await.unwrap().into_inner();
    assert_eq!((worker.name.as_str(), worker.state()), ("w0", WorkerState::Leaving));
    assert_eq!(in_time(drained.hear()).await.unwrap(), Some(coordinator_message::Message::Drain(Drain {})));
    let mut staying = Agent::attach(&coordinator, "w1", 1).await;
    coordinator.submit(&single()).await;
    assert_eq!(staying.started().await, "demo.ingest/0/0");
    let unknown = workers.drain_worker(drain("w7")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert!(unknown.message().contains("w7") && unknown.message().contains("w0"), "{unknown}");
    coordinator.stop().await;
}

fn drain(name: &str) -> DrainWorkerRequest {
    DrainWorkerRequest { name: name.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_worker_is_drained_only_as_it_was_seen_and_a_check_changes_nothing() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::attach(&coordinator, "w0", 1).await;
    let mut workers = coordinator.workers();
    let get = |name: &str| GetWorkerRequest { name: name.to_owned() };
    let seen = workers.get_worker(get("w0")).await.unwrap().into_inner();
    assert_eq!(seen.state(), WorkerState::Active);
    let refused = workers.get_worker(get("w1")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, "no worker is called `w1`: there is `w0`"));
    assert_eq!(workers.get_worker(get("W 1")).await.unwrap_err().code(), Code::InvalidArgument);

    let stale = DrainWorkerRequest { etag: "0123456789abcdef".to_owned(), ..drain("w0") };
    for validate_only in [true, false] {
        let refused = workers.drain_worker(DrainWorkerRequest { validate_only, ..stale.clone() }).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted, "{refused}");
        let missing = DrainWorkerRequest { validate_only, ..drain("w1") };
        assert_eq!(workers.drain_worker(missing).await.unwrap_err().code(), Code::NotFound);
    }
    let current = DrainWorkerRequest { etag: seen.etag.clone(), ..drain("w0") };
    let checked = DrainWorkerRequest { validate_only: true, ..current.clone() };
    assert_eq!(workers.drain_worker(checked).await.unwrap().into_inner(), seen, "nothing has happened");
    assert_eq!(workers.drain_worker(current.clone()).await.unwrap().into_inner().state(), WorkerState::Leaving);
    assert_eq!(workers.drain_worker(current).await.unwrap_err().code(), Code::Aborted, "it looks otherwise now");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_drained_worker_is_listed_while_it_is_away_and_until_it_works_again() {
    let coordinator = Coordinator::start().await;
    let (mut workers, undo) =
        (coordinator.workers(), UndrainWorkerRequest { name: "w0".to_owned(), ..Default::default() });
    let agent = Agent::attach(&coordinator, "w0", 2).await;
    workers.drain_worker(drain("w0")).await.unwrap();
    drop(agent);
    let mut states = async |wanted: WorkerState| loop {
        let listed = workers.list_workers(ListWorkersRequest::default()).await.unwrap().into_inner().workers;
        if listed[0].state() == wanted {
            return (listed[0].slots.len(), listed[0].join_time.is_some());
        }
    };
    assert_eq!(in_time(states(WorkerState::Away)).await, (2, false), "it is shown as it was");
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    assert_eq!(in_time(states(WorkerState::Drained)).await, (1, true));
    coordinator.submit(&single()).await;
    let answer = workers.undrain_worker(undo.clone()).await.unwrap().into_inner();
    assert_eq!(answer.state(), WorkerState::Active);
    assert_eq!(agent.started().await, "demo.ingest/0/0");
    assert_eq!(workers.undrain_worker(undo).await.unwrap().into_inner().state(), WorkerState::Active, "once more");
    coordinator.stop().await;
}

#[tokio::test]
async fn workers_are_listed_in_the_order_asked_for_page_by_page() {
    let coordinator = Coordinator::start().await;
    let mut agents = Vec::new();
    for name in ["b", "c", "a"] {
        agents.push(Agent::attach(&coordinator, name, 1).await);
    }
    let mut workers = coordinator.workers();
    workers.drain_worker(drain("c")).await.unwrap();
    drop(agents.remove(1));
    let away = async || {
        let get = GetWorkerRequest { name: "c".to_owned() };
        while coordinator.workers().get_worker(get.clone()).await.unwrap().into_inner().state() != WorkerState::Away {}
    };
    in_time(away()).await;
    let mut names = async |order_by: &str| -> Result<Vec<String>, tonic::Status> {
        let (mut names, mut page_token) = (Vec::new(), String::new());
        loop {
            let order_by = order_by.to_owned();
            let request = ListWorkersRequest { page_size: 1, page_token, order_by, ..Default::default() };
            let page = workers.list_workers(request).await?.into_inner();
            names.extend(page.workers.into_iter().map(|worker| worker.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(names);
            }
        }
    };
    for (order_by, expected) in [
        ("", ["a", "b", "c"]),
        ("name desc", ["c", "b", "a"]),
        ("join_time", ["c", "b", "a"]),
        ("join_time desc", ["a", "b", "c"]),
    ] {
        assert_eq!(names(order_by).await.unwrap(), expected, "{order_by}");
    }
    let refused = names("host").await.unwrap_err();
    assert_eq!((refused.code(), refused.message().is_empty()), (Code::InvalidArgument, false));
    coordinator.stop().await;
}

#[tokio::test]
async fn a_report_that_cannot_be_read_ends_the_stream() {
    let coordinator = Coordinator::start().await;
    coordinator.submit(&single()).await;
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    let task = agent.started().await;
    agent.report(&task, Event::Failed(Failed { cause: 0, message: "?".into() })).await;
    let status = agent.hear().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    coordinator.stop().await;
}

#[tokio::test]
async fn an_oversized_message_ends_the_stream_and_nothing_else() {
    let coordinator = Coordinator::start().await;
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    let message = "x".repeat(2 << 20);
    agent.report("demo.ingest/0/0", Event::Failed(Failed { cause: 1, message })).await;
    assert!(!matches!(agent.hear().await, Ok(Some(_))));
    Agent::attach(&coordinator, "w1", 1).await;
    coordinator.stop().await;
}
