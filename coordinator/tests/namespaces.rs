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
    UpdateNamespaceRequest { namespace: Some(namespace), allow_missing: etag.is_empty(), ..Default::default() }
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

    let checked = UpdateNamespaceRequest { validate_only: true, ..left("") };
    let checked = client.update_namespace(checked).await.unwrap().into_inner();
    assert_eq!((checked.quota.unwrap().cpu, checked.etag.as_str()), (Some(1), ""));
    let made = client.get_namespace(GetNamespaceRequest { name: "left".into() }).await;
    assert_eq!(made.unwrap_err().code(), Code::NotFound, "it was only checked");
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

    let delete = |name: &str| DeleteNamespaceRequest { name: name.into(), ..Default::default() };
    assert_eq!(client.delete_namespace(delete("left")).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(client.delete_namespace(delete("default")).await.unwrap_err().code(), Code::FailedPrecondition);
    let request = ListNamespacesRequest { page_size: 1, ..Default::default() };
    let page = client.list_namespaces(request).await.unwrap().into_inner();
    assert_eq!((page.namespaces.len(), page.namespaces[0].name.as_str()), (1, "default"));
    let request = ListNamespacesRequest { page_size: 1, page_token: page.next_page_token, ..Default::default() };
    let page = client.list_namespaces(request).await.unwrap().into_inner();
    assert_eq!((page.namespaces[0].name.as_str(), page.next_page_token.as_str()), ("left", ""));
    coordinator.stop().await;
}

#[tokio::test]
async fn namespaces_are_found_and_sorted_by_what_they_may_use_and_do() {
    let coordinator = Coordinator::start().await;
    let mut client = namespaces(&coordinator);
    for (name, cpu) in [("a", Some(2)), ("b", Some(8)), ("c", Some(2)), ("d", None)] {
        let namespace = Namespace { name: name.into(), quota: Some(Quota { cpu, cuda: None }), ..Default::default() };
        let request = UpdateNamespaceRequest { namespace: Some(namespace), allow_missing: true, ..Default::default() };
        client.update_namespace(request).await.unwrap();
    }
    let mut listed = async |filter: &str, order_by: &str| {
        let (mut names, mut page_token) = (String::new(), String::new());
        loop {
            let (filter, order_by) = (filter.to_owned(), order_by.to_owned());
            let request = ListNamespacesRequest { page_size: 2, page_token, filter, order_by };
            let page = client.list_namespaces(request).await?.into_inner();
            names.extend(page.namespaces.iter().map(|namespace| format!("{} ", namespace.name)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok::<_, Status>(names);
            }
        }
    };
    assert_eq!(listed("", "").await.unwrap(), "a b c d default ");
    assert_eq!(listed("", "quota.cpu desc").await.unwrap(), "b a c d default ");
    assert_eq!(listed("quota.cpu = 2 AND usage.pending = 0", "name desc").await.unwrap(), "c a ");
    let refused = listed("quota = 2", "").await.unwrap_err();
    assert_eq!(refused.get_error_details().bad_request().unwrap().field_violations[0].field, "filter");
    let refused = listed("", "colour").await.unwrap_err();
    assert_eq!(refused.get_error_details().bad_request().unwrap().field_violations[0].field, "order_by");

    let mut delete = async |validate_only| {
        let request = DeleteNamespaceRequest { name: "d".into(), validate_only, ..Default::default() };
        client.delete_namespace(request).await.map(drop)
    };
    delete(true).await.unwrap();
    delete(false).await.unwrap();
    let gone = delete(true).await.unwrap_err();
    let metadata = gone.get_error_details().error_info().unwrap().metadata.clone();
    assert_eq!((gone.code(), metadata["name"].as_str()), (Code::NotFound, "d"));
    coordinator.stop().await;
}
