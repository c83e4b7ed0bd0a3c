//! People: tokens, roles, namespaces, stores, and what is written down.

use http_body_util::BodyExt as _;
use prost::Message as _;
use tonic::transport::Channel;
use tonic::{Code, Status};
use vismae_core::ids::{NamespaceName, PipelineId};
use vismae_core::spec::PipelineSpec;
use vismae_proto::client::{Bearer, Trust, connect_with};
use vismae_proto::convert::pipeline_to_wire;
use vismae_proto::v1::job_service_client::JobServiceClient;
use vismae_proto::v1::namespace_service_client::NamespaceServiceClient;
use vismae_proto::v1::worker_service_client::WorkerServiceClient;
use vismae_proto::v1::{
    CancelPipelineRequest, DeleteNamespaceRequest, DrainWorkerRequest, GetNamespaceRequest, GetPipelineRequest,
    ListNamespacesRequest, ListPipelinesRequest, ListWorkersRequest, Namespace, ReadLogsRequest, SubmitPipelineRequest,
    UndrainWorkerRequest, UpdateNamespaceRequest, WatchPipelineRequest,
};

use super::wire::{Agent, PATIENCE, in_time, single};
use super::{ACCESS, Guarded, reason};

fn of_research() -> PipelineSpec {
    PipelineSpec {
        namespace: NamespaceName::new("research").unwrap(),
        store_url: "file:///store/research/one".to_owned(),
        ..single()
    }
}

fn submission(spec: &PipelineSpec) -> SubmitPipelineRequest {
    SubmitPipelineRequest { spec: Some(pipeline_to_wire(spec)), ..Default::default() }
}

fn demo() -> String {
    "demo".to_owned()
}

