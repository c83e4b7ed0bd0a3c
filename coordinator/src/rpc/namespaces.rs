//! `NamespaceService`.

use tonic::{Request, Response, Status};
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::NamespaceError;
use vismae_core::event::Event;
use vismae_core::ids::NamespaceName;
use vismae_core::namespace::Namespace;
use vismae_core::spec::Violations;
use vismae_core::time::MonoTime;
use vismae_proto::v1::namespace_service_server::NamespaceService;
use vismae_proto::v1::{
    self, DeleteNamespaceRequest, GetNamespaceRequest, ListNamespacesRequest, ListNamespacesResponse,
    UpdateNamespaceRequest,
};
use vismae_proto::{convert, status};

use super::fields::{self, InUse};
use super::filter::Filter;
use super::order::{Order, Place, sorted};
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

    /// What became of a change, or would become of it.
    async fn answered(
        &self,
        caller: &Caller,
        outcome: Result<Namespace, CallError<NamespaceError>>,
    ) -> Result<Namespace, Status> {
        match outcome {
            Ok(namespace) => Ok(namespace),
            Err(CallError::Refused(NamespaceError::Unknown { name })) => Err(self.unknown(caller, &name).await),
            Err(CallError::Refused(NamespaceError::Changed { name, .. })) => {
                Err(status::changed("namespace", name.as_str()))
            }
            Err(CallError::Refused(ref error @ NamespaceError::InUse { ref name, .. })) => {
                Err(status::not_now("namespace", name.as_str(), "NAMESPACE_IN_USE", error))
            }
            Err(CallError::Refused(ref error @ NamespaceError::Default { ref name })) => {
                Err(status::not_now("namespace", name.as_str(), "NAMESPACE_NEEDED", error))
            }
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
        let filter = Filter::parse(&request.filter, fields::NAMESPACES).map_err(|e| paging::refuse("filter", e))?;
        let order = Order::parse(&request.order_by, fields::NAMESPACES).map_err(|e| paging::refuse("order_by", e))?;
        let order = order.then(&fields::NAMESPACES[0]);
        let arguments = [request.filter.as_str(), request.order_by.as_str()];
        let after = paging::after(&request.page_token, &arguments, |place| order.read(place))?;
        let arguments = arguments.map(str::to_owned);
        let response = self.context.handle.read(move |core| {
            let usage = core.usage();
            let visible = core.namespaces().filter(|namespace| sees(&caller, namespace));
            let used = visible.map(|namespace| InUse {
                namespace: namespace.clone(),
                usage: usage.get(&namespace.name).copied().unwrap_or_default(),
            });
            let wanted = used.filter(|used| filter.holds(used));
            let placed = wanted.map(|used| (order.place(&used, 0), used));
            let rest = sorted(placed.filter(|(place, _)| after.as_ref().is_none_or(|after| place > after)));
            let token = |(place, _): &(Place, _)| paging::token(place, &arguments.each_ref().map(String::as_str));
            let (page, next_page_token) = paging::take(rest, size, token);
            let view = |(_, used): (_, InUse)| convert::namespace_view(&used.namespace, &used.usage);
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
        caller.acts_on(|| subject(wire.namespace.as_ref().map_or("", |namespace| &namespace.name), wire.validate_only));
        caller.require(Role::Admin, ANY_NAMESPACE).map_err(denied)?;
        let update = convert::namespace_update_from_wire(wire).map_err(|violations| status::invalid(&violations))?;
        let handle = &self.context.handle;
        if wire.validate_only {
            let foreseen = handle.read(move |core| core.updated_namespace(MonoTime::default(), &update));
            let foreseen = foreseen.await.map_err(stopped)?.map_err(CallError::Refused);
            let namespace = self.answered(&caller, foreseen).await?;
            let view = handle.read(move |core| view(core, &namespace)).await.map_err(stopped)?;
            return Ok(Response::new(v1::Namespace { etag: String::new(), ..view }));
        }
        let namespace = self.answered(&caller, handle.namespace(Event::UpdateNamespace(update)).await).await?;
        self.show(&caller, namespace.name).await.map(Response::new)
    }

    async fn delete_namespace(&self, request: Request<DeleteNamespaceRequest>) -> Result<Response<()>, Status> {
        let caller = caller(&request)?;
        let wire = request.get_ref();
        caller.acts_on(|| subject(&wire.name, wire.validate_only));
        caller.require(Role::Admin, ANY_NAMESPACE).map_err(denied)?;
        let deletion =
            convert::namespace_deletion_from_wire(wire).map_err(|violations| status::invalid(&violations))?;
        let handle = &self.context.handle;
        let outcome = if wire.validate_only {
            let foreseen = handle.read(move |core| core.deletable_namespace(&deletion).cloned());
            foreseen.await.map_err(stopped)?.map_err(CallError::Refused)
        } else {
            handle.namespace(Event::DeleteNamespace(deletion)).await
        };
        self.answered(&caller, outcome).await?;
        Ok(Response::new(()))
    }
}

fn sees(caller: &Caller, namespace: &Namespace) -> bool {
    caller.has(Role::Viewer, namespace.name.as_str())
}

/// As the audit log names it.
fn subject(name: &str, validate_only: bool) -> String {
    format!("namespaces/{name}{}", if validate_only { "?validate_only" } else { "" })
}

fn view(core: &Coordinator, namespace: &Namespace) -> v1::Namespace {
    convert::namespace_view(namespace, &core.usage().get(&namespace.name).copied().unwrap_or_default())
}
