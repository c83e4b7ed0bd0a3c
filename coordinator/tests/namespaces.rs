//! Namespaces over the wire.
#![allow(clippy::unwrap_used, reason = "a broken expectation is a failed test")]

mod wire;

use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use vismae_core::ids::NamespaceName;
use vismae_core::spec::PipelineSpec;
use vismae_proto::convert::pipeline_to_wire;
use vismae_proto::v1::namespace_service_client::NamespaceServiceClient;
use vismae_proto::v1::{
    Borrowing, DeleteNamespaceRequest, GetNamespaceRequest, ListNamespacesRequest, Namespace, Quota, State,
    SubmitPipelineRequest, UpdateNamespaceRequest,
};
use wire::{Agent, Coordinator, single};

fn namespaces(coordinator: &Coordinator) -> NamespaceServiceClient<Channel> {
    NamespaceServiceClient::new(coordinator.channel.clone())
}

fn left(etag: &str) -> UpdateNamespaceRequest {
    let quota = Some(Quota { cpu: Some(1), cuda: None });
    let namespace =
        Namespace { name: "left".into(), quota, etag: etag.into(), max_pending: Some(1), ..Default::default() };
    UpdateNamespaceRequest { namespace: Some(namespace), update_mask: None, allow_missing: etag.is_empty() }
}

async fn submit(coordinator: &Coordinator, name: &str, validate_only: bool) -> Result<String, Status> {
    let spec = PipelineSpec { namespace: NamespaceName::new("left").unwrap(), ..single() };
    let spec = Some(vismae_proto::v1::PipelineSpec { name: name.into(), ..pipeline_to_wire(&spec) });
    let request = SubmitPipelineRequest { spec, validate_only, ..Default::default() };
    coordinator.jobs().submit_pipeline(request).await.map(|answer| answer.into_inner().name)
}

#[tokio::test]
async fn a_namespace_is_made_used_changed_and_deleted() {
    let coordinator = Coordinator::start().await;
    let mut client = namespaces(&coordinator);
    let unknown = submit(&coordinator, "one", true).await.unwrap_err();
    assert_eq!(unknown.get_error_details().bad_request().unwrap().field_violations[0].field, "namespace");
    let missing = UpdateNamespaceRequest { allow_missing: false, ..left("") };
    assert_eq!(client.update_namespace(missing).await.unwrap_err().code(), Code::NotFound);

    let made = client.update_namespace(left("")).await.unwrap().into_inner();
    assert_eq!(made.usage.unwrap().pending, 0);
    let _agent = Agent::attach(&coordinator, "w0", 2).await;
    submit(&coordinator, "one", false).await.unwrap();
    submit(&coordinator, "two", false).await.unwrap();
    let full = submit(&coordinator, "three", false).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted, "{full}");
    let details = full.get_error_details();
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, "namespace:left");
    assert!(details.retry_info().is_some());

    let now = client.get_namespace(GetNamespaceRequest { name: "left".into() }).await.unwrap().into_inner();
    let usage = now.usage.unwrap();
    assert_eq!((usage.used.unwrap().cpu, usage.borrowed.unwrap().cpu, usage.pending), (1, 0, 1));

    let stale = client.update_namespace(left("7")).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted, "{stale}");
    let mut more = left(&made.etag);
    more.namespace.as_mut().unwrap().borrowing = Some(Borrowing { limit: None });
    assert_ne!(client.update_namespace(more.clone()).await.unwrap().into_inner().etag, made.etag);
    assert_eq!(client.update_namespace(more).await.unwrap_err().code(), Code::Aborted, "it has changed since");
    coordinator.watch("two").await.until("two.ingest", State::Running).await;

    let delete = |name: &str| DeleteNamespaceRequest { name: name.into(), etag: String::new() };
    assert_eq!(client.delete_namespace(delete("left")).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(client.delete_namespace(delete("default")).await.unwrap_err().code(), Code::FailedPrecondition);
    let request = ListNamespacesRequest { page_size: 1, page_token: String::new() };
    let page = client.list_namespaces(request).await.unwrap().into_inner();
    assert_eq!((page.namespaces.len(), page.namespaces[0].name.as_str()), (1, "default"));
    let request = ListNamespacesRequest { page_size: 1, page_token: page.next_page_token };
    let page = client.list_namespaces(request).await.unwrap().into_inner();
    assert_eq!((page.namespaces[0].name.as_str(), page.next_page_token.as_str()), ("left", ""));
    coordinator.stop().await;
}
