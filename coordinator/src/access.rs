//! Who may do what: people by bearer token, agents by client certificate.
//!
//! An access file names the tokens and the identity provider that are believed, and what each of them may do in which
//! namespace; see [`AccessFile`] for its keys. Without one, everyone who reaches the port may do everything, which is why only
//! addresses of this machine are listened on then.

mod caller;
mod file;
mod grants;
mod limits;
mod oidc;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

pub use caller::{Caller, Denied};
pub use file::{AccessError, AccessFile};
pub use grants::{ANY_NAMESPACE, Grant, Grants, Role};
pub(crate) use limits::{Excess, Limits};

use oidc::Oidc;

/// Why a bearer token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    #[error(
        "no token was sent, expected `authorization: Bearer TOKEN`; on the command line `--token-file` or VISMAE_TOKEN"
    )]
    Missing,
    #[error("the token is not known here; ask an administrator for one that is")]
    Token,
    #[error("the token of `{0}` has expired; ask an administrator for another")]
    Expired(String),
    #[error("the identity token is not believed: {0}")]
    Identity(String),
    #[error("the keys of the identity provider can't be had at the moment: {0}")]
    Keys(String),
}

/// An access file, ready to decide.
#[derive(Debug)]
pub(crate) struct Access {
    /// By the SHA-256 of the token, which is all that is known of it.
    tokens: HashMap<[u8; 32], Holder>,
    oidc: Option<Oidc>,
    stores: HashMap<String, Vec<StorePrefix>>,
    pub(crate) limits: Arc<Limits>,
}

#[derive(Debug)]
struct Holder {
    name: String,
    grants: Grants,
    expires: Option<SystemTime>,
}

/// Where a store must lie: below a URL, by whole segments of its path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StorePrefix(url::Url);

impl Access {
    /// Makes a file's rules ready. `folder` is what its relative paths begin at.
    ///
    /// # Errors
    /// The entry that can't be used.
    pub(crate) fn new(file: &AccessFile, folder: &Path) -> Result<Self, AccessError> {
        let mut tokens = HashMap::new();
        for token in &file.token {
            let holder = Holder {
                name: token.name.clone(),
                grants: Grants::new(token.grants.clone()),
                expires: token.expires()?,
            };
            if tokens.insert(token.sha256.0, holder).is_some() {
                return Err(AccessError::Twice { name: token.name.clone() });
            }
        }
        let mut stores = HashMap::new();
        for (namespace, urls) in &file.stores {
            let prefixes: Result<Vec<_>, _> = urls.iter().map(|url| StorePrefix::new(namespace, url)).collect();
            stores.insert(namespace.clone(), prefixes?);
        }
        let oidc = file.oidc.as_ref().map(|oidc| Oidc::new(oidc, folder)).transpose()?;
        Ok(Self { tokens, oidc, stores, limits: Arc::new(Limits::new(&file.limits)) })
    }

    /// The same in place of an earlier one, whose counts and keys it goes on with where the file says nothing new about them.
    pub(crate) fn after(mut self, last: &Self) -> Self {
        if self.limits.are_as(&last.limits) {
            self.limits = Arc::clone(&last.limits);
        }
        self.oidc = self.oidc.map(|oidc| match &last.oidc {
            Some(last) => oidc.after(last),
            None => oidc,
        });
        self
    }

    /// Who sends a token, where that takes no effort to find out.
    pub(crate) fn recall(&self, token: &str, now: SystemTime) -> Option<(String, Grants)> {
        match &self.oidc {
            Some(oidc) if is_identity(token) => oidc.recall(token, now),
            _ => self.holder(token, now).ok(),
        }
    }

    /// Who sends a token. One with dots is taken for an identity token, any other for one of the file.
    pub(crate) async fn identify(&self, token: &str, now: SystemTime) -> Result<(String, Grants), Unknown> {
        match &self.oidc {
            Some(oidc) if is_identity(token) => oidc.identify(token, now).await,
            _ => self.holder(token, now),
        }
    }

    fn holder(&self, token: &str, now: SystemTime) -> Result<(String, Grants), Unknown> {
        let holder = self.tokens.get(&digest(token)).ok_or(Unknown::Token)?;
        if holder.expires.is_some_and(|expires| expires <= now) {
            return Err(Unknown::Expired(holder.name.clone()));
        }
        Ok((format!("token:{}", holder.name), holder.grants.clone()))
    }

    /// Fetches the identity provider's keys again where that is due; until it succeeds, the last ones are believed.
    pub(crate) async fn refresh(&self, age: Duration) {
        if let Some(oidc) = &self.oidc {
            oidc.refresh(age).await;
        }
    }

    /// Whether pipelines of a namespace may work in a store; where the file says nothing about the namespace, in any.
    pub(crate) fn allows_store(&self, namespace: &str, store: &str) -> Result<(), String> {
        let Some(allowed) = self.stores.get(namespace).or_else(|| self.stores.get(ANY_NAMESPACE)) else {
            return Ok(());
        };
        let within = url::Url::parse(store).is_ok_and(|store| allowed.iter().any(|prefix| prefix.holds(&store)));
        if within {
            return Ok(());
        }
        let allowed: Vec<_> = allowed.iter().map(|prefix| format!("`{}`", prefix.0)).collect();
        Err(format!("is outside of what namespace `{namespace}` may use, expected one in {}", allowed.join(", ")))
    }
}

/// Whether a token looks like a JWT.
fn is_identity(token: &str) -> bool {
    token.matches('.').count() == 2
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl StorePrefix {
    fn new(namespace: &str, url: &str) -> Result<Self, AccessError> {
        url::Url::parse(url).map(Self).map_err(|problem| AccessError::Store {
            namespace: namespace.to_owned(),
            found: url.to_owned(),
            problem: problem.to_string(),
        })
    }

    /// Parsing has resolved `.` and `..` in both, also where they are percent-encoded. A segment with an encoded slash would be two
    /// to a store, and is none of the prefix's.
    fn holds(&self, store: &url::Url) -> bool {
        let segments = |url: &url::Url| -> Vec<String> {
            url.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let same_place = self.0.scheme() == store.scheme()
            && self.0.host_str() == store.host_str()
            // Where Azure has the container.
            && self.0.username() == store.username()
            && self.0.port_or_known_default() == store.port_or_known_default();
        let hides_a_slash = store.path().to_ascii_lowercase().contains("%2f");
        same_place
            && !hides_a_slash
            && whereabouts(&self.0) == whereabouts(store)
            && segments(store).starts_with(&segments(&self.0))
    }
}

/// The settings of a store's URL that say where it is, such as the endpoint that stands for a host: all but how long is waited.
fn whereabouts(url: &url::Url) -> BTreeSet<(String, String)> {
    url.query_pairs()
        .filter(|(key, _)| !key.ends_with("timeout"))
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

#[cfg(test)]
mod tests;
