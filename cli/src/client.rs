//! The coordinator as commands see it: calls whose failures say what to do.

use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;
use vismae_core::spec::PipelineSpec;
use vismae_proto::client::{Bearer, ConnectError, Trust, connect_with};
use vismae_proto::convert::pipeline_to_wire;
use vismae_proto::v1;
use vismae_proto::v1::job_service_client::JobServiceClient;
use vismae_proto::v1::namespace_service_client::NamespaceServiceClient;
use vismae_proto::v1::worker_service_client::WorkerServiceClient;

use crate::failure::{Exit, Failure};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A channel whose requests carry the caller's token.
type Connection = InterceptedService<Channel, Bearer>;

/// A connection to a coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Coordinator {
    jobs: JobServiceClient<Connection>,
    namespaces: NamespaceServiceClient<Connection>,
    workers: WorkerServiceClient<Connection>,
    address: String,
}

impl Coordinator {
    /// Connects to the coordinator at a URL.
    pub(crate) async fn connect(address: &str, trust: &Trust, bearer: Bearer) -> Result<Self, Failure> {
        let channel = connect_with(address, trust, CONNECT).await.map_err(|error| match error {
            ConnectError::Address { .. } | ConnectError::File { .. } => Failure::new(Exit::Usage, error),
            ConnectError::NoAnswer { .. } | ConnectError::Untrusted { .. } => Failure::new(Exit::Unreachable, error),
        })?;
        Ok(Self {
            jobs: JobServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            namespaces: NamespaceServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            workers: WorkerServiceClient::with_interceptor(channel, bearer),
            address: address.to_owned(),
        })
    }

    /// Queues a pipeline. The name in the answer has a number when the name asked for was taken.
    pub(crate) async fn submit(&mut self, spec: &PipelineSpec, validate_only: bool) -> Result<v1::Pipeline, Failure> {
        let (spec, request_id) = (Some(pipeline_to_wire(spec)), Uuid::new_v4().to_string());
        let request = v1::SubmitPipelineRequest { spec, request_id, validate_only };
        self.jobs.submit_pipeline(request).await.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// A pipeline as it is now.
    pub(crate) async fn pipeline(&mut self, name: &str) -> Result<v1::Pipeline, Failure> {
        let request = v1::GetPipelineRequest { name: name.to_owned() };
        self.jobs.get_pipeline(request).await.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// Every pipeline that the filter wants, in the order asked for; both as the API takes them.
    pub(crate) async fn pipelines(&mut self, filter: &str, order_by: &str) -> Result<Vec<v1::Pipeline>, Failure> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let (filter, order_by) = (filter.to_owned(), order_by.to_owned());
            let request = v1::ListPipelinesRequest { page_size: 0, page_token, filter, order_by };
            let page = self.jobs.list_pipelines(request).await.map_err(|status| self.explain(status))?.into_inner();
            all.extend(page.pipelines);
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = page.next_page_token;
        }
    }

