//! What fields hold, and how a filter writes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;
use vismae_core::spelling;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rpc) enum Kind {
    /// A text or several of them, in which a filter may leave out parts with `*`.
    Text,
    /// A text that is an RFC-1034 label.
    Name,
    /// One of these words, which a filter may write as the protocol does.
    Word {
        words: &'static [&'static str],
        /// What the protocol puts before them.
        prefix: &'static str,
    },
    Number,
    Time,
}

/// What a field holds of one resource.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(in crate::rpc) enum Value<'r> {
    Text(&'r str),
    Texts(Vec<String>),
    Word(&'static str),
    Number(i64),
    /// Since 1970.
    Time(Duration),
}

impl Kind {
    /// Whether its values come one after another.
    pub(super) fn is_ordered(self) -> bool {
        matches!(self, Self::Number | Self::Time)
    }

    /// Reads a value that is no pattern.
    pub(super) fn read(self, text: &str) -> Result<Value<'static>, String> {
        match self {
            Self::Text | Self::Name => Err("a pattern is expected".to_owned()),
            Self::Word { words, prefix } => {
                let given = text.to_ascii_lowercase();
                let given = given.strip_prefix(prefix).unwrap_or(&given);
                let known = words.iter().find(|word| **word == given);
                known.map(|word| Value::Word(word)).ok_or_else(|| {
                    let hint = spelling::hint(given, words.iter().copied());
                    format!("`{text}` is none of `{}`{hint}", words.join("`, `"))
                })
            }
            Self::Number => {
                text.parse().map(Value::Number).map_err(|_| format!("`{text}` is found, expected a whole number"))
            }
            Self::Time => {
                let time = text.parse::<Timestamp>().ok().and_then(|time| SystemTime::try_from(time).ok());
                time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                    .map(Value::Time)
                    .ok_or_else(|| format!("`{text}` is found, expected a time such as \"2026-01-31T12:00:00Z\""))
            }
        }
    }
}
