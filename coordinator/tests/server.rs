//! How a coordinator starts, what it serves besides its own protocol, and how it ends.

mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use vismae_coordinator::journal::{Journal, JournalError};
use vismae_coordinator::metrics;
use vismae_coordinator::server::{Admin, Config, ServeError, serve, serve_with};
use vismae_core::effect::Record;
use vismae_proto::convert::pipeline_to_wire;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{Cause, Failed, Progress, State};
use vismae_proto::v1::{GetPipelineRequest, ListWorkersRequest, SubmitPipelineRequest};
use wire::{Agent, Coordinator, any_port, in_time, single};

#[tokio::test]
async fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind(any_port()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = serve(Config::new(address), None, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ServeError::InUse { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(&format!("`{address}` is in use")) && message.contains("`--listen`"), "{message}");

    let admin = Admin { listen: address, recorder: metrics::recorder().unwrap() };
    let error = serve(Config::new(any_port()), Some(admin), CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("`--admin`"), "{error}");
}

#[tokio::test]
async fn an_address_that_others_reach_must_be_asked_for() {
    let open = ([0, 0, 0, 0], 0).into();
    let error = serve(Config::new(open), None, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ServeError::Exposed { .. }) && error.to_string().contains("`--insecure`"), "{error}");
    let admin = || Admin { listen: open, recorder: metrics::recorder().unwrap() };
    let error = serve(Config::new(any_port()), Some(admin()), CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("`--insecure-admin`"), "{error}");
    let shutdown = CancellationToken::new();
    let config = Config { insecure: true, ..Config::new(open) };
    let mut running = serve(config, None, shutdown.clone()).await.unwrap();
    assert_ne!(running.address().port(), 0);
    shutdown.cancel();
    in_time(running.ended()).await.unwrap();
}

#[tokio::test]
async fn the_protocol_describes_itself() {
    let coordinator = Coordinator::start().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(coordinator.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = in_time(answers.next()).await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("{answer:?}") };
    let services: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for service in
        ["grpc.health.v1.Health", "vismae.v1.AgentService", "vismae.v1.JobService", "vismae.v1.WorkerService"]
    {
        assert!(services.iter().any(|name| name == service), "{service} is not among {services:?}");
    }
    drop(answers);
    coordinator.stop().await;
}

#[tokio::test]
async fn each_service_reports_its_health() {
    let coordinator = Coordinator::start().await;
    let mut client = HealthClient::new(coordinator.channel.clone());
    for service in ["", "vismae.v1.JobService"] {
        let answer = client.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
    coordinator.stop().await;
}

#[tokio::test]
async fn shutdown_ends_every_stream_and_says_so() {
    let mut coordinator = Coordinator::start().await;
    coordinator.submit(&single()).await;
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    agent.started().await;
    let mut watch = coordinator.watch("demo").await;
    watch.until("demo.ingest", State::Running).await;
    coordinator.shutdown.cancel();
    let status = agent.hear().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "the coordinator is shutting down"));
    let status = watch.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    in_time(coordinator.running.ended()).await.unwrap();
}

/// Keeps nothing once it is broken.
struct Breakable(Arc<AtomicBool>);

impl Journal for Breakable {
    async fn append(&mut self, _: &[Record]) -> Result<(), JournalError> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(JournalError::Failed { problem: "the disk is full".into() }),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn what_can_not_be_kept_is_neither_answered_nor_sent() {
    let (broken, shutdown) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let journal = Breakable(Arc::clone(&broken));
    let running = serve_with(journal, Vec::new(), Config::new(any_port()), None, shutdown.clone()).await.unwrap();
    let mut coordinator = Coordinator::of(running, shutdown).await;
    coordinator.submit(&single()).await;
    broken.store(true, Ordering::Relaxed);
    let mut agent = Agent::hello(&coordinator, "w0", 1).await;
    let status = agent.hear().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "neither a welcome nor a start");
    let request = SubmitPipelineRequest { spec: Some(pipeline_to_wire(&single())), ..Default::default() };
    assert_eq!(coordinator.jobs().submit_pipeline(request).await.unwrap_err().code(), Code::Unavailable);
    let error = in_time(coordinator.running.ended()).await.unwrap_err();
    assert_eq!(error.to_string(), "the coordinator's records could not be kept: the disk is full");
}

