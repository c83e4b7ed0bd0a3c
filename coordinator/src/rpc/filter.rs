//! Filters of lists: which of its resources a client wants to see.

mod pattern;
mod syntax;
mod value;

use std::fmt::Display;

use vismae_core::spelling;

use pattern::Pattern;
use syntax::{Comparator, Expression, Word};
pub(super) use value::{Kind, Value};

/// A field of a resource that filters and orders may name.
pub(super) struct Field<R> {
    /// Its name, that of the field of the protocol.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
    /// Its value; none where the resource has none yet.
    pub(super) read: for<'r> fn(&'r R) -> Option<Value<'r>>,
}

/// Which resources are wanted.
pub(super) enum Filter<R: 'static> {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Test { field: &'static Field<R>, comparator: Comparator, wanted: Wanted },
}

/// What a field is compared with.
pub(super) enum Wanted {
    Pattern(Pattern),
    Value(Value<'static>),
}

/// Why a filter or an order can't be used: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misread(String);

impl Misread {
    /// Wrong as a whole.
    pub(super) fn whole(problem: String) -> Self {
        Self(problem)
    }

    /// Wrong at a byte, which is told as the number of its character.
    pub(super) fn at(text: &str, byte: usize, problem: impl Display) -> Self {
        let character = text.get(..byte).unwrap_or(text).chars().count() + 1;
        Self(format!("is `{text}`, and at character {character} {problem}"))
    }
}

impl<R> Filter<R> {
    /// Reads a filter over these fields. An empty one wants everything.
    pub(super) fn parse(text: &str, fields: &'static [Field<R>]) -> Result<Self, Misread> {
        if text.trim().is_empty() {
            return Ok(Self::All(Vec::new()));
        }
        Self::bind(text, syntax::parse(text)?, fields)
    }

    fn bind(text: &str, expression: Expression, fields: &'static [Field<R>]) -> Result<Self, Misread> {
        let all = |parts: Vec<Expression>| -> Result<Vec<Self>, Misread> {
            parts.into_iter().map(|part| Self::bind(text, part, fields)).collect()
        };
        Ok(match expression {
            Expression::All(parts) => Self::All(all(parts)?),
            Expression::Any(parts) => Self::Any(all(parts)?),
            Expression::Not(part) => Self::Not(Box::new(Self::bind(text, *part, fields)?)),
            Expression::Restriction { field: name, comparator, value } => {
                let field = find(text, &name, fields)?;
                let wrong = |problem| Misread::at(text, value.at, problem);
                if !(field.kind.is_ordered() || is_equality(comparator)) {
                    return Err(Misread::at(
                        text,
                        name.at,
                        format!("`{}` is only compared by `=`, `!=` and `:`", name.text),
                    ));
                }
                let wanted = match field.kind {
                    Kind::Text | Kind::Name => Wanted::Pattern(Pattern::new(&value.text)),
                    kind => Wanted::Value(kind.read(&value.text).map_err(wrong)?),
                };
                Self::Test { field, comparator, wanted }
            }
        })
    }

    /// Whether it wants this one.
    pub(super) fn holds(&self, resource: &R) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(resource)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(resource)),
            Self::Not(part) => !part.holds(resource),
            Self::Test { field, comparator, wanted } => {
                // What is not there equals nothing, and comes neither before nor after anything.
                let Some(found) = (field.read)(resource) else { return *comparator == Comparator::Unequal };
                wanted.compare(&found, *comparator)
            }
        }
    }
}

impl Wanted {
    fn compare(&self, found: &Value<'_>, comparator: Comparator) -> bool {
        let (equal, order) = match (self, found) {
            (Self::Pattern(pattern), Value::Text(text)) => (pattern.matches(text), None),
            (Self::Pattern(pattern), Value::Texts(texts)) => (texts.iter().any(|text| pattern.matches(text)), None),
            (Self::Value(wanted), found) => (found == wanted, found.partial_cmp(wanted)),
            (Self::Pattern(_), _) => (false, None),
        };
        match comparator {
            Comparator::Equal | Comparator::Has => equal,
            Comparator::Unequal => !equal,
            Comparator::Less => order.is_some_and(|order| order.is_lt()),
            Comparator::AtMost => order.is_some_and(|order| order.is_le()),
            Comparator::Greater => order.is_some_and(|order| order.is_gt()),
            Comparator::AtLeast => order.is_some_and(|order| order.is_ge()),
        }
    }
}

fn is_equality(comparator: Comparator) -> bool {
    matches!(comparator, Comparator::Equal | Comparator::Unequal | Comparator::Has)
}

/// The field of that name.
fn find<R>(text: &str, name: &Word, fields: &'static [Field<R>]) -> Result<&'static Field<R>, Misread> {
    let unknown = || {
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let hint = spelling::hint(&name.text, names.iter().copied());
        let problem = format!("`{}` is no field{hint} (known here: `{}`)", name.text, names.join("`, `"));
        Misread::at(text, name.at, problem)
    };
    fields.iter().find(|field| field.name == name.text).ok_or_else(unknown)
}

#[cfg(test)]
mod tests;
