//! What a caller may see of pipelines, and do to them.

use tonic::Status;
use vismae_core::ids::{NamespaceName, PipelineId};
use vismae_core::pipeline::Pipeline;
use vismae_core::spec::{PipelineSpec, Violations};
use vismae_proto::{status, v1};

use super::{Context, stopped, unknown};
use crate::access::{Caller, Role};
use crate::rpc::denied;

/// Whether a pipeline exists for the caller.
pub(super) fn sees(caller: &Caller, pipeline: &Pipeline) -> bool {
    caller.has(Role::Viewer, pipeline.namespace.as_str())
}

/// Whether the caller has a role in the namespace of a pipeline.
pub(super) fn allows(caller: &Caller, pipeline: &Pipeline, role: Role) -> bool {
    caller.has(role, pipeline.namespace.as_str())
}

/// Demands that a submission is one to a namespace of the caller's, before more work is done for it.
pub(super) fn enter(caller: &Caller, wire: Option<&v1::PipelineSpec>) -> Result<(), Status> {
    let namespace = wire.map_or("", |wire| wire.namespace.as_str());
    match NamespaceName::new(namespace) {
        Ok(namespace) => caller.require(Role::Submitter, namespace.as_str()).map_err(denied),
        Err(_) if namespace.is_empty() => {
            caller.require(Role::Submitter, NamespaceName::default().as_str()).map_err(denied)
        }
        // What is no name is told with the other mistakes, to whoever may submit anywhere.
        Err(_) => caller.require_any().map_err(denied),
    }
}

/// Demands a role in the namespace of a pipeline. To somebody who may not even see it, it does not exist.
pub(super) async fn require(context: &Context, caller: &Caller, id: &PipelineId, role: Role) -> Result<(), Status> {
    caller.acts_on(|| format!("pipelines/{id}"));
    let wanted = id.clone();
    let namespace = context.handle.read(move |core| core.pipeline(&wanted).map(|pipeline| pipeline.namespace.clone()));
    let namespace = namespace.await.map_err(stopped)?;
    if let Some(namespace) = &namespace {
        caller.acts_on(|| format!("namespaces/{namespace}/pipelines/{id}"));
    }
    match namespace {
        Some(namespace) if caller.has(Role::Viewer, namespace.as_str()) => {
            caller.require(role, namespace.as_str()).map_err(denied)
        }
        _ => Err(unknown(context, caller, id).await),
    }
}

/// Whether a caller may submit this: into its namespace, with its priority, to its store.
pub(super) fn submit(context: &Context, caller: &Caller, spec: &PipelineSpec) -> Result<(), Status> {
    // What is above the others has their pipelines stopped.
    let needed = if spec.priority > 0 { Role::Operator } else { Role::Submitter };
    caller.require(needed, spec.namespace.as_str()).map_err(denied)?;
    let Some(access) = &context.access else { return Ok(()) };
    let allowed = access.borrow().allows_store(spec.namespace.as_str(), &spec.store_url);
    allowed.map_err(|problem| status::invalid(&Violations::of("store_url", problem)))
}
