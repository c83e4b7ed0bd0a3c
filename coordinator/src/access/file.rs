//! The access file, as it is written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::grants::Grant;

/// An access file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It is no such file, or an entry of it is not what it should be.
    #[error("{problem}")]
    Format {
        /// Where and what.
        problem: String,
    },
    /// Two entries have one token.
    #[error("the token of `{name}` is that of another entry as well, expected a token of its own for each")]
    Twice {
        /// The later of the two.
        name: String,
    },
    /// The date of an entry is none.
    #[error(
        "`expires` of token `{name}` is `{found}`, expected a date with time and offset such as `2027-01-31T00:00:00Z`"
    )]
    Expiry {
        /// The entry.
        name: String,
        /// What is there.
        found: String,
    },
    /// A store is named in no way that can be used.
    #[error("`stores.{namespace}` holds `{found}`, expected an URL such as `s3://bucket/prefix`: {problem}")]
    Store {
        /// The namespace.
        namespace: String,
        /// What is there.
        found: String,
        /// Why not.
        problem: String,
    },
    /// The identity provider's keys are named in no way that can be used.
    #[error("`oidc.jwks` is `{found}`, expected an `https://` URL or a path: {problem}")]
    Keys {
        /// What is there.
        found: String,
        /// Why not.
        problem: String,
    },
}

/// What an access file holds, in TOML.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessFile {
    /// Holders of tokens.
    #[serde(default)]
    pub(super) token: Vec<TokenEntry>,
    /// The identity provider whose tokens are believed.
    pub(super) oidc: Option<OidcEntry>,
    /// What each caller may ask for at most.
    #[serde(default)]
    pub(super) limits: LimitsEntry,
    /// By namespace, or `*` for those without an entry: the URLs below which pipelines may work.
    #[serde(default)]
    pub(super) stores: BTreeMap<String, Vec<String>>,
}

/// A holder of a token.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenEntry {
    pub(super) name: String,
    pub(super) sha256: Sha256Hex,
    pub(super) grants: Vec<Grant>,
    expires: Option<toml::value::Datetime>,
}

/// An identity provider after OpenID Connect.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OidcEntry {
    /// The `iss` of its tokens.
    pub(super) issuer: String,
    /// The `aud` that tokens for this coordinator have.
    pub(super) audience: String,
    /// Where its public keys are: an `https://` URL, or a path.
    pub(super) jwks: String,
    /// What the holders of a claim may do.
    #[serde(default)]
    pub(super) grant: Vec<ClaimEntry>,
}

/// What a value of a claim allows; the claim may be a list that holds the value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimEntry {
    pub(super) claim: String,
    pub(super) value: String,
    pub(super) grants: Vec<Grant>,
}

/// What each caller may ask for at most.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsEntry {
    /// Requests a second, in the long run.
    pub(super) requests_per_second: std::num::NonZeroU32,
    /// Requests at once.
    pub(super) burst: std::num::NonZeroU32,
    /// Streams that are open.
    pub(super) streams: u32,
}

impl Default for LimitsEntry {
    fn default() -> Self {
        let number = |number: u32| std::num::NonZeroU32::new(number).unwrap_or(std::num::NonZeroU32::MIN);
        Self { requests_per_second: number(100), burst: number(500), streams: 100 }
    }
}

/// 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Sha256Hex(pub(super) [u8; 32]);

impl TryFrom<String> for Sha256Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let expected =
            || "sha256 is not the 64 hexadecimal digits of a SHA-256, as `vismae tokens new` writes".to_owned();
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(expected());
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| expected())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for AccessFile {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        // The message quotes the lines at fault, which hold no secret: tokens are known by their hash.
        toml::from_str(text).map_err(|error| AccessError::Format { problem: error.to_string() })
    }
}

impl TokenEntry {
    pub(super) fn expires(&self) -> Result<Option<SystemTime>, AccessError> {
        let Some(expires) = &self.expires else { return Ok(None) };
        let wrong = || AccessError::Expiry { name: self.name.clone(), found: expires.to_string() };
        let timestamp: prost_types::Timestamp = expires.to_string().parse().map_err(|_| wrong())?;
        if expires.offset.is_none() || expires.time.is_none() {
            return Err(wrong());
        }
        let seconds = u64::try_from(timestamp.seconds).map_err(|_| wrong())?;
        Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
    }
}

impl OidcEntry {
    /// The path of the keys, where they are in a file.
    pub(super) fn path(&self) -> Option<PathBuf> {
        (!self.jwks.contains("://")).then(|| PathBuf::from(&self.jwks))
    }
}
