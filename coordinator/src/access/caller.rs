//! Whoever a request comes from.

use std::sync::{Arc, Mutex, PoisonError};

use super::grants::{ANY_NAMESPACE, Grants, Role};

/// Who asks, for the length of one request.
#[derive(Debug, Clone)]
pub struct Caller {
    name: Arc<str>,
    grants: Arc<Grants>,
    /// What the request is about, as far as it is known yet.
    subject: Arc<Mutex<Option<String>>>,
}

/// The caller may not do this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{caller}` needs the role `{needed}` {place}, and has {held}; ask an administrator to grant it")]
pub struct Denied {
    /// Who asked.
    pub caller: String,
    /// The role that is needed.
    pub needed: Role,
    place: String,
    held: String,
}

impl Caller {
    pub(crate) fn new(name: impl Into<Arc<str>>, grants: Grants) -> Self {
        Self { name: name.into(), grants: Arc::new(grants), subject: Arc::default() }
    }

    /// Whoever reaches a port at which nobody is asked.
    pub(crate) fn anyone() -> Self {
        Self::new("anyone", Grants::all())
    }

    /// The name in audit logs: `token:NAME`, `oidc:SUBJECT`, or `anyone` where nobody is asked.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Says for the audit log what the request is about, as far as it is known by now.
    pub(crate) fn acts_on(&self, subject: impl FnOnce() -> String) {
        *self.subject.lock().unwrap_or_else(PoisonError::into_inner) = Some(subject());
    }

    /// What the request is about, once that is known.
    pub(crate) fn subject(&self) -> Option<String> {
        self.subject.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the caller has at least a role in a namespace.
    pub(crate) fn has(&self, role: Role, namespace: &str) -> bool {
        self.grants.role(namespace) >= Some(role)
    }

    /// Demands a role in a namespace.
    ///
    /// # Errors
    /// [`Denied`].
    pub(crate) fn require(&self, needed: Role, namespace: &str) -> Result<(), Denied> {
        if self.has(needed, namespace) {
            return Ok(());
        }
        let place = match namespace {
            ANY_NAMESPACE => "in all namespaces".to_owned(),
            namespace => format!("in namespace `{namespace}`"),
        };
        let held = self.grants.role(namespace).map_or("none".to_owned(), |role| format!("`{role}`"));
        Err(Denied { caller: self.name().to_owned(), needed, place, held })
    }

    /// Demands some role in some namespace, for what belongs to none.
    ///
    /// # Errors
    /// [`Denied`].
    pub(crate) fn require_any(&self) -> Result<(), Denied> {
        if !self.grants.is_empty() {
            return Ok(());
        }
        let (place, held) = ("in any namespace".to_owned(), "none".to_owned());
        Err(Denied { caller: self.name().to_owned(), needed: Role::Viewer, place, held })
    }
}
