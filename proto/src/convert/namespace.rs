//! Namespaces.

use vismae_core::device::PerKind;
use vismae_core::ids::NamespaceName;
use vismae_core::namespace::{Borrowing, Namespace, NamespaceChange, NamespaceDeletion, NamespaceUpdate, Usage};
use vismae_core::spec::Violations;

use super::fields::Fields;
use super::spec_in::finish;
use crate::v1;

/// What an update may name.
const PATHS: [&str; 5] = ["quota", "quota.cpu", "quota.cuda", "borrowing", "max_pending"];

/// Writes a namespace with what it uses.
pub fn namespace_view(namespace: &Namespace, usage: &Usage) -> v1::Namespace {
    let limits = &namespace.limits;
    v1::Namespace {
        name: namespace.name.to_string(),
        quota: Some(v1::Quota { cpu: limits.quota.cpu, cuda: limits.quota.cuda }),
        borrowing: match limits.borrowing {
            Borrowing::Never => None,
            Borrowing::UpTo(slots) => Some(v1::Borrowing { limit: Some(slots) }),
            Borrowing::Unlimited => Some(v1::Borrowing { limit: None }),
        },
        max_pending: limits.max_pending,
        usage: Some(v1::Usage {
            used: Some(slots(usage.used)),
            borrowed: Some(slots(usage.borrowed)),
            pending: usage.pending,
        }),
        etag: namespace.revision.to_string(),
    }
}

/// Reads the change of a namespace.
///
/// # Errors
/// Every field that can't be read.
pub fn namespace_update_from_wire(request: &v1::UpdateNamespaceRequest) -> Result<NamespaceUpdate, Violations> {
    let mut violations = Violations::default();
    let mut fields = Fields::new(&mut violations);
    let wire = request.namespace.clone().unwrap_or_default();
    let paths = request.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
    // All of it, as when nothing is named.
    let paths = if paths == ["*"] { &[] } else { paths };
    for path in paths.iter().filter(|path| !PATHS.contains(&path.as_str())) {
        fields.refuse::<()>("update_mask", format!("names `{path}`, expected some of `{}`", PATHS.join("`, `")));
    }
    let named = |path: &str| paths.is_empty() || paths.iter().any(|other| other == path);
    let quota = wire.quota.unwrap_or_default();
    let borrowing = match wire.borrowing {
        None => Borrowing::Never,
        Some(v1::Borrowing { limit: None }) => Borrowing::Unlimited,
        Some(v1::Borrowing { limit: Some(slots) }) => Borrowing::UpTo(slots),
    };
    let change = NamespaceChange {
        quota: PerKind {
            cpu: (named("quota") || named("quota.cpu")).then_some(quota.cpu),
            cuda: (named("quota") || named("quota.cuda")).then_some(quota.cuda),
        },
        borrowing: named("borrowing").then_some(borrowing),
        max_pending: named("max_pending").then_some(wire.max_pending),
    };
    let name = fields.value("namespace.name", NamespaceName::new(&wire.name));
    let revision = etag(&mut fields, "namespace.etag", &wire.etag);
    let read = name.zip(revision);
    let create = request.allow_missing;
    finish(violations, read.map(|(name, revision)| NamespaceUpdate { name, change, create, revision }))
}

/// Reads which namespace is to go.
///
/// # Errors
/// Every field that can't be read.
pub fn namespace_deletion_from_wire(request: &v1::DeleteNamespaceRequest) -> Result<NamespaceDeletion, Violations> {
    let mut violations = Violations::default();
    let mut fields = Fields::new(&mut violations);
    let name = fields.value("name", NamespaceName::new(&request.name));
    let revision = etag(&mut fields, "etag", &request.etag);
    finish(violations, name.zip(revision).map(|(name, revision)| NamespaceDeletion { name, revision }))
}

pub(super) fn slots(count: PerKind<u32>) -> v1::Slots {
    v1::Slots { cpu: count.cpu, cuda: count.cuda }
}

fn etag(fields: &mut Fields<'_>, field: &str, text: &str) -> Option<Option<u64>> {
    match (text, text.parse()) {
        ("", _) => Some(None),
        (_, Ok(revision)) => Some(Some(revision)),
        (_, Err(_)) => fields.refuse(field, format!("is `{text}`, expected that of an earlier answer")),
    }
}
