//! Agents: certificates, names, and what they may speak about.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use vismae_core::ids::NamespaceName;
use vismae_core::spec::PipelineSpec;
use vismae_proto::client::{ConnectError, Trust, connect_with};
use vismae_proto::convert::pipeline_to_wire;
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::agent_service_client::AgentServiceClient;
use vismae_proto::v1::{
    AgentMessage, GetPipelineRequest, Hello, LogLine, ReadLogsRequest, State, SubmitPipelineRequest,
    coordinator_message,
};

use super::authority::Signed;
use super::wire::{Agent, PATIENCE, in_time, single};
use super::{Authority, Guarded};

fn hello(worker: &str) -> AgentMessage {
    let hello = Hello { worker: worker.to_owned(), devices: vec!["cpu".to_owned()], ..Default::default() };
    AgentMessage { message: Some(Message::Hello(hello)) }
}

/// What becomes of an agent with a certificate: the coordinator's first word, or why there is none.
async fn attach_with(
    guarded: &Guarded,
    signed: Option<Signed>,
    worker: &str,
) -> Result<coordinator_message::Message, String> {
    let identity = signed.map(|signed| {
        signed.write(guarded.folder.path(), "agent");
        (guarded.path("agent.pem"), guarded.path("agent.key"))
    });
    let trust = Trust { ca: Some(guarded.path("ca.pem")), identity };
    let channel = connect_with(&guarded.url(), &trust, PATIENCE).await.map_err(|error| error.to_string())?;
    let (outbound, queue) = mpsc::channel(1);
    outbound.send(hello(worker)).await.unwrap();
    let attached = in_time(AgentServiceClient::new(channel).attach(ReceiverStream::new(queue))).await;
    let mut inbound = attached.map_err(|status| format!("{:?}: {}", status.code(), status.message()))?.into_inner();
    let first = in_time(inbound.message()).await.map_err(|status| status.to_string())?;
    Ok(first.and_then(|message| message.message).unwrap())
}