    /// Stops what runs and forgets what waits.
    pub(crate) async fn cancel(&mut self, name: &str, etag: &str) -> Result<v1::Pipeline, Failure> {
        let request = v1::CancelPipelineRequest { name: name.to_owned(), etag: etag.to_owned() };
        self.jobs.cancel_pipeline(request).await.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// Stops what runs and lets nothing start until it is resumed.
    pub(crate) async fn suspend(&mut self, name: &str, etag: &str) -> Result<v1::Pipeline, Failure> {
        let request = v1::SuspendPipelineRequest { name: name.to_owned(), etag: etag.to_owned() };
        let answer = self.jobs.suspend_pipeline(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// Lets a suspended pipeline go on.
    pub(crate) async fn resume(&mut self, name: &str, etag: &str) -> Result<v1::Pipeline, Failure> {
        let request = v1::ResumePipelineRequest { name: name.to_owned(), etag: etag.to_owned() };
        let answer = self.jobs.resume_pipeline(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// Lets a worker leave, and gives it no tasks when it comes back.
    pub(crate) async fn drain(&mut self, request: v1::DrainWorkerRequest) -> Result<v1::Worker, Failure> {
        let answer = self.workers.drain_worker(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// Lets a worker that was drained have tasks again.
    pub(crate) async fn undrain(&mut self, request: v1::UndrainWorkerRequest) -> Result<v1::Worker, Failure> {
        let answer = self.workers.undrain_worker(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// Why a job is where it is.
    pub(crate) async fn explain_job(&mut self, job: &str) -> Result<v1::Explanation, Failure> {
        let request = v1::ExplainJobRequest { job: job.to_owned() };
        self.jobs.explain_job(request).await.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// The pipeline now and after every change, until it is over; behind what was seen, where there is a cursor.
    pub(crate) async fn watch(&mut self, name: &str, cursor: &str) -> Result<Streaming<v1::Pipeline>, Failure> {
        let request = v1::WatchPipelineRequest { name: name.to_owned(), cursor: cursor.to_owned() };
        self.jobs.watch_pipeline(request).await.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// The last lines of a job's log, and what follows them if asked.
    pub(crate) async fn logs(&mut self, request: v1::ReadLogsRequest) -> Result<Streaming<v1::LogLine>, Failure> {
        self.jobs.read_logs(request).await.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// Every namespace that the filter wants, in the order asked for; both as the API takes them.
    pub(crate) async fn namespaces(&mut self, filter: &str, order_by: &str) -> Result<Vec<v1::Namespace>, Failure> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let (filter, order_by) = (filter.to_owned(), order_by.to_owned());
            let request = v1::ListNamespacesRequest { page_size: 0, page_token, filter, order_by };
            let answer = self.namespaces.list_namespaces(request).await;
            let page = answer.map_err(|status| self.explain(status))?.into_inner();
            all.extend(page.namespaces);
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = page.next_page_token;
        }
    }

    /// Makes a namespace, or changes those of its limits that the paths name.
    pub(crate) async fn set_namespace(
        &mut self,
        namespace: v1::Namespace,
        paths: Vec<String>,
        validate_only: bool,
    ) -> Result<v1::Namespace, Failure> {
        let (namespace, update_mask) = (Some(namespace), Some(prost_types::FieldMask { paths }));
        let request = v1::UpdateNamespaceRequest { namespace, update_mask, allow_missing: true, validate_only };
        let answer = self.namespaces.update_namespace(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// Deletes a namespace in which nothing is queued or runs.
    pub(crate) async fn delete_namespace(
        &mut self,
        name: &str,
        etag: &str,
        validate_only: bool,
    ) -> Result<(), Failure> {
        let request = v1::DeleteNamespaceRequest { name: name.to_owned(), etag: etag.to_owned(), validate_only };
        let answer = self.namespaces.delete_namespace(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.explain(status))
    }

    /// Every worker that is here or drained and that the filter wants, in the order asked for; both as the API takes them.
    pub(crate) async fn workers(&mut self, filter: &str, order_by: &str) -> Result<Vec<v1::Worker>, Failure> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let (filter, order_by) = (filter.to_owned(), order_by.to_owned());
            let request = v1::ListWorkersRequest { page_size: 0, page_token, filter, order_by };
            let page = self.workers.list_workers(request).await.map_err(|status| self.explain(status))?.into_inner();
            all.extend(page.workers);
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = page.next_page_token;
        }
    }

    /// A refusal in words and with the exit code that its cause deserves.
    pub(crate) fn explain(&self, status: Status) -> Failure {
        let exit = match status.code() {
            Code::Unavailable | Code::DeadlineExceeded => Exit::Unreachable,
            // What answers there does not speak gRPC.
            _ if std::error::Error::source(&status).is_some() => Exit::Unreachable,
            Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::AlreadyExists => Exit::Usage,
            Code::Unauthenticated | Code::PermissionDenied => Exit::Denied,
            Code::ResourceExhausted => Exit::Limited,
            _ => Exit::WorkFailed,
        };
        let words = vismae_proto::status::explain(&status);
        let message =
            if exit == Exit::Unreachable { format!("coordinator `{}`: {words}", self.address) } else { words };
        let failure = Failure::new(exit, message).details(vismae_proto::status::details(&status));
        if exit == Exit::Unreachable { failure.hint("check that it runs, and see its log") } else { failure }
    }
}
