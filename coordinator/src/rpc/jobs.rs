//! `JobService`.

mod log;
mod permission;
mod watch;

use futures::stream::BoxStream;
use tonic::{Request, Response, Status};
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::{PipelineError, SubmitError};
use vismae_core::event::Event;
use vismae_core::ids::PipelineId;
use vismae_core::spec::Violations;
use vismae_proto::v1::job_service_server::JobService;
use vismae_proto::v1::{
    CancelPipelineRequest, ExplainJobRequest, Explanation, GetPipelineRequest, ListPipelinesRequest,
    ListPipelinesResponse, LogLine, Pipeline, ReadLogsRequest, ResumePipelineRequest, SubmitPipelineRequest,
    SuspendPipelineRequest, WatchPipelineRequest,
};
use vismae_proto::{convert, status};

use super::filter::Filter;
use super::order::{Order, Place, sorted};
use super::{Context, caller, fields, paging, stopped};
use crate::access::{Caller, Role};
use crate::driver::{CallError, Handle, NotDone};
use crate::logs;

/// The latest names among which one that is not known is looked for.
const NAMES_MAX: usize = 200;

/// Takes pipelines in, and shows what becomes of them.
#[derive(Debug)]
pub(crate) struct Jobs {
    context: Context,
}

impl Jobs {
    pub(super) fn new(context: Context) -> Self {
        Self { context }
    }

    /// Does something to a pipeline, if it still looks as it was seen, and shows it.
    async fn act(
        &self,
        caller: &Caller,
        name: &str,
        etag: String,
        event: impl FnOnce(PipelineId) -> Event,
    ) -> Result<Response<Pipeline>, Status> {
        let id = pipeline_id(name)?;
        permission::require(&self.context, caller, &id, Role::Submitter).await?;
        let (handle, seen, viewer) = (self.context.handle.clone(), id.clone(), caller.clone());
        // One that is not there is the core's to refuse.
        let looks_so = move |core: &Coordinator| {
            // It may have been forgotten since, and its name taken by another.
            let may =
                core.pipeline(&seen).is_none_or(|pipeline| permission::allows(&viewer, pipeline, Role::Submitter));
            let same = || view(&handle, core, &viewer, &seen).is_none_or(|now| convert::sealed(now).etag == etag);
            may && (etag.is_empty() || same())
        };
        match self.context.handle.act(event(id.clone()), looks_so).await {
            Ok(()) => show(&self.context, caller, id).await.map(Response::new),
            Err(CallError::Refused(NotDone::Changed)) => Err(status::changed("pipeline", id.as_str())),
            Err(CallError::Refused(NotDone::Core(PipelineError::Unknown(id)))) => {
                Err(unknown(&self.context, caller, &id).await)
            }
            Err(CallError::Refused(NotDone::Core(error @ PipelineError::Over { .. }))) => {
                Err(status::not_now("pipeline", id.as_str(), "PIPELINE_OVER", &error))
            }
            Err(CallError::Stopped(gone)) => Err(stopped(gone)),
        }
    }
}

#[tonic::async_trait]
impl JobService for Jobs {
    type WatchPipelineStream = BoxStream<'static, Result<Pipeline, Status>>;
    type ReadLogsStream = BoxStream<'static, Result<LogLine, Status>>;

