//! `WorkerService`.

use tonic::{Request, Response, Status};
use vismae_core::ids::WorkerId;
use vismae_proto::convert::worker_view;
use vismae_proto::v1::worker_service_server::WorkerService;
use vismae_proto::v1::{ListWorkersRequest, ListWorkersResponse};

use super::{Context, caller, denied, paging, stopped};

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
        let after = paging::after(&request.page_token, |token| WorkerId::new(token).ok())?;
        let handle = self.context.handle.clone();
        let response = self.context.handle.read(move |core| {
            let rest = core.workers().filter(|worker| after.as_ref().is_none_or(|after| worker.lease.worker > *after));
            let (page, next_page_token) = paging::take(rest, size, |worker| worker.lease.worker.to_string());
            let workers = page.into_iter().map(|worker| worker_view(worker, |moment| handle.date(moment))).collect();
            ListWorkersResponse { workers, next_page_token }
        });
        response.await.map(Response::new).map_err(stopped)
    }
}
