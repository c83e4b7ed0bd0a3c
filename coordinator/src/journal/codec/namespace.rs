//! A namespace.

use vismae_core::device::PerKind;
use vismae_core::ids::NamespaceName;
use vismae_core::namespace::{Borrowing, Limits, Namespace};
use vismae_proto::state::{self, namespace_record};

pub(super) fn write(namespace: &Namespace) -> state::NamespaceRecord {
    let limits = &namespace.limits;
    state::NamespaceRecord {
        quota_cpu: limits.quota.cpu,
        quota_cuda: limits.quota.cuda,
        borrowing: match limits.borrowing {
            Borrowing::Never => None,
            Borrowing::UpTo(slots) => Some(namespace_record::Borrowing::UpTo(slots)),
            Borrowing::Unlimited => Some(namespace_record::Borrowing::Unlimited(state::Nothing {})),
        },
        max_pending: limits.max_pending,
        revision: namespace.revision,
    }
}

pub(super) fn read(name: NamespaceName, wire: state::NamespaceRecord) -> Namespace {
    let borrowing = match wire.borrowing {
        None => Borrowing::Never,
        Some(namespace_record::Borrowing::UpTo(slots)) => Borrowing::UpTo(slots),
        Some(namespace_record::Borrowing::Unlimited(state::Nothing {})) => Borrowing::Unlimited,
    };
    let quota = PerKind { cpu: wire.quota_cpu, cuda: wire.quota_cuda };
    Namespace { name, limits: Limits { quota, borrowing, max_pending: wire.max_pending }, revision: wire.revision }
}
