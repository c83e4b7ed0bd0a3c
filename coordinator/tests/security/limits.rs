//! Limits: on sizes, rates, streams and patience.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use vismae_coordinator::server::{Config, serve};
use vismae_core::spec::PipelineSpec;
use vismae_proto::client::connect;
use vismae_proto::convert::pipeline_to_wire;
use vismae_proto::v1::job_service_client::JobServiceClient;
use vismae_proto::v1::{ListPipelinesRequest, SubmitPipelineRequest, WatchPipelineRequest};

use super::wire::{Coordinator, PATIENCE, any_port, in_time, single};
use super::{ACCESS, Guarded, reason};

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_as_such() {
    let coordinator = Coordinator::start().await;
    let mut wire = pipeline_to_wire(&single());
    wire.store_url = format!("file:///{}", "x".repeat(5 << 20));
    let request = SubmitPipelineRequest { spec: Some(wire), ..Default::default() };
    let refused = coordinator.jobs().submit_pipeline(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "LIMIT_EXCEEDED"), "{refused}");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_caller_that_asks_too_often_is_told_when_to_come_back_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let access = folder.path().join("access.toml");
    let few =
        ACCESS.replace("requests_per_second = 1000", "requests_per_second = 1").replace("burst = 1000", "burst = 3");
    std::fs::write(&access, few).unwrap();
    let guarded = Guarded::with(|config| config.access = Some(access)).await;
    let mut viewer = guarded.holder("viewer").await;
    let mut refused = None;
    for _ in 0..100 {
        match viewer.list_pipelines(ListPipelinesRequest::default()).await {
            Ok(_) => {}
            Err(status) => refused = Some(status),
        }
    }
    let refused = refused.unwrap();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "LIMIT_EXCEEDED"));
    let retry = refused.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    assert!(retry > Duration::ZERO && retry <= Duration::from_secs(1), "{retry:?}");
    guarded.holder("submitter").await.list_pipelines(ListPipelinesRequest::default()).await.unwrap();
    // Whoever guesses is slowed down too.
    let mut guesser = guarded.holder("guess").await;
    let mut codes = Vec::new();
    for _ in 0..10 {
        codes.push(guesser.list_pipelines(ListPipelinesRequest::default()).await.unwrap_err().code());
    }
    assert!(codes.contains(&Code::Unauthenticated) && codes.contains(&Code::ResourceExhausted), "{codes:?}");
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn a_caller_has_so_many_streams_and_gets_them_back() {
    let guarded = Guarded::start().await;
    let mut operator = guarded.holder("operator").await;
    let spec = PipelineSpec { ..single() };
    operator
        .submit_pipeline(SubmitPipelineRequest { spec: Some(pipeline_to_wire(&spec)), ..Default::default() })
        .await
        .unwrap();
    let watch = || WatchPipelineRequest { name: "demo".to_owned(), ..Default::default() };
    let held = [operator.watch_pipeline(watch()).await.unwrap(), operator.watch_pipeline(watch()).await.unwrap()];
    let refused = operator.watch_pipeline(watch()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    drop(held);
    let again = async { while operator.watch_pipeline(watch()).await.is_err() {} };
    in_time(again).await;
    guarded.coordinator.stop().await;
}

/// Sends some bytes and then nothing, until the other side has had enough.
async fn hold(address: std::net::SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // However it ends: closed, or reset.
    let _ = in_time(stream.read_to_end(&mut answer)).await;
}

#[tokio::test]
async fn whoever_keeps_its_words_back_loses_the_connection() {
    let patience = Duration::from_millis(300);
    let guarded = Guarded::with(|config| config.patience = patience).await;
    let address = guarded.coordinator.running.address();
    hold(address, b"").await;
    hold(address, b"\x16\x03\x01").await;
    hold(address, b"GET / HTTP/1.1\r\n").await;
    guarded.coordinator.stop().await;

    let shutdown = CancellationToken::new();
    let config = Config { patience, ..Config::new(any_port()) };
    let plain = Coordinator::of(serve(config, None, shutdown.clone()).await.unwrap(), shutdown).await;
    hold(plain.running.address(), b"").await;
    hold(plain.running.address(), b"PRI * HTTP/2.0").await;
    plain.submit(&single()).await;
    plain.stop().await;
}

#[tokio::test]
async fn whoever_is_not_let_in_does_not_stay() {
    let guarded = Guarded::with(|config| config.timeout = Duration::from_millis(500)).await;
    let mut known = guarded.holder("operator").await;
    let request = SubmitPipelineRequest { spec: Some(pipeline_to_wire(&single())), ..Default::default() };
    known.submit_pipeline(request).await.unwrap();
    let watch = WatchPipelineRequest { name: "demo".to_owned(), ..Default::default() };
    let mut watched = known.watch_pipeline(watch).await.unwrap().into_inner();
    assert!(watched.message().await.unwrap().is_some());
    // A stranger may ask how the coordinator is, and hears of it until it is shown the door.
    let mut health = HealthClient::new(guarded.channel().await);
    let mut told = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert!(told.message().await.unwrap().is_some());
    let refused = in_time(told.message()).await;
    assert!(!matches!(refused, Ok(Some(_))), "{refused:?}");
    // Whoever was let in is left alone.
    let more = tokio::time::timeout(Duration::from_secs(1), watched.message()).await;
    assert!(more.is_err(), "{more:?}");
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let shutdown = CancellationToken::new();
    let config = Config { connections_per_address: 3, ..Config::new(any_port()) };
    let coordinator = Coordinator::of(serve(config, None, shutdown.clone()).await.unwrap(), shutdown).await;
    let address = coordinator.running.address();
    let held = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    // With that of the client it has three.
    hold(address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    coordinator.submit(&single()).await;
    drop(held);
    let enters = async {
        while match connect(&coordinator.running.url(), PATIENCE).await {
            Ok(channel) => {
                JobServiceClient::new(channel).list_pipelines(ListPipelinesRequest::default()).await.is_err()
            }
            Err(_) => true,
        } {}
    };
    in_time(enters).await;
    coordinator.stop().await;
}

#[tokio::test]
async fn whoever_does_not_answer_a_probe_is_gone() {
    let shutdown = CancellationToken::new();
    let config = Config { keepalive: Duration::from_millis(200), ..Config::new(any_port()) };
    let coordinator = Coordinator::of(serve(config, None, shutdown.clone()).await.unwrap(), shutdown).await;
    // A preface and empty settings: a connection that is fine, of a peer that reads on and says no more.
    hold(coordinator.running.address(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    // One that answers is left alone, though it asks for nothing for longer.
    coordinator.submit(&single()).await;
    coordinator.stop().await;
}

#[tokio::test]
async fn a_request_that_never_arrives_whole_is_given_up() {
    let timeout = Duration::from_millis(300);
    never_whole(Config { timeout, ..Config::new(any_port()) }, None).await;
}

#[tokio::test]
async fn a_client_may_have_less_time_than_the_coordinator_gives() {
    never_whole(Config { timeout: PATIENCE * 10, ..Config::new(any_port()) }, Some("300m")).await;
}

/// Sends the head of a message and never the rest of it, with a deadline of its own or without. By HTTP/2 alone: clients of gRPC keep
/// their deadlines themselves.
async fn never_whole(config: Config, deadline: Option<&str>) {
    let shutdown = CancellationToken::new();
    let coordinator = Coordinator::of(serve(config, None, shutdown.clone()).await.unwrap(), shutdown).await;
    let stream = TcpStream::connect(coordinator.running.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connected = tokio::spawn(connection);
    let request = http::Request::post(format!("{}/vismae.v1.JobService/SubmitPipeline", coordinator.running.url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let request = match deadline {
        Some(deadline) => request.header("grpc-timeout", deadline),
        None => request,
    };
    let (answer, mut body) = client.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
    // A message of 100 bytes, and never the bytes.
    body.send_data(bytes::Bytes::from_static(&[0, 0, 0, 0, 100]), false).unwrap();
    let answer = in_time(answer).await.unwrap();
    let status = tonic::Status::from_header_map(answer.headers()).unwrap();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status}");
    connected.abort();
    coordinator.stop().await;
}