    async fn submit_pipeline(&self, request: Request<SubmitPipelineRequest>) -> Result<Response<Pipeline>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let invalid = |violations: Violations| status::invalid(&violations);
        permission::enter(&caller, request.spec.as_ref())?;
        let (spec, request_id) = convert::submission_from_wire(&request).map_err(invalid)?;
        let namespace = spec.namespace.clone();
        caller.acts_on(|| {
            format!(
                "namespaces/{namespace}/pipelines/{}{}",
                spec.name,
                if request.validate_only { "?validate_only" } else { "" }
            )
        });
        permission::submit(&self.context, &caller, &spec)?;
        if request.validate_only {
            let checked = self.context.handle.read(move |core| core.check(&spec));
            checked.await.map_err(stopped)?.map_err(refused)?;
            let wire = request.spec.unwrap_or_default();
            return Ok(Response::new(Pipeline { name: wire.name.clone(), spec: Some(wire), ..Pipeline::default() }));
        }
        let id = self.context.handle.submit(spec, request_id).await.map_err(|error| match error {
            CallError::Refused(error) => refused(error),
            CallError::Stopped(gone) => stopped(gone),
        })?;
        caller.acts_on(|| format!("namespaces/{namespace}/pipelines/{id}"));
        show(&self.context, &caller, id).await.map(Response::new)
    }

    async fn get_pipeline(&self, request: Request<GetPipelineRequest>) -> Result<Response<Pipeline>, Status> {
        show(&self.context, &caller(&request)?, pipeline_id(&request.get_ref().name)?).await.map(Response::new)
    }

    async fn list_pipelines(
        &self,
        request: Request<ListPipelinesRequest>,
    ) -> Result<Response<ListPipelinesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let filter = Filter::parse(&request.filter, fields::PIPELINES).map_err(|e| paging::refuse("filter", e))?;
        let order = Order::parse(&request.order_by, fields::PIPELINES).map_err(|e| paging::refuse("order_by", e))?;
        let arguments = [request.filter.as_str(), request.order_by.as_str()];
        let after = paging::after(&request.page_token, &arguments, |place| order.read(place))?;
        let handle = self.context.handle.clone();
        let arguments = arguments.map(str::to_owned);
        let response = self.context.handle.read(move |core| {
            let visible = core.pipelines().filter(|pipeline| permission::sees(&caller, pipeline));
            let wanted = visible.filter(|pipeline| filter.holds(pipeline));
            let placed = wanted.map(|pipeline| (order.place(pipeline, pipeline.number), pipeline));
            let rest = placed.filter(|(place, _)| after.as_ref().is_none_or(|after| place > after));
            // They come in the order of their numbers, so that one page is enough.
            let rest: Box<dyn Iterator<Item = _>> = if order.is_plain() { Box::new(rest) } else { sorted(rest) };
            let token = |(place, _): &(Place, _)| paging::token(place, &arguments.each_ref().map(String::as_str));
            let (page, next_page_token) = paging::take(rest, size, token);
            let view = |(_, pipeline)| convert::pipeline_view(pipeline, |moment| handle.date(moment));
            ListPipelinesResponse { pipelines: page.into_iter().map(view).collect(), next_page_token }
        });
        let mut response = response.await.map_err(stopped)?;
        response.pipelines = response.pipelines.into_iter().map(convert::sealed).collect();
        Ok(Response::new(response))
    }

    async fn cancel_pipeline(&self, request: Request<CancelPipelineRequest>) -> Result<Response<Pipeline>, Status> {
        let caller = caller(&request)?;
        let CancelPipelineRequest { name, etag } = request.into_inner();
        self.act(&caller, &name, etag, |pipeline| Event::CancelPipeline { pipeline }).await
    }

    async fn suspend_pipeline(&self, request: Request<SuspendPipelineRequest>) -> Result<Response<Pipeline>, Status> {
        let caller = caller(&request)?;
        let SuspendPipelineRequest { name, etag } = request.into_inner();
        self.act(&caller, &name, etag, |pipeline| Event::SuspendPipeline { pipeline }).await
    }

    async fn resume_pipeline(&self, request: Request<ResumePipelineRequest>) -> Result<Response<Pipeline>, Status> {
        let caller = caller(&request)?;
        let ResumePipelineRequest { name, etag } = request.into_inner();
        self.act(&caller, &name, etag, |pipeline| Event::ResumePipeline { pipeline }).await
    }

    async fn watch_pipeline(
        &self,
        request: Request<WatchPipelineRequest>,
    ) -> Result<Response<Self::WatchPipelineStream>, Status> {
        let caller = caller(&request)?;
        let WatchPipelineRequest { name, cursor } = request.into_inner();
        let id = pipeline_id(&name)?;
        permission::require(&self.context, &caller, &id, Role::Viewer).await?;
        watch::stream(self.context.clone(), caller, id, cursor).await.map(Response::new)
    }

    async fn explain_job(&self, request: Request<ExplainJobRequest>) -> Result<Response<Explanation>, Status> {
        let caller = caller(&request)?;
        let job = convert::job_id_from_wire("job", &request.get_ref().job);
        let job = job.map_err(|violations| status::invalid(&violations))?;
        permission::require(&self.context, &caller, &job.pipeline, Role::Viewer).await?;
        let (handle, wanted) = (self.context.handle.clone(), job.clone());
        let told = self.context.handle.read(move |core| match core.explain(handle.now(), &wanted) {
            Some(told) => Ok(convert::explanation_view(&told, |moment| handle.date(moment))),
            None => Err(core
                .pipeline(&wanted.pipeline)
                .map(|pipeline| pipeline.jobs.iter().map(|job| job.id.to_string()).collect::<Vec<_>>())),
        });
        match told.await.map_err(stopped)? {
            Ok(told) => Ok(Response::new(told)),
            Err(Some(jobs)) => Err(status::not_found("job", &job.to_string(), jobs)),
            Err(None) => Err(unknown(&self.context, &caller, &job.pipeline).await),
        }
    }

    async fn read_logs(&self, request: Request<ReadLogsRequest>) -> Result<Response<Self::ReadLogsStream>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let job = convert::job_id_from_wire("job", &request.job).map_err(|violations| status::invalid(&violations))?;
        let from = match request.cursor.as_str() {
            "" => None,
            cursor => {
                Some(cursor.parse::<logs::Place>().map_err(|error| status::invalid(&Violations::of("cursor", error)))?)
            }
        };
        permission::require(&self.context, &caller, &job.pipeline, Role::Viewer).await?;
        log::stream(self.context.clone(), job, request.follow, from).await.map(Response::new)
    }
}

