//! What was refused, and why.

use std::sync::Arc;

use super::outcome::Refused;
use crate::decode::{DecodeError, LabelError};
use crate::normalise::NormaliseError;
use crate::quarantine::RefusedFile;

/// Why a file is not in the corpus. Codes are for programs and never change; messages are for people and never hold a value
/// of a file that could name a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The part of the ingest that refused: `list`, `decode`, `mask`, `normalise` or `split`.
    pub(super) stage: &'static str,
    /// Machine-readable reason.
    pub(super) code: &'static str,
    /// What was found and what was expected.
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(stage: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { stage, code, message: message.into() }
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::new("decode", error.code(), error.to_string())
    }
}

impl From<LabelError> for Refusal {
    fn from(error: LabelError) -> Self {
        Self::new("mask", error.code(), error.to_string())
    }
}

impl From<NormaliseError> for Refusal {
    fn from(error: NormaliseError) -> Self {
        Self::new("normalise", error.code(), error.to_string())
    }
}

/// One refused file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quarantined {
    /// The set it came with.
    pub(super) source: Arc<str>,
    /// What its path in that set is called instead.
    pub(super) alias: String,
    /// Why.
    pub(super) refused: Refused,
}

impl From<&Quarantined> for RefusedFile {
    fn from(quarantined: &Quarantined) -> Self {
        let Refused { stage, code, message } = quarantined.refused.clone();
        Self { source: quarantined.source.to_string(), file: quarantined.alias.clone(), stage, reason: code, message }
    }
}
