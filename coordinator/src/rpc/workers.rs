//! `WorkerService`.

use tonic::{Request, Response, Status};
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::WorkerError;
use vismae_core::event::Event;
use vismae_core::ids::WorkerId;
use vismae_core::worker::Worker;
use vismae_proto::convert::worker_view;
use vismae_proto::status;
use vismae_proto::v1::worker_service_server::WorkerService;
use vismae_proto::v1::{
    self, DrainWorkerRequest, GetWorkerRequest, ListWorkersRequest, ListWorkersResponse, UndrainWorkerRequest,
};

use super::filter::Filter;
use super::order::{Order, Place, sorted};
use super::{Context, caller, denied, fields, paging, stopped};
use crate::access::{ANY_NAMESPACE, Caller, Role};
use crate::driver::{CallError, NotDone};

/// Shows the workers, and has them leave.
#[derive(Debug)]
pub(crate) struct Workers {
    context: Context,
}

/// What is to be done to a worker.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Drain,
    Undrain,
}

/// What is asked for, whatever the verb.
struct Change {
    name: String,
    etag: String,
    validate_only: bool,
}

impl Verb {
    fn event(self, worker: WorkerId) -> Event {
        match self {
            Self::Drain => Event::DrainWorker { worker },
            Self::Undrain => Event::UndrainWorker { worker },
        }
    }

    /// What the core would say of it.
    fn check(self, core: &Coordinator, worker: &WorkerId) -> Result<(), WorkerError> {
        match self {
            Self::Drain => core.check_drain(worker),
            Self::Undrain => core.check_known(worker),
        }
    }
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn get_worker(&self, request: Request<GetWorkerRequest>) -> Result<Response<v1::Worker>, Status> {
        caller(&request)?.require_any().map_err(denied)?;
        let name = worker_id(&request.get_ref().name)?;
        match self.look(&name).await? {
            Some(worker) => Ok(Response::new(worker)),
            None => Err(self.unknown(&name).await),
        }
    }

    async fn list_workers(
        &self,
        request: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        caller(&request)?.require_any().map_err(denied)?;
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let filter = Filter::parse(&request.filter, fields::WORKERS).map_err(|e| paging::refuse("filter", e))?;
        let order = Order::parse(&request.order_by, fields::WORKERS).map_err(|e| paging::refuse("order_by", e))?;
        let is_by_name = order.is_plain();
        let order = order.then(&fields::WORKERS[0]);
        let arguments = [request.filter.as_str(), request.order_by.as_str()];
        let after = paging::after(&request.page_token, &arguments, |place| order.read(place))?;
        let handle = self.context.handle.clone();
        let arguments = arguments.map(str::to_owned);
        let response = self.context.handle.read(move |core| {
            let wanted = core.known_workers().filter(|worker| filter.holds(worker));
            let placed = wanted.map(|worker| (order.place(worker, 0), worker));
            let rest = placed.filter(|(place, _)| after.as_ref().is_none_or(|after| place > after));
            // They come in the order of their names, so that one page is enough.
            let rest: Box<dyn Iterator<Item = _>> = if is_by_name { Box::new(rest) } else { sorted(rest) };
            let token = |(place, _): &(Place, &Worker)| paging::token(place, &arguments.each_ref().map(String::as_str));
            let (page, next_page_token) = paging::take(rest, size, token);
            let view = |(_, worker)| worker_view(worker, |moment| handle.date(moment));
            ListWorkersResponse { workers: page.into_iter().map(view).collect(), next_page_token }
        });
        response.await.map(Response::new).map_err(stopped)
    }

    async fn drain_worker(&self, request: Request<DrainWorkerRequest>) -> Result<Response<v1::Worker>, Status> {
        let caller = caller(&request)?;
        let DrainWorkerRequest { name, etag, validate_only } = request.into_inner();
        self.change(&caller, Verb::Drain, Change { name, etag, validate_only }).await
    }

    async fn undrain_worker(&self, request: Request<UndrainWorkerRequest>) -> Result<Response<v1::Worker>, Status> {
        let caller = caller(&request)?;
        let UndrainWorkerRequest { name, etag, validate_only } = request.into_inner();
        self.change(&caller, Verb::Undrain, Change { name, etag, validate_only }).await
    }
}

impl Workers {
    pub(super) fn new(context: Context) -> Self {
        Self { context }
    }

    /// Does something to a worker, if it still looks as it was seen, and shows it.
    async fn change(&self, caller: &Caller, verb: Verb, change: Change) -> Result<Response<v1::Worker>, Status> {
        let Change { name, etag, validate_only } = change;
        let name = worker_id(&name)?;
        caller.acts_on(|| format!("workers/{name}{}", if validate_only { "?validate_only" } else { "" }));
        // A worker belongs to no namespace.
        caller.require(Role::Operator, ANY_NAMESPACE).map_err(denied)?;
        let Some(seen) = self.look(&name).await? else { return Err(self.unknown(&name).await) };
        let (handle, id) = (self.context.handle.clone(), name.clone());
        // One that is not there is the core's to refuse.
        let looks_so = move |core: &Coordinator| {
            let now = core.worker(&id).map(|worker| worker_view(worker, |moment| handle.date(moment)));
            etag.is_empty() || now.is_none_or(|now| now.etag == etag)
        };
        let (handle, id) = (&self.context.handle, name.clone());
        let done = match validate_only {
            true => {
                let checked = handle.read(move |core| match looks_so(core) {
                    true => verb.check(core, &id).map_err(NotDone::Core),
                    false => Err(NotDone::Changed),
                });
                checked.await.map_err(CallError::Stopped).and_then(|checked| checked.map_err(CallError::Refused))
            }
            false => handle.act_on_worker(verb.event(id), looks_so).await,
        };
        match done {
            // One that was away and is drained no longer is not known any more.
            Ok(()) => Ok(Response::new(self.look(&name).await?.unwrap_or(seen))),
            Err(CallError::Refused(NotDone::Changed)) => Err(status::changed("worker", name.as_str())),
            Err(CallError::Refused(NotDone::Core(WorkerError::Unknown(name)))) => Err(self.unknown(&name).await),
            Err(CallError::Refused(NotDone::Core(error))) => {
                Err(status::exhausted("drained_workers", error.to_string(), None))
            }
            Err(CallError::Stopped(gone)) => Err(stopped(gone)),
        }
    }

    /// The worker as it is now.
    async fn look(&self, name: &WorkerId) -> Result<Option<v1::Worker>, Status> {
        let (handle, name) = (self.context.handle.clone(), name.clone());
        let view = move |core: &Coordinator| {
            core.worker(&name).map(|worker| worker_view(worker, |moment| handle.date(moment)))
        };
        self.context.handle.read(view).await.map_err(stopped)
    }

    /// NOT_FOUND that lists those that there are.
    async fn unknown(&self, name: &WorkerId) -> Status {
        let names =
            |core: &Coordinator| core.known_workers().map(|worker| worker.lease.worker.clone()).collect::<Vec<_>>();
        match self.context.handle.read(names).await {
            Ok(known) => status::not_found("worker", name.as_str(), known),
            Err(gone) => stopped(gone),
        }
    }
}

fn worker_id(name: &str) -> Result<WorkerId, Status> {
    WorkerId::new(name).map_err(|error| paging::refuse("name", error))
}
