//! `WorkerService`.

use tonic::{Request, Response, Status};
use vismae_core::coordinator::Coordinator;
use vismae_core::event::Event;
use vismae_core::ids::WorkerId;
use vismae_core::worker::Worker;
use vismae_proto::convert::worker_view;
use vismae_proto::status;
use vismae_proto::v1::worker_service_server::WorkerService;
use vismae_proto::v1::{self, DrainWorkerRequest, ListWorkersRequest, ListWorkersResponse};

use super::filter::Filter;
use super::{Context, caller, denied, fields, paging, stopped};
use crate::access::{ANY_NAMESPACE, Role};

/// Shows the workers.
#[derive(Debug)]
pub(crate) struct Workers {
    context: Context,
}

impl Workers {
    pub(super) fn new(context: Context) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn list_workers(
        &self,
        request: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        caller(&request)?.require_any().map_err(denied)?;
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let filter = Filter::parse(&request.filter, fields::WORKERS).map_err(|e| paging::refuse("filter", e))?;
        let after = paging::after(&request.page_token, &[&request.filter], |place| WorkerId::new(place).ok())?;
        let handle = self.context.handle.clone();
        let response = self.context.handle.read(move |core| {
            let rest = core.workers().filter(|worker| after.as_ref().is_none_or(|after| worker.lease.worker > *after));
            let wanted = rest.filter(|worker| filter.holds(worker));
            let token = |worker: &&Worker| paging::token(&worker.lease.worker, &[&request.filter]);
            let (page, next_page_token) = paging::take(wanted, size, token);
            let workers = page.into_iter().map(|worker| worker_view(worker, |moment| handle.date(moment))).collect();
            ListWorkersResponse { workers, next_page_token }
        });
        response.await.map(Response::new).map_err(stopped)
    }

    async fn drain_worker(&self, request: Request<DrainWorkerRequest>) -> Result<Response<v1::Worker>, Status> {
        // A worker belongs to no namespace.
        let caller = caller(&request)?;
        let name = request.into_inner().name;
        let name = WorkerId::new(name).map_err(|error| paging::refuse("name", error))?;
        caller.acts_on(|| format!("workers/{name}"));
        caller.require(Role::Operator, ANY_NAMESPACE).map_err(denied)?;
        let handle = &self.context.handle;
        let worker =
            |core: &Coordinator, name: &WorkerId| core.workers().find(|worker| worker.lease.worker == *name).cloned();
        let wanted = name.clone();
        let found = handle.read(move |core| worker(core, &wanted)).await.map_err(stopped)?;
        let Some(found) = found else { return Err(self.unknown(&name).await) };
        handle.tell(Event::WorkerDrained(found.lease)).await.map_err(stopped)?;
        let wanted = name.clone();
        // It may be gone by now, with nothing to stop.
        let left = handle.read(move |core| worker(core, &wanted)).await.map_err(stopped)?;
        let Some(left) = left else { return Err(self.unknown(&name).await) };
        Ok(Response::new(worker_view(&left, |moment| handle.date(moment))))
    }
}

impl Workers {
    /// NOT_FOUND that lists those that there are.
    async fn unknown(&self, name: &WorkerId) -> Status {
        let names = |core: &Coordinator| core.workers().map(|worker| worker.lease.worker.clone()).collect::<Vec<_>>();
        match self.context.handle.read(names).await {
            Ok(known) => status::not_found("worker", name.as_str(), known),
            Err(gone) => stopped(gone),
        }
    }
}
