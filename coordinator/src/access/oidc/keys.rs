//! The public keys of an identity provider, from a file or its URL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::super::Unknown;
use super::super::file::{AccessError, OidcEntry};

/// How long the provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How soon it is asked again: a stream of made-up keys must not become a stream of requests to it.
const PAUSE: Duration = Duration::from_secs(30);
/// The most bytes of an answer.
const SIZE_MAX: usize = 1 << 20;

/// Keys that are fetched when they are first needed, and again when one is missing.
#[derive(Debug)]
pub(super) struct Keys {
    source: Source,
    cache: Mutex<Cache>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(Box<reqwest::Client>, Url),
}

#[derive(Debug, Default)]
struct Cache {
    keys: Vec<Jwk>,
    /// When they were last asked for, and when that last succeeded.
    asked: Option<Instant>,
    fetched: Option<Instant>,
    /// Why they could not be had when they were last asked for.
    problem: Option<String>,
}

impl Keys {
    pub(super) fn new(entry: &OidcEntry, folder: &Path) -> Result<Self, AccessError> {
        let unusable = |problem: String| AccessError::Keys { found: entry.jwks.clone(), problem };
        let source = match entry.path() {
            Some(path) => Source::File(folder.join(path)),
            None => {
                let url = Url::parse(&entry.jwks).map_err(|error| unusable(error.to_string()))?;
                if url.scheme() != "https" && !is_loopback(&url) {
                    return Err(unusable("anyone on the way could replace keys that come in plain text".to_owned()));
                }
                // Another address would not have been checked.
                let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
                Source::Url(Box::new(client.build().map_err(|error| unusable(error.to_string()))?), url)
            }
        };
        Ok(Self { source, cache: Mutex::default() })
    }

    /// Whether they come from the same place.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::File(one), Source::File(other)) => one == other,
            (Source::Url(_, one), Source::Url(_, other)) => one == other,
            _ => false,
        }
    }

    /// The key of an identity token; the only one there is where the token names none.
    pub(super) async fn find(&self, kid: Option<&str>) -> Result<Option<Jwk>, Unknown> {
        let mut cache = self.cache.lock().await;
        if let Some(key) = cache.find(kid) {
            return Ok(Some(key));
        }
        if cache.asked.is_none_or(|asked| asked.elapsed() > PAUSE) {
            self.fetch(&mut cache).await.ok();
        }
        // While the provider can't be asked, a key that is not known may well be one of its own.
        match (cache.find(kid), &cache.problem) {
            (None, Some(problem)) => Err(Unknown::Keys(problem.clone())),
            (key, _) => Ok(key),
        }
    }

    /// Fetches keys that are older than an age. Those of a provider that does not answer are kept.
    pub(super) async fn refresh(&self, age: Duration) {
        let mut cache = self.cache.lock().await;
        if cache.fetched.is_none_or(|fetched| fetched.elapsed() > age)
            && let Err(problem) = self.fetch(&mut cache).await
        {
            tracing::warn!(problem, "the identity provider's keys could not be fetched");
        }
    }

    async fn fetch(&self, cache: &mut Cache) -> Result<(), String> {
        cache.asked = Some(Instant::now());
        let keys = self.source.load().await;
        cache.problem = keys.as_ref().err().cloned();
        cache.keys = keys?;
        cache.fetched = Some(Instant::now());
        Ok(())
    }
}

impl Source {
    async fn load(&self) -> Result<Vec<Jwk>, String> {
        read(&match self {
            Self::File(path) => {
                tokio::fs::read(path).await.map_err(|error| format!("`{}`: {error}", path.display()))?
            }
            Self::Url(client, url) => download(client, url).await?,
        })
    }
}

impl Cache {
    fn find(&self, kid: Option<&str>) -> Option<Jwk> {
        match (kid, &self.keys[..]) {
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
            (Some(kid), keys) => keys.iter().find(|key| key.common.key_id.as_deref() == Some(kid)).cloned(),
        }
    }
}

async fn download(client: &reqwest::Client, url: &Url) -> Result<Vec<u8>, String> {
    let wrong = |error: reqwest::Error| format!("`{url}`: {}", error.without_url());
    let mut answer =
        client.get(url.clone()).send().await.and_then(reqwest::Response::error_for_status).map_err(wrong)?;
    if !answer.status().is_success() {
        return Err(format!("`{url}` answers with {}", answer.status()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(wrong)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > SIZE_MAX {
            return Err(format!("`{url}` sends more than {SIZE_MAX} bytes"));
        }
    }
    Ok(bytes)
}

/// The keys that can be used here; a set may hold others beside them. A shared secret is none: whoever could read it could sign.
fn read(bytes: &[u8]) -> Result<Vec<Jwk>, String> {
    let set: Value = serde_json::from_slice(bytes).map_err(|error| format!("they are no JSON: {error}"))?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or("they are no JWK set: `keys` is missing")?;
    let usable = |key: &Jwk| {
        let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
        signs && !matches!(key.algorithm, AlgorithmParameters::OctetKey(_))
    };
    Ok(keys.iter().filter_map(|key| serde_json::from_value(key.clone()).ok()).filter(usable).collect())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