#[tokio::test]
async fn an_agent_is_who_its_certificate_says() {
    let guarded = Guarded::start().await;
    let issue = |name: &str| Some(guarded.authority.issue(name));
    for (signed, worker) in [(issue("gpu-1"), "gpu-1"), (issue("gpu-2.workers.vismae.svc"), "gpu-2")] {
        let first = attach_with(&guarded, signed, worker).await.unwrap();
        assert!(matches!(first, coordinator_message::Message::Welcome(_)), "{worker}: {first:?}");
    }
    for (signed, worker) in
        [(issue("gpu-1"), "gpu-3"), (issue("gpu-30"), "gpu-3"), (issue("x.gpu-3"), "gpu-3"), (issue("*.svc"), "gpu-3")]
    {
        let first = attach_with(&guarded, signed, worker).await.unwrap();
        let coordinator_message::Message::Refused(refused) = first else { panic!("{worker}: {first:?}") };
        assert!(refused.reason.contains("expected one with the DNS name `gpu-3`"), "{}", refused.reason);
    }
    let outcomes: Vec<_> = guarded.audit().iter().map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect();
    assert_eq!(outcomes, ["OK", "OK", "REFUSED", "REFUSED", "REFUSED", "REFUSED"]);
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn an_agent_without_a_certificate_that_is_believed_is_not_let_in() {
    let guarded = Guarded::start().await;
    let without = attach_with(&guarded, None, "gpu-1").await.unwrap_err();
    assert!(without.contains("Unauthenticated") && without.contains("`--cert`"), "{without}");
    let stranger = Authority::new().issue("gpu-1");
    assert!(attach_with(&guarded, Some(stranger), "gpu-1").await.is_err(), "signed by another authority");
    let expired = guarded.authority.issue_expired("gpu-1");
    assert!(attach_with(&guarded, Some(expired), "gpu-1").await.is_err(), "expired");
    assert!(attach_with(&guarded, Some(guarded.authority.issue("gpu-1")), "gpu-1").await.is_ok());
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn agents_of_a_new_authority_are_let_in_without_a_restart_and_those_of_the_old_one_no_more() {
    let guarded = Guarded::start().await;
    let next = Authority::new();
    assert!(attach_with(&guarded, Some(next.issue("gpu-1")), "gpu-1").await.is_err(), "not known yet");
    next.write(guarded.folder.path(), "client-ca");
    let renewed = async { while attach_with(&guarded, Some(next.issue("gpu-1")), "gpu-1").await.is_err() {} };
    in_time(renewed).await;
    let old = attach_with(&guarded, Some(guarded.authority.issue("gpu-2")), "gpu-2").await;
    assert!(old.is_err(), "{old:?}");
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn an_agent_does_not_believe_a_coordinator_of_another_authority_or_name() {
    let guarded = Guarded::start().await;
    Authority::new().write(guarded.folder.path(), "other-ca");
    let other = Trust { ca: Some(guarded.path("other-ca.pem")), identity: None };
    let error = connect_with(&guarded.url(), &other, PATIENCE).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Untrusted { .. }), "{error}");
    let trust = Trust { ca: Some(guarded.path("ca.pem")), identity: None };
    let by_address = guarded.url().replace("localhost", "127.0.0.1");
    assert!(connect_with(&by_address, &trust, PATIENCE).await.is_err(), "the certificate is for `localhost`");
    let system = Trust::default();
    assert!(connect_with(&guarded.url(), &system, PATIENCE).await.is_err(), "not signed by an authority of the system");
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn an_agent_speaks_for_its_own_tasks_only() {
    let guarded = Guarded::start().await;
    let mut owner = Agent::attach(&guarded.coordinator, "worker-1", 1).await;
    guarded.authority.issue("worker-2").write(guarded.folder.path(), "worker-2");
    let trust = Trust {
        ca: Some(guarded.path("ca.pem")),
        identity: Some((guarded.path("worker-2.pem"), guarded.path("worker-2.key"))),
    };
    let channel = connect_with(&guarded.url(), &trust, PATIENCE).await.unwrap();
    let (outbound, queue) = mpsc::channel(8);
    let mut inbound = {
        outbound.send(hello("worker-2")).await.unwrap();
        AgentServiceClient::new(channel).attach(ReceiverStream::new(queue)).await.unwrap().into_inner()
    };
    in_time(inbound.message()).await.unwrap();

    let spec = PipelineSpec {
        namespace: NamespaceName::new("research").unwrap(),
        store_url: "file:///store/research".to_owned(),
        ..single()
    };
    let mut submitter = guarded.holder("submitter").await;
    let request = SubmitPipelineRequest { spec: Some(pipeline_to_wire(&spec)), ..Default::default() };
    submitter.submit_pipeline(request).await.unwrap();
    // The names decide between equals, so the task is the first worker's.
    let task = owner.started().await;
    let line = |text: &str| LogLine { task: task.clone(), text: text.to_owned(), ..Default::default() };
    let forged = vismae_proto::v1::TaskEvent {
        task: task.clone(),
        event: Some(vismae_proto::v1::task_event::Event::Succeeded(Default::default())),
    };
    outbound.send(AgentMessage { message: Some(Message::Log(line("forged"))) }).await.unwrap();
    outbound.send(AgentMessage { message: Some(Message::Task(forged)) }).await.unwrap();
    // Its answer shows that both have been heard.
    in_time(inbound.message()).await.unwrap();
    let seen = submitter.get_pipeline(GetPipelineRequest { name: "demo".to_owned() }).await.unwrap().into_inner();
    assert_eq!(seen.jobs[0].state(), State::Running, "another worker has ended the job");

    owner.say(Message::Log(line("genuine"))).await;
    owner.succeed(&task, &[]).await;
    let follow = ReadLogsRequest { job: "demo.ingest".to_owned(), follow: true, ..Default::default() };
    let mut lines = submitter.read_logs(follow).await.unwrap().into_inner();
    let mut texts = Vec::new();
    while let Some(line) = in_time(lines.message()).await.unwrap() {
        texts.push(line.text);
    }
    assert_eq!(texts, ["genuine"]);
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn a_message_of_an_agent_has_a_limit() {
    let guarded = Guarded::start().await;
    let (outbound, queue) = mpsc::channel(1);
    outbound.send(hello(&"x".repeat(2 << 20))).await.unwrap();
    let mut client = AgentServiceClient::new(guarded.coordinator.channel.clone());
    let mut inbound = client.attach(ReceiverStream::new(queue)).await.unwrap().into_inner();
    let ended = in_time(inbound.message()).await;
    assert!(
        !matches!(&ended, Ok(Some(message)) if matches!(message.message, Some(coordinator_message::Message::Welcome(_))))
    );
    assert_ne!(ended.err().map(|status| status.code()), Some(Code::Ok));
    guarded.coordinator.stop().await;
}