/// A pipeline that was not accepted.
fn refused(error: SubmitError) -> Status {
    match error {
        SubmitError::Invalid(violations) => status::invalid(&violations),
        SubmitError::QueueFull { ref namespace, .. } => {
            let subject = namespace.as_ref().map_or("coordinator".to_owned(), |name| format!("namespace:{name}"));
            status::queue_full(&subject, &error)
        }
    }
}

fn pipeline_id(name: &str) -> Result<PipelineId, Status> {
    convert::pipeline_id_from_wire("name", name).map_err(|violations| status::invalid(&violations))
}

/// The pipeline as it is now.
async fn show(context: &Context, caller: &Caller, id: PipelineId) -> Result<Pipeline, Status> {
    let (handle, wanted) = (context.handle.clone(), id.clone());
    let viewer = caller.clone();
    let view = context.handle.read(move |core| view(&handle, core, &viewer, &wanted));
    match view.await.map_err(stopped)? {
        Some(pipeline) => Ok(convert::sealed(pipeline)),
        None => Err(unknown(context, caller, &id).await),
    }
}

/// A pipeline, as far as the caller may see it.
fn view(handle: &Handle, core: &Coordinator, caller: &Caller, id: &PipelineId) -> Option<Pipeline> {
    let pipeline = core.pipeline(id).filter(|pipeline| permission::sees(caller, pipeline))?;
    Some(convert::pipeline_view(pipeline, |moment| handle.date(moment)))
}

/// NOT_FOUND that lists the latest pipelines that the caller may see.
async fn unknown(context: &Context, caller: &Caller, id: &PipelineId) -> Status {
    let caller = caller.clone();
    let names = move |core: &Coordinator| {
        let visible = core.pipelines().rev().filter(|pipeline| permission::sees(&caller, pipeline));
        visible.take(NAMES_MAX).map(|pipeline| pipeline.id.clone()).collect::<Vec<_>>()
    };
    match context.handle.read(names).await {
        Ok(known) => status::not_found("pipeline", id.as_str(), known),
        Err(gone) => stopped(gone),
    }
}
