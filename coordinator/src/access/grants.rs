//! Roles, and the namespaces they are held in.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use vismae_core::ids::PipelineId;

/// The namespace of a grant that holds in all of them.
pub const ANY_NAMESPACE: &str = "*";

/// What somebody may do in a namespace; each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See pipelines, jobs, logs and workers.
    Viewer,
    /// Submit, cancel, suspend and resume pipelines.
    Submitter,
    /// Submit pipelines with a priority above 0, which have those of others stopped, and drain workers.
    Operator,
    /// Change namespaces.
    Admin,
}

impl Role {
    /// Every role, from the least.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Submitter, Self::Operator, Self::Admin];

    /// The word it is written as.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Submitter => "submitter",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A role in a namespace, written `namespace:role`, or `*:role` for every namespace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Grant {
    namespace: String,
    role: Role,
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            let roles: Vec<_> = Role::ALL.iter().map(|role| role.word()).collect();
            format!(
                "grant `{text}` can't be read, expected `namespace:role` or `*:role` with a role of {}",
                roles.join(", ")
            )
        };
        let (namespace, word) = text.split_once(':').ok_or_else(expected)?;
        let role = Role::ALL.into_iter().find(|role| role.word() == word).ok_or_else(expected)?;
        // Namespaces and pipelines are named by the same rule.
        if namespace != ANY_NAMESPACE {
            PipelineId::new(namespace).map_err(|error| format!("grant `{text}`: {error}"))?;
        }
        Ok(Self { namespace: namespace.to_owned(), role })
    }
}

impl TryFrom<String> for Grant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.role)
    }
}

/// Everything that somebody may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(Vec<Grant>);

impl Grants {
    pub(crate) fn new(grants: Vec<Grant>) -> Self {
        Self(grants)
    }

    /// Everything everywhere.
    pub(crate) fn all() -> Self {
        Self(vec![Grant { namespace: ANY_NAMESPACE.to_owned(), role: Role::Admin }])
    }

    /// The highest role in a namespace, if there is any.
    pub(crate) fn role(&self, namespace: &str) -> Option<Role> {
        let matching = self.0.iter().filter(|grant| grant.namespace == ANY_NAMESPACE || grant.namespace == namespace);
        matching.map(|grant| grant.role).max()
    }

    /// Whether there is a role in any namespace.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(texts: &[&str]) -> Grants {
        Grants::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn a_role_holds_in_its_namespace_only() {
        let grants = grants(&["*:viewer", "research:submitter"]);
        assert_eq!(grants.role("research"), Some(Role::Submitter));
        assert_eq!(grants.role("clinic"), Some(Role::Viewer));
        assert_eq!(self::grants(&["research:admin"]).role("clinic"), None);
        assert_eq!(self::grants(&["research:admin"]).role(ANY_NAMESPACE), None, "a namespace is not all of them");
    }

    #[test]
    fn what_is_no_grant_is_refused_with_what_is_expected() {
        for text in ["research", "research:root", "Re search:viewer", ":viewer", "../x:viewer", "research:"] {
            let error = text.parse::<Grant>().unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
