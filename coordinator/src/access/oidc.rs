//! Identity tokens of an OpenID Connect provider: JWTs, verified against its public keys.

mod keys;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::file::{AccessError, ClaimEntry, OidcEntry};
use super::{Grants, Unknown, digest};
use keys::Keys;

/// Signatures that are believed: those that only the holder of a private key can make.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// How far the provider's clock may be off.
const LEEWAY: Duration = Duration::from_secs(60);
/// How long a token is believed that was verified: a key that its provider withdraws lasts so much longer.
const BELIEVED: Duration = Duration::from_secs(60);
/// Tokens remembered before all are verified anew.
const RECENT: usize = 4096;

/// A provider whose tokens are believed, and what their claims allow.
#[derive(Debug)]
pub(super) struct Oidc {
    issuer: String,
    audience: String,
    claims: Vec<ClaimEntry>,
    keys: Arc<Keys>,
    /// Holders of tokens that were verified a moment ago, by the SHA-256 of the token.
    recent: Mutex<HashMap<[u8; 32], Recent>>,
}

/// The holder of a token, who is believed for a while without another look at the signature.
#[derive(Debug, Clone)]
struct Recent {
    name: String,
    grants: Grants,
    until: SystemTime,
}

impl Oidc {
    pub(super) fn new(entry: &OidcEntry, folder: &Path) -> Result<Self, AccessError> {
        Ok(Self {
            issuer: entry.issuer.clone(),
            audience: entry.audience.clone(),
            claims: entry.grant.clone(),
            keys: Arc::new(Keys::new(entry, folder)?),
            recent: Mutex::default(),
        })
    }

    /// The same with the keys of an earlier one, if they come from the same place: the provider may be away just now.
    pub(super) fn after(self, last: &Self) -> Self {
        let keys = if self.keys.is_of(&last.keys) { Arc::clone(&last.keys) } else { self.keys };
        Self { keys, ..self }
    }

    /// The holder of a token that was verified a moment ago.
    pub(super) fn recall(&self, token: &str, now: SystemTime) -> Option<(String, Grants)> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = recent.get(&digest(token)).filter(|holder| holder.until > now)?;
        Some((holder.name.clone(), holder.grants.clone()))
    }

    /// Who an identity token was given to, and what its claims allow.
    pub(super) async fn identify(&self, token: &str, now: SystemTime) -> Result<(String, Grants), Unknown> {
        let wrong = |problem: &str| Unknown::Identity(problem.to_owned());
        let header = decode_header(token).map_err(|_| wrong("it is no JWT"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(wrong("it is not signed with a private key, expected RS, PS, ES or EdDSA"));
        }
        let kid = header.kid.as_deref();
        let key = self.keys.find(kid).await?.ok_or_else(|| wrong("its key is none of the provider's"))?;
        let claims = self.verify(token, header.alg, &key)?;
        let Some(subject) = claims.get("sub").and_then(Value::as_str) else {
            return Err(wrong("its `sub` is no text"));
        };
        let matching = self.claims.iter().filter(|entry| holds(&claims, entry));
        let grants = matching.flat_map(|entry| entry.grants.iter().cloned()).collect();
        let (name, grants) = (format!("oidc:{subject}"), Grants::new(grants));
        let ends = claims.get("exp").and_then(Value::as_u64).map(Duration::from_secs);
        let ends = ends.and_then(|ends| SystemTime::UNIX_EPOCH.checked_add(ends));
        let until = ends.map_or(now, |ends| ends.min(now + BELIEVED));
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= RECENT {
            recent.clear();
        }
        recent.insert(digest(token), Recent { name: name.clone(), grants: grants.clone(), until });
        Ok((name, grants))
    }

    fn verify(&self, token: &str, algorithm: Algorithm, key: &Jwk) -> Result<Value, Unknown> {
        let wrong = |problem: String| Unknown::Identity(problem);
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY.as_secs();
        let key = DecodingKey::from_jwk(key).map_err(|error| wrong(format!("its key can't be used: {error}")))?;
        decode::<Value>(token, &key, &validation).map(|token| token.claims).map_err(|error| {
            wrong(match error.kind() {
                ErrorKind::ExpiredSignature => "it has expired".to_owned(),
                ErrorKind::ImmatureSignature => "it is not valid yet".to_owned(),
                ErrorKind::InvalidIssuer => format!("it is not from `{}`", self.issuer),
                ErrorKind::InvalidAudience => format!("it is not for `{}`", self.audience),
                ErrorKind::MissingRequiredClaim(claim) => format!("it has no `{claim}`"),
                _ => "its signature is wrong".to_owned(),
            })
        })
    }

    pub(super) async fn refresh(&self, age: Duration) {
        self.keys.refresh(age).await;
    }
}

/// Whether a claim is a value, or a list with it.
fn holds(claims: &Value, entry: &ClaimEntry) -> bool {
    match claims.get(&entry.claim) {
        Some(Value::String(value)) => *value == entry.value,
        Some(Value::Array(values)) => values.iter().any(|value| value.as_str() == Some(&entry.value)),
        _ => false,
    }
}
