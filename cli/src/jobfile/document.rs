//! The text of a job file as a tree of values that knows the line of each of them.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, FaultKind, Faults, Place};

/// A parsed job file.
#[derive(Debug)]
pub(super) struct Document {
    /// Its values; a value that TOML knows and a job file cannot use is absent here and a fault.
    pub(super) tree: Value,
    lines: BTreeMap<Place, usize>,
}

impl Document {
    /// Parses the text. Every syntax error becomes a fault, and what could be read is still read.
    pub(super) fn parse(text: &str) -> (Self, Faults) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader { text, lines: BTreeMap::new(), faults: Faults::default() };
        for error in errors {
            let line = error.span().map(|span| reader.line_of(span.start));
            reader.faults.push(Fault {
                place: Place::root(),
                line,
                kind: FaultKind::Syntax,
                message: error.message().to_owned(),
            });
        }
        let tree = reader.table(&Place::root(), table.get_ref());
        (Self { tree, lines: reader.lines }, reader.faults)
    }

    /// The line, from 1, of a value or of the nearest table around it.
    pub(super) fn line(&self, place: &Place) -> Option<usize> {
        std::iter::successors(Some(place.clone()), Place::parent).find_map(|place| self.lines.get(&place).copied())
    }
}

struct Reader<'t> {
    text: &'t str,
    lines: BTreeMap<Place, usize>,
    faults: Faults,
}

impl Reader<'_> {
    fn line_of(&self, offset: usize) -> usize {
        1 + self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
    }

    fn table(&mut self, place: &Place, table: &DeTable<'_>) -> Value {
        let mut values = Map::new();
        for (key, value) in table {
            let place = place.key(key.get_ref());
            let line = self.line_of(key.span().start);
            self.lines.insert(place.clone(), line);
            if let Some(value) = self.value(&place, value) {
                values.insert(key.get_ref().clone().into_owned(), value);
            }
        }
        Value::Object(values)
    }

    fn value(&mut self, place: &Place, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        match value.get_ref() {
            DeValue::String(text) => Some(Value::String(text.clone().into_owned())),
            DeValue::Boolean(value) => Some(Value::Bool(*value)),
            DeValue::Integer(integer) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(Value::from);
                self.or_unusable(number, place, "is beyond 64 bits, expected a smaller integer")
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse().ok().and_then(Number::from_f64).map(Value::Number);
                self.or_unusable(number, place, "is not finite, expected a finite number")
            }
            DeValue::Datetime(_) => self.or_unusable(None, place, "is a date, expected a string or a number"),
            DeValue::Array(items) => {
                let mut values = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let place = place.index(index);
                    let line = self.line_of(item.span().start);
                    self.lines.insert(place.clone(), line);
                    values.extend(self.value(&place, item));
                }
                Some(Value::Array(values))
            }
            DeValue::Table(table) => Some(self.table(place, table)),
        }
    }

    fn or_unusable(&mut self, value: Option<Value>, place: &Place, message: &str) -> Option<Value> {
        if value.is_none() {
            self.faults.push(Fault {
                place: place.clone(),
                line: None,
                kind: FaultKind::WrongValue,
                message: message.to_owned(),
            });
        }
        value
    }
}