#[tokio::test]
async fn nobody_is_heard_without_a_token_that_is_known() {
    let guarded = Guarded::start().await;
    let mut without = JobServiceClient::new(guarded.channel().await);
    let refused = without.list_pipelines(ListPipelinesRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    assert!(refused.message().contains("`--token-file`"), "{refused}");
    for token in ["", "viewe", "viewer2", "Bearer viewer", "a.b.c"] {
        let refused = guarded.holder(token).await.list_pipelines(ListPipelinesRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{token}");
    }
    // A worker's certificate is no token.
    let mut agent = JobServiceClient::new(guarded.coordinator.channel.clone());
    let refused = agent.submit_pipeline(submission(&of_research())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn a_viewer_sees_and_changes_nothing() {
    let guarded = Guarded::start().await;
    guarded.holder("submitter").await.submit_pipeline(submission(&of_research())).await.unwrap();
    let mut viewer = guarded.holder("viewer").await;
    let seen = viewer.get_pipeline(GetPipelineRequest { name: demo() }).await.unwrap().into_inner();
    assert_eq!(seen.name, "demo");
    for refused in [
        viewer.submit_pipeline(submission(&of_research())).await.unwrap_err(),
        viewer
            .submit_pipeline(SubmitPipelineRequest { validate_only: true, ..submission(&of_research()) })
            .await
            .unwrap_err(),
        viewer.cancel_pipeline(CancelPipelineRequest { name: demo(), ..Default::default() }).await.unwrap_err(),
    ] {
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "DENIED"));
        let expected = "`token:viewer` needs the role `submitter` in namespace `research`, and has `viewer`";
        assert!(refused.message().starts_with(expected), "{refused}");
    }
    assert_eq!(viewer.list_pipelines(ListPipelinesRequest::default()).await.unwrap().into_inner().pipelines.len(), 1);
    // Workers belong to all namespaces together.
    for (role, expected) in [("submitter", Code::PermissionDenied), ("operator", Code::NotFound)] {
        let bearer = Bearer::new(Some(role), &guarded.url()).unwrap();
        let mut workers = WorkerServiceClient::with_interceptor(guarded.channel().await, bearer);
        let refused =
            workers.drain_worker(DrainWorkerRequest { name: "w0".to_owned(), ..Default::default() }).await.unwrap_err();
        assert_eq!(refused.code(), expected, "{role}: {refused}");
        let undo = UndrainWorkerRequest { name: "w0".to_owned(), ..Default::default() };
        assert_eq!(workers.undrain_worker(undo).await.unwrap_err().code(), expected, "{role}");
    }
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn what_belongs_to_another_namespace_does_not_exist() {
    let guarded = Guarded::start().await;
    guarded.holder("submitter").await.submit_pipeline(submission(&of_research())).await.unwrap();
    let mut guest = guarded.holder("guest").await;
    assert_eq!(guest.list_pipelines(ListPipelinesRequest::default()).await.unwrap().into_inner().pipelines, []);
    let there = guest.get_pipeline(GetPipelineRequest { name: demo() }).await.unwrap_err();
    let not_there = guest.get_pipeline(GetPipelineRequest { name: "nothing".to_owned() }).await.unwrap_err();
    assert_eq!(there.message().replace("`demo`", "`nothing`"), not_there.message(), "nothing shows that it exists");
    for refused in [
        guest.cancel_pipeline(CancelPipelineRequest { name: demo(), ..Default::default() }).await.unwrap_err(),
        guest.watch_pipeline(WatchPipelineRequest { name: demo(), ..Default::default() }).await.unwrap_err(),
        guest.read_logs(ReadLogsRequest { job: "demo.ingest".to_owned(), ..Default::default() }).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::NotFound, "{refused}");
        assert!(refused.message().contains("there is none"), "{refused}");
    }
    // Nor does the request of somebody else give away what came of it.
    let request_id = "7f1e8a52-9f3c-4a39-b3b3-0f6a3f6f3c11".to_owned();
    let asked = SubmitPipelineRequest { request_id: request_id.clone(), ..submission(&of_research()) };
    guarded.holder("submitter").await.submit_pipeline(asked).await.unwrap();
    let clinic = NamespaceName::new("clinic").unwrap();
    let same = SubmitPipelineRequest { request_id, ..submission(&PipelineSpec { namespace: clinic, ..single() }) };
    assert_ne!(
        guest.submit_pipeline(same).await.map(|answer| answer.into_inner().name).ok(),
        Some("demo-2".to_owned())
    );
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn a_submitter_stays_in_its_namespace_its_stores_and_its_place_in_the_queue() {
    let guarded = Guarded::start().await;
    let mut submitter = guarded.holder("submitter").await;
    let elsewhere = PipelineSpec { namespace: NamespaceName::default(), ..of_research() };
    let refused = submitter.submit_pipeline(submission(&elsewhere)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let urgent = PipelineSpec { priority: 1, ..of_research() };
    let refused = submitter.submit_pipeline(submission(&urgent)).await.unwrap_err();
    assert!(refused.message().contains("needs the role `operator`"), "{refused}");
    for store_url in [
        "file:///store/clinic",
        "file:///store/research/../clinic",
        "file:///store/research/%2e%2e/clinic",
        "s3://bucket",
    ] {
        let spec = PipelineSpec { store_url: store_url.to_owned(), ..of_research() };
        let refused = submitter.submit_pipeline(submission(&spec)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{store_url}");
        assert!(vismae_proto::status::explain(&refused).contains("`store_url` is outside"), "{store_url}: {refused}");
    }
    guarded.holder("operator").await.submit_pipeline(submission(&urgent)).await.unwrap();
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn names_lead_nowhere_else() {
    let guarded = Guarded::start().await;
    let mut operator = guarded.holder("operator").await;
    for name in ["../demo", "demo/../x", "demo%2f..", "Demo", "demo\0", "", ".", "a.b", &"x".repeat(100)] {
        let name = name.to_owned();
        let refused = operator.get_pipeline(GetPipelineRequest { name: name.clone() }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}");
        let job = format!("demo.{name}");
        let refused = operator.read_logs(ReadLogsRequest { job, ..Default::default() }).await.err().unwrap();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}");
        let mut wire = pipeline_to_wire(&of_research());
        wire.name = name.clone();
        let refused = operator.submit_pipeline(SubmitPipelineRequest { spec: Some(wire), ..Default::default() }).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument, "{name}");
        assert!(PipelineId::new(name).is_err());
    }
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn a_secret_in_a_url_is_refused_and_not_repeated() {
    let guarded = Guarded::start().await;
    let mut operator = guarded.holder("operator").await;
    for store_url in ["s3://key:hunter2@bucket/x", "az://container/x?sig=hunter2", "https://:hunter2@host/x"] {
        let spec = PipelineSpec { store_url: store_url.to_owned(), ..single() };
        let refused = operator.submit_pipeline(submission(&spec)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{store_url}");
        let words = vismae_proto::status::explain(&refused);
        assert!(words.contains("`store_url`") && !words.contains("hunter2"), "{words}");
    }
    let log = std::fs::read_to_string(guarded.path("audit.jsonl")).unwrap();
    assert!(log.contains("INVALID_ARGUMENT") && !log.contains("hunter2"), "{log}");
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn whoever_has_some_role_sees_the_workers() {
    let guarded = Guarded::start().await;
    let list = async |token: Option<&str>| {
        let bearer = Bearer::new(token, &guarded.url()).unwrap();
        let mut client = WorkerServiceClient::with_interceptor(guarded.channel().await, bearer);
        client.list_workers(ListWorkersRequest::default()).await.map(|_| ()).map_err(|status| status.code())
    };
    assert_eq!(list(Some("viewer")).await, Ok(()));
    assert_eq!(list(None).await, Err(Code::Unauthenticated));
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn it_is_written_down_who_did_what_and_who_was_refused() {
    let guarded = Guarded::start().await;
    guarded.holder("submitter").await.submit_pipeline(submission(&of_research())).await.unwrap();
    let mut viewer = guarded.holder("viewer").await;
    viewer.get_pipeline(GetPipelineRequest { name: demo() }).await.unwrap();
    viewer.cancel_pipeline(CancelPipelineRequest { name: demo(), ..Default::default() }).await.unwrap_err();
    guarded.holder("guessed").await.list_pipelines(ListPipelinesRequest::default()).await.unwrap_err();
    let entries: Vec<_> = guarded
        .audit()
        .iter()
        .map(|entry| {
            ["caller", "method", "subject", "outcome"].map(|key| entry[key].as_str().unwrap_or("-").to_owned())
        })
        .collect();
    let service = |method: &str| format!("vismae.v1.JobService/{method}");
    let expected = [
        ["token:submitter", &service("SubmitPipeline"), "namespaces/research/pipelines/demo", "OK"],
        ["token:viewer", &service("CancelPipeline"), "namespaces/research/pipelines/demo", "PERMISSION_DENIED"],
        ["unknown", &service("ListPipelines"), "-", "UNAUTHENTICATED"],
    ];
    assert_eq!(entries, expected.map(|entry| entry.map(str::to_owned)));
    let log = std::fs::read_to_string(guarded.path("audit.jsonl")).unwrap();
    assert!(!log.contains("guessed"), "a token is in the log: {log}");
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn it_is_written_down_who_drained_a_worker_and_who_let_it_work_again() {
    let guarded = Guarded::start().await;
    let _agent = Agent::attach(&guarded.coordinator, "worker-1", 1).await;
    let name = || "worker-1".to_owned();
    for role in ["viewer", "operator"] {
        let bearer = Bearer::new(Some(role), &guarded.url()).unwrap();
        let mut workers = WorkerServiceClient::with_interceptor(guarded.channel().await, bearer);
        for validate_only in [true, false] {
            let request = DrainWorkerRequest { name: name(), validate_only, ..Default::default() };
            assert_eq!(workers.drain_worker(request).await.is_ok(), role == "operator", "{role}");
        }
        let request = UndrainWorkerRequest { name: name(), ..Default::default() };
        assert_eq!(workers.undrain_worker(request).await.is_ok(), role == "operator", "{role}");
    }
    let log = guarded.audit();
    let told = |role: &str, method: &str, subject: &str| {
        let mut entries = log.iter().filter(|entry| {
            entry["caller"] == format!("token:{role}")
                && entry["method"] == format!("vismae.v1.WorkerService/{method}")
                && entry["subject"] == format!("workers/worker-1{subject}")
        });
        let outcome = entries.next().map(|entry| entry["outcome"].as_str().unwrap().to_owned());
        assert!(entries.next().is_none(), "{role} {method}{subject} is there twice");
        outcome
    };
    for (role, outcome) in [("viewer", "PERMISSION_DENIED"), ("operator", "OK")] {
        for (method, subject) in [("DrainWorker", ""), ("DrainWorker", "?validate_only"), ("UndrainWorker", "")] {
            assert_eq!(told(role, method, subject).as_deref(), Some(outcome), "{role} {method}{subject}");
        }
    }
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn a_token_that_is_taken_out_of_the_file_is_not_believed_any_more() {
    let guarded = Guarded::start().await;
    let mut viewer = guarded.holder("viewer").await;
    viewer.list_pipelines(ListPipelinesRequest::default()).await.unwrap();
    std::fs::write(guarded.path("access.toml"), "this is no access file").unwrap();
    std::fs::write(
        guarded.path("access.toml"),
        ACCESS.replace("research:viewer", "clinic:viewer").replace("d35ca", "00000"),
    )
    .unwrap();
    let refused = async { while viewer.list_pipelines(ListPipelinesRequest::default()).await.is_ok() {} };
    in_time(refused).await;
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let guarded = Guarded::start().await;
    let other = super::Authority::new();
    other.write(guarded.folder.path(), "other-ca");
    let trust = Trust { ca: Some(guarded.path("other-ca.pem")), identity: None };
    assert!(
        connect_with(&guarded.url(), &trust, PATIENCE).await.is_err(),
        "signed by an authority that is not believed"
    );
    other.issue("localhost").write(guarded.folder.path(), "coordinator");
    let renewed = async { while connect_with(&guarded.url(), &trust, PATIENCE).await.is_err() {} };
    in_time(renewed).await;
    // Connections that were there go on.
    let mut agent = JobServiceClient::new(guarded.coordinator.channel.clone());
    let answered = agent.list_pipelines(ListPipelinesRequest::default()).await.unwrap_err();
    assert_eq!(answered.code(), Code::Unauthenticated);
    guarded.coordinator.stop().await;
}

/// Every method for people, as `/package.Service/Method`.
fn methods() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(vismae_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut methods = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == "vismae.v1") {
        for service in file.service.iter().filter(|service| service.name() != "AgentService") {
            let path = |method: &str| format!("/vismae.v1.{}/{method}", service.name());
            methods.extend(service.method.iter().map(|method| path(method.name())));
        }
    }
    methods
}

/// The status and the bytes of the answer to an empty message.
async fn call(channel: &Channel, url: &str, method: &str, token: &str) -> (Code, usize) {
    let body = tonic::body::Body::new(http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5])));
    let request = http::Request::post(format!("{url}{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {token}"))
        .body(body)
        .unwrap();
    let mut channel = channel.clone();
    std::future::poll_fn(|cx| tower::Service::poll_ready(&mut channel, cx)).await.unwrap();
    let answer = in_time(tower::Service::call(&mut channel, request)).await.unwrap();
    let code = Status::from_header_map(answer.headers()).map_or(Code::Ok, |status| status.code());
    let body = in_time(answer.into_body().collect()).await.unwrap();
    (code, body.to_bytes().len())
}

#[tokio::test]
async fn no_method_tells_anything_to_somebody_without_a_role() {
    let guarded = Guarded::start().await;
    guarded.holder("submitter").await.submit_pipeline(submission(&of_research())).await.unwrap();
    let (channel, url, methods) = (guarded.channel().await, guarded.url(), methods());
    assert!(methods.len() > 10, "{methods:?}");
    for method in methods {
        assert_eq!(call(&channel, &url, &method, "stranger").await.0, Code::Unauthenticated, "{method}");
        let (code, bytes) = call(&channel, &url, &method, "nobody").await;
        // A list of nothing is a message of no bytes behind its head.
        assert!(code != Code::Ok || bytes == 5, "{method}: {code:?} with {bytes} bytes");
    }
    guarded.coordinator.stop().await;
}

#[tokio::test]
async fn namespaces_are_changed_by_their_administrators_only() {
    let guarded = Guarded::start().await;
    let update = || UpdateNamespaceRequest {
        namespace: Some(Namespace { name: "clinic".to_owned(), ..Default::default() }),
        allow_missing: true,
        ..Default::default()
    };
    let client = async |token| {
        NamespaceServiceClient::with_interceptor(
            guarded.channel().await,
            Bearer::new(Some(token), &guarded.url()).unwrap(),
        )
    };
    for token in ["viewer", "submitter", "operator"] {
        let refused = client(token).await.update_namespace(update()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{token}");
        let delete = DeleteNamespaceRequest { name: "clinic".to_owned(), ..Default::default() };
        assert_eq!(
            client(token).await.delete_namespace(delete).await.unwrap_err().code(),
            Code::PermissionDenied,
            "{token}"
        );
    }
    client("admin").await.update_namespace(update()).await.unwrap();
    let names = async |token| {
        let listed = client(token).await.list_namespaces(ListNamespacesRequest::default()).await.unwrap().into_inner();
        listed.namespaces.into_iter().map(|namespace| namespace.name).collect::<Vec<_>>()
    };
    assert_eq!(names("guest").await, ["clinic"]);
    assert_eq!(names("submitter").await, ["research"]);
    let hidden =
        client("guest").await.get_namespace(GetNamespaceRequest { name: "research".to_owned() }).await.unwrap_err();
    assert!(hidden.code() == Code::NotFound && !hidden.message().contains("default"), "{hidden}");
    guarded.coordinator.stop().await;
}
