//! What is wrong with a job file: every fault with its place, found in one pass.

use std::convert::Infallible;
use std::fmt;
use std::ops::ControlFlow;

use deserr::{DeserializeError, ErrorKind, IntoValue, MergeWithError, Sequence, Value, ValueKind, ValuePointerRef};
use serde_json::Value as Json;
use vismae_core::spelling;

/// A way through a job file, shown as `finetune[0].epochs`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Key(String),
    Index(usize),
}

impl Place {
    pub(super) fn root() -> Self {
        Self(Vec::new())
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Part::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Part::Index(index))
    }

    pub(super) fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, rest)| Self(rest.to_vec()))
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The last key of the way, which a message about one of its items is about too.
    pub(super) fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|part| match part {
            Part::Key(key) => Some(key.as_str()),
            Part::Index(_) => None,
        })
    }

    fn with(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }
}

impl From<ValuePointerRef<'_>> for Place {
    fn from(pointer: ValuePointerRef<'_>) -> Self {
        match pointer {
            ValuePointerRef::Origin => Self::root(),
            ValuePointerRef::Key { key, prev } => Self::from(*prev).key(key),
            ValuePointerRef::Index { index, prev } => Self::from(*prev).index(index),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, part) in self.0.iter().enumerate() {
            match part {
                Part::Key(key) if position > 0 => write!(f, ".{key}")?,
                Part::Key(key) => f.write_str(key)?,
                Part::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// What sort of fault it is, as far as going on reading depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The text is no TOML here.
    Syntax,
    /// A key that the table does not have; with the nearest one it has, if any is near.
    UnknownKey(Option<String>),
    /// A key that the table must have.
    MissingKey,
    /// A value of the wrong type, or outside a closed set.
    WrongValue,
    /// A rule between values that does not hold.
    BrokenRule,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where in the file's tables.
    pub place: Place,
    /// The line, from 1, when known.
    pub line: Option<usize>,
    /// What sort it is.
    pub kind: FaultKind,
    /// What was found and what was expected; reads on after the place.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.parts().is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "`{}` {}", self.place, self.message)
    }
}

/// Every fault of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        if !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }

    pub(super) fn extend(&mut self, others: Self) {
        for fault in others.0 {
            self.push(fault);
        }
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&Fault) -> bool) {
        self.0.retain(keep);
    }

    /// Fills in the lines that are not known yet and puts the faults in their order.
    pub(super) fn locate(&mut self, line: impl Fn(&Place) -> Option<usize>) {
        for fault in &mut self.0 {
            fault.line = fault.line.or_else(|| line(&fault.place));
        }
        self.0.sort_by_key(|fault| fault.line);
    }

    /// Leaves out what other faults only make look wrong: odd values on a line that is no TOML, keys that such a line
    /// may have held, and keys whose value could not be read.
    pub(super) fn drop_echoes(&mut self) {
        let is_syntax = |fault: &Fault| fault.kind == FaultKind::Syntax;
        let unread: Vec<Option<usize>> = self.0.iter().filter(|f| is_syntax(f)).map(|f| f.line).collect();
        let refused: Vec<Place> =
            self.0.iter().filter(|f| f.kind == FaultKind::WrongValue).map(|f| f.place.clone()).collect();
        self.0.retain(|fault| {
            let is_missing = fault.kind == FaultKind::MissingKey;
            let echoes_syntax = !is_syntax(fault) && unread.contains(&fault.line);
            let echoes_value = is_missing && (!unread.is_empty() || refused.contains(&fault.place));
            !(echoes_syntax || echoes_value)
        });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The faults in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl MergeWithError<Self> for Faults {
    fn merge(earlier: Option<Self>, other: Self, _: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        let mut all = earlier.unwrap_or_default();
        all.extend(other);
        ControlFlow::Continue(all)
    }
}

/// Why a field's own check refuses its value.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String);

impl MergeWithError<Refusal> for Faults {
    fn merge(earlier: Option<Self>, Refusal(message): Refusal, at: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        let mut all = earlier.unwrap_or_default();
        all.push(Fault { place: at.into(), line: None, kind: FaultKind::WrongValue, message });
        ControlFlow::Continue(all)
    }
}

/// What a refused map key would be; job files have no free keys.
impl MergeWithError<Infallible> for Faults {
    fn merge(_: Option<Self>, never: Infallible, _: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        match never {}
    }
}

impl DeserializeError for Faults {
    fn error<V: IntoValue>(
        earlier: Option<Self>,
        error: ErrorKind<'_, V>,
        at: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        let at = Place::from(at);
        let (place, kind, message) = match error {
            ErrorKind::IncorrectValueKind { actual, accepted } => {
                let message = format!("is {}, expected {}", describe(actual), expected(accepted));
                (at, FaultKind::WrongValue, message)
            }
            ErrorKind::MissingField { field } => {
                let message = "is absent, expected a value: it has no default".to_owned();
                (at.key(field), FaultKind::MissingKey, message)
            }
            ErrorKind::UnknownKey { key, accepted } => {
                let nearest = spelling::nearest(key, accepted.iter().copied()).map(str::to_owned);
                let hint = spelling::hint(key, accepted.iter().copied());
                let message = format!("is not a known key{hint} (known here: {})", list(accepted));
                (at.key(key), FaultKind::UnknownKey(nearest), message)
            }
            ErrorKind::UnknownValue { value, accepted } => {
                let hint = spelling::hint(value, accepted.iter().copied());
                let message = format!("is `{value}`, expected one of {}{hint}", list(accepted));
                (at, FaultKind::WrongValue, message)
            }
            ErrorKind::BadSequenceLen { actual, expected } => {
                let message = format!("has {} items, expected {expected}", actual.len());
                (at, FaultKind::WrongValue, message)
            }
            ErrorKind::Unexpected { msg } => (at, FaultKind::WrongValue, msg),
        };
        let mut all = earlier.unwrap_or_default();
        all.push(Fault { place, line: None, kind, message });
        ControlFlow::Continue(all)
    }
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn describe<V: IntoValue>(value: Value<V>) -> String {
    let word = word(value.kind());
    match value {
        Value::Map(_) | Value::Sequence(_) | Value::Null => word.to_owned(),
        Value::String(text) => format!("{word} \"{text}\""),
        other => format!("{word} `{}`", Json::from(other)),
    }
}

fn expected(kinds: &[ValueKind]) -> String {
    if kinds.contains(&ValueKind::Float) {
        return "a number".to_owned();
    }
    kinds.iter().map(|kind| word(*kind)).collect::<Vec<_>>().join(" or ")
}

fn word(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Null => "nothing",
        ValueKind::Boolean => "a boolean",
        ValueKind::Integer => "a whole number of 0 or more",
        ValueKind::NegativeInteger => "a negative number",
        ValueKind::Float => "a number",
        ValueKind::String => "a string",
        ValueKind::Sequence => "a list",
        ValueKind::Map => "a table",
    }
}