#[tokio::test]
async fn metrics_are_exported_under_their_names() {
    let shutdown = CancellationToken::new();
    let admin = Admin { listen: any_port(), recorder: metrics::recorder().unwrap() };
    let running = serve(Config::new(any_port()), Some(admin), shutdown.clone()).await.unwrap();
    let address = running.admin().unwrap();
    let coordinator = Coordinator::of(running, shutdown).await;
    coordinator.submit(&single()).await;
    let mut agent = Agent::attach(&coordinator, "w0", 1).await;
    let task = agent.started().await;
    let progress = Progress { loss: Some(0.5), images_per_second: 40.0, step_seconds: 0.2, ..Default::default() };
    agent.report(&task, Event::Progress(progress)).await;
    agent.report(&task, Event::Failed(Failed { cause: Cause::Input.into(), message: "bad".into() })).await;
    coordinator.watch("demo").await.until("demo.ingest", State::Failed).await;
    let unknown = GetPipelineRequest { name: "nowhere".to_owned() };
    assert_eq!(coordinator.jobs().get_pipeline(unknown).await.unwrap_err().code(), Code::NotFound);
    let mut made_up = tonic::client::Grpc::new(coordinator.channel.clone());
    made_up.ready().await.unwrap();
    let path = "/vismae.v1.JobService/MadeUp".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let refused = made_up.unary(tonic::Request::new(()), path, codec).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    in_time(stream.read_to_string(&mut text)).await.unwrap();
    for series in [
        "vismae_workers{state=\"active\"}",
        "vismae_slots{state=\"free\"}",
        "vismae_jobs{state=\"failed\"}",
        "vismae_step_duration_seconds_bucket{job=\"demo.ingest\",le=\"0.25\"}",
        "vismae_images_per_second{job=\"demo.ingest\"} 0",
        "vismae_loss{job=\"demo.ingest\"} 0.5",
        "vismae_tasks_failed_total{cause=\"input\"}",
        "vismae_tasks_failed_total{cause=\"worker_lost\"}",
        "vismae_membership_changes_total{reason=\"start\"}",
        "vismae_build_info{",
        "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"vismae.v1.JobService\",grpc_method=\"GetPipeline\",grpc_code=\"NotFound\"} 1",
        "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"vismae.v1.JobService\",grpc_method=\"SubmitPipeline\",grpc_code=\"OK\"}",
        "grpc_server_started_total{grpc_type=\"bidi_stream\",grpc_service=\"vismae.v1.AgentService\"",
        "grpc_server_started_total{grpc_type=\"unknown\",grpc_service=\"unknown\",grpc_method=\"unknown\"} 1",
        "grpc_server_handling_seconds_bucket{grpc_type=\"unary\",grpc_service=\"vismae.v1.JobService\",grpc_method=\"SubmitPipeline\",le=\"1\"}",
        "# HELP vismae_workers ",
        "# TYPE vismae_step_duration_seconds histogram",
    ] {
        assert!(text.contains(series), "`{series}` is missing in\n{text}");
    }
    coordinator.stop().await;
}

/// A journal on a store that is slow for a while.
struct Slow(Duration);

impl Journal for Slow {
    async fn append(&mut self, _: &[Record]) -> Result<(), JournalError> {
        tokio::time::sleep(self.0).await;
        Ok(())
    }
}

#[tokio::test]
async fn workers_are_not_blamed_for_a_store_that_is_slow() {
    let (lease, shutdown) = (Duration::from_secs(1), CancellationToken::new());
    let config = Config { lease, ..Config::new(any_port()) };
    let running = serve_with(Slow(lease * 2), Vec::new(), config, None, shutdown.clone()).await.unwrap();
    let coordinator = Coordinator::of(running, shutdown).await;
    let mut agents = Vec::new();
    for name in ["w0", "w1"] {
        agents.push(Agent::attach(&coordinator, name, 1).await);
    }
    let spec = single();
    // After the second one every lease has been looked at since the first write.
    let submitted = async {
        coordinator.submit(&spec).await;
        coordinator.submit(&spec).await;
    };
    let live = async {
        loop {
            for agent in &agents {
                agent.heartbeat().await;
            }
            tokio::time::sleep(lease / 10).await;
        }
    };
    tokio::select! {
        () = submitted => {}
        () = live => {}
    }
    let workers = coordinator.workers().list_workers(ListWorkersRequest::default()).await.unwrap().into_inner();
    assert_eq!(workers.workers.len(), 2, "both have said all the time that they live");
    let starts: Vec<_> = agents.iter_mut().map(|agent| Box::pin(agent.command())).collect();
    let (started, ..) = in_time(futures::future::select_all(starts)).await;
    assert!(started.0.starts_with("demo.ingest"), "{started:?}");
    coordinator.stop().await;
}
