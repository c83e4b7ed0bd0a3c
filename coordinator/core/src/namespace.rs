//! Namespaces: whose pipelines share the slots, and how many of them each may use.

use crate::device::{DeviceKind, PerKind};
use crate::ids::NamespaceName;

/// What pipelines of one namespace may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Slots of each kind that are theirs, the nominal quota; unlimited when absent.
    pub quota: PerKind<Option<u32>>,
    /// Whether they may use idle slots beyond that.
    pub borrowing: Borrowing,
    /// The most pipelines that wait for their first slot at once; unlimited when absent.
    pub max_pending: Option<u32>,
}

/// Whether a namespace may use idle slots beyond its quota. What is borrowed is given back when a job within its own quota needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Borrowing {
    /// It may not.
    #[default]
    Never,
    /// So many of each kind, the borrowing limit.
    UpTo(u32),
    /// As many as there are.
    Unlimited,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: NamespaceName,
    /// What its pipelines may use.
    pub limits: Limits,
    /// Grows with every change.
    pub revision: u64,
}

/// What is to change of a namespace; what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceChange {
    /// The quota of each kind.
    pub quota: PerKind<Option<Option<u32>>>,
    /// Whether it may borrow.
    pub borrowing: Option<Borrowing>,
    /// The most pipelines that wait.
    pub max_pending: Option<Option<u32>>,
}

/// A change that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceUpdate {
    /// The namespace.
    pub name: NamespaceName,
    /// What is to change.
    pub change: NamespaceChange,
    /// Whether it is made where there is none.
    pub create: bool,
    /// The revision that the change was made for; whichever there is when absent.
    pub revision: Option<u64>,
}

/// A deletion that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceDeletion {
    /// The namespace.
    pub name: NamespaceName,
    /// The revision that is to be deleted; whichever there is when absent.
    pub revision: Option<u64>,
}

/// What pipelines of a namespace use now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Slots they hold, of each kind.
    pub used: PerKind<u32>,
    /// Those of them that are beyond the quota.
    pub borrowed: PerKind<u32>,
    /// Pipelines that wait for their first slot.
    pub pending: u32,
}

impl Limits {
    /// The slots of a kind that are theirs.
    pub fn nominal(&self, kind: DeviceKind) -> u32 {
        self.quota.get(kind).unwrap_or(u32::MAX)
    }

    /// The most slots of a kind that they may use, borrowed ones among them.
    pub fn most(&self, kind: DeviceKind) -> u32 {
        match self.borrowing {
            Borrowing::Never => self.nominal(kind),
            Borrowing::UpTo(more) => self.nominal(kind).saturating_add(more),
            Borrowing::Unlimited => u32::MAX,
        }
    }

    /// How many of the slots used are beyond the quota.
    pub fn borrowed(&self, used: PerKind<u32>) -> PerKind<u32> {
        used.minus(PerKind::of(|kind| self.nominal(kind)))
    }
}

impl Namespace {
    /// A namespace without limits.
    pub(crate) fn new(name: NamespaceName) -> Self {
        Self { name, limits: Limits::default(), revision: 1 }
    }

    /// The same with a change; the revision tells whether there was one.
    pub(crate) fn changed(&self, change: &NamespaceChange) -> Self {
        let quota = PerKind::of(|kind| change.quota.get(kind).unwrap_or(*self.limits.quota.get(kind)));
        let limits = Limits {
            quota,
            borrowing: change.borrowing.unwrap_or(self.limits.borrowing),
            max_pending: change.max_pending.unwrap_or(self.limits.max_pending),
        };
        let revision = self.revision + u64::from(limits != self.limits);
        Self { name: self.name.clone(), limits, revision }
    }
}
