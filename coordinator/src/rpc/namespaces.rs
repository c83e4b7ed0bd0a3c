//! `NamespaceService`.

use tonic::{Request, Response, Status};
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::NamespaceError;
use vismae_core::event::Event;
use vismae_core::ids::NamespaceName;
use vismae_core::namespace::Namespace;
use vismae_core::spec::Violations;
use vismae_proto::v1::namespace_service_server::NamespaceService;
use vismae_proto::v1::{
    self, DeleteNamespaceRequest, GetNamespaceRequest, ListNamespacesRequest, ListNamespacesResponse,
    UpdateNamespaceRequest,
};
use vismae_proto::{convert, status};

use super::{Context, caller, denied, paging, stopped};
use crate::access::{ANY_NAMESPACE, Caller, Role};
use crate::driver::CallError;

/// Shows and changes namespaces.
#[derive(Debug)]
pub(crate) struct Namespaces {
    context: Context,
}

impl Namespaces {
    pub(super) fn new(context: Context) -> Self {
        Self { context }
    }

    async fn change(&self, caller: &Caller, event: Event) -> Result<Namespace, Status> {
        match self.context.handle.namespace(event).await {
            Ok(namespace) => Ok(namespace),
            Err(CallError::Refused(NamespaceError::Unknown { name })) => Err(self.unknown(caller, &name).await),
            Err(CallError::Refused(NamespaceError::Changed { name, .. })) => {
                Err(status::changed("namespace", name.as_str()))
            }
            Err(CallError::Refused(error)) => Err(status::not_now(&error)),
            Err(CallError::Stopped(gone)) => Err(stopped(gone)),
        }
    }

    async fn show(&self, caller: &Caller, name: NamespaceName) -> Result<v1::Namespace, Status> {
        let wanted = name.clone();
        let viewer = caller.clone();
        let view = self.context.handle.read(move |core| {
            let namespace = core.namespace(&wanted).filter(|namespace| sees(&viewer, namespace));
            namespace.map(|namespace| view(core, namespace))
        });
        match view.await.map_err(stopped)? {
            Some(namespace) => Ok(namespace),
            None => Err(self.unknown(caller, &name).await),
        }
    }

    /// NOT_FOUND that lists those that the caller may see.
    async fn unknown(&self, caller: &Caller, name: &NamespaceName) -> Status {
        let caller = caller.clone();
        let names = move |core: &Coordinator| {
            let visible = core.namespaces().filter(|namespace| sees(&caller, namespace));
            visible.map(|namespace| namespace.name.clone()).collect::<Vec<_>>()
        };
        match self.context.handle.read(names).await {
            Ok(known) => status::not_found("namespace", name.as_str(), known),
            Err(gone) => stopped(gone),
        }
    }
}

#[tonic::async_trait]
impl NamespaceService for Namespaces {
    async fn list_namespaces(
        &self,
        request: Request<ListNamespacesRequest>,
    ) -> Result<Response<ListNamespacesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let after = paging::after(&request.page_token, &[], |token| NamespaceName::new(token).ok())?;
        let response = self.context.handle.read(move |core| {
            let usage = core.usage();
            let visible = core.namespaces().filter(|namespace| sees(&caller, namespace));
            let rest = visible.filter(|namespace| after.as_ref().is_none_or(|after| namespace.name > *after));
            let (page, next_page_token) = paging::take(rest, size, |namespace| paging::token(&namespace.name, &[]));
            let view = |namespace: &Namespace| {
                convert::namespace_view(namespace, &usage.get(&namespace.name).copied().unwrap_or_default())
            };
            ListNamespacesResponse { namespaces: page.into_iter().map(view).collect(), next_page_token }
        });
        response.await.map(Response::new).map_err(stopped)
    }

    async fn get_namespace(&self, request: Request<GetNamespaceRequest>) -> Result<Response<v1::Namespace>, Status> {
        let caller = caller(&request)?;
        let name = NamespaceName::new(&request.get_ref().name)
            .map_err(|error| status::invalid(&Violations::of("name", error)))?;
        self.show(&caller, name).await.map(Response::new)
    }

    async fn update_namespace(
        &self,
        request: Request<UpdateNamespaceRequest>,
    ) -> Result<Response<v1::Namespace>, Status> {
        let caller = caller(&request)?;
        let wire = request.get_ref();
        caller.acts_on(|| subject(wire.namespace.as_ref().map_or("", |namespace| &namespace.name)));
        caller.require(Role::Admin, ANY_NAMESPACE).map_err(denied)?;
        let event = convert::namespace_update_from_wire(wire).map_err(|violations| status::invalid(&violations))?;
        let namespace = self.change(&caller, event).await?;
        self.show(&caller, namespace.name).await.map(Response::new)
    }

    async fn delete_namespace(&self, request: Request<DeleteNamespaceRequest>) -> Result<Response<()>, Status> {
        let caller = caller(&request)?;
        caller.acts_on(|| subject(&request.get_ref().name));
        caller.require(Role::Admin, ANY_NAMESPACE).map_err(denied)?;
        let event = convert::namespace_deletion_from_wire(request.get_ref());
        self.change(&caller, event.map_err(|violations| status::invalid(&violations))?).await?;
        Ok(Response::new(()))
    }
}

fn sees(caller: &Caller, namespace: &Namespace) -> bool {
    caller.has(Role::Viewer, namespace.name.as_str())
}

/// As the audit log names it.
fn subject(name: &str) -> String {
    format!("namespaces/{name}")
}

fn view(core: &Coordinator, namespace: &Namespace) -> v1::Namespace {
    convert::namespace_view(namespace, &core.usage().get(&namespace.name).copied().unwrap_or_default())
}
