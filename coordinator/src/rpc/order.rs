//! The order of a list, and places in it that outlast what lies there.

use std::cmp::Reverse;
use std::fmt::{self, Display};

use super::filter::{Field, Kind, Misread, Value};

/// By which fields a list is sorted, the first one first. What they leave open is decided by the number of each item.
pub(super) struct Order<R: 'static> {
    by: Vec<(&'static Field<R>, Direction)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// Where an item lies, as it is written into the token of a page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    keys: Vec<Key>,
    number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Up(Sorted),
    Down(Reverse<Sorted>),
}

/// A value that is sorted by; what is absent comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Sorted {
    Absent,
    Number(i128),
    Text(String),
}

impl<R> Order<R> {
    /// Reads `field [desc], …`; empty leaves the order to the numbers.
    pub(super) fn parse(text: &str, fields: &'static [Field<R>]) -> Result<Self, Misread> {
        let count = text.split(',').count();
        if count > fields.len() {
            return Err(Misread::whole(format!(
                "names {count} fields, expected each of {} at most once",
                fields.len()
            )));
        }
        let parts = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
        let by = parts.map(|part| {
            let (name, direction) = match part.split_once(char::is_whitespace) {
                None => (part, Direction::Up),
                Some((name, word)) if word.trim() == "asc" => (name, Direction::Up),
                Some((name, word)) if word.trim() == "desc" => (name, Direction::Down),
                Some((_, word)) => {
                    return Err(Misread::whole(format!(
                        "is `{text}`: `{}` is found, expected `asc` or `desc`",
                        word.trim()
                    )));
                }
            };
            let known = || fields.iter().filter(|field| is_sorted(field.kind));
            let unknown = || {
                let names: Vec<&str> = known().map(|field| field.name).collect();
                Misread::whole(format!("is `{text}`: `{name}` is none of `{}`", names.join("`, `")))
            };
            known().find(|field| field.name == name).map(|field| (field, direction)).ok_or_else(unknown)
        });
        by.collect::<Result<_, _>>().map(|by| Self { by })
    }

    /// The same, with a field that decides what the others leave open: for items without numbers.
    pub(super) fn then(mut self, field: &'static Field<R>) -> Self {
        self.by.push((field, Direction::Up));
        self
    }

    /// Whether numbers alone decide.
    pub(super) fn is_plain(&self) -> bool {
        self.by.is_empty()
    }

    /// Where an item of this number lies.
    pub(super) fn place(&self, item: &R, number: u64) -> Place {
        let key = |(field, direction): &(&'static Field<R>, Direction)| {
            let sorted = match (field.read)(item) {
                Some(Value::Text(text)) => Sorted::Text(text.to_owned()),
                Some(Value::Number(number)) => Sorted::Number(number.into()),
                Some(Value::Time(time)) => Sorted::Number(i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)),
                Some(Value::Word(_) | Value::Texts(_)) | None => Sorted::Absent,
            };
            directed(sorted, *direction)
        };
        Place { keys: self.by.iter().map(key).collect(), number }
    }

    /// Reads a place back.
    pub(super) fn read(&self, text: &str) -> Option<Place> {
        let mut parts = text.split(',');
        let number = parts.next()?.parse().ok()?;
        let key = |(part, (_, direction)): (&str, &(_, Direction))| {
            let sorted = match part.split_at_checked(1)? {
                ("a", "") => Sorted::Absent,
                ("n", digits) => Sorted::Number(digits.parse().ok()?),
                ("t", text) => Sorted::Text(text.to_owned()),
                _ => return None,
            };
            Some(directed(sorted, *direction))
        };
        let keys: Vec<Key> = parts.zip(&self.by).map(key).collect::<Option<_>>()?;
        (keys.len() == self.by.len()).then_some(Place { keys, number })
    }
}

/// Items in the order of their places.
pub(super) fn sorted<'c, T: 'c>(items: impl Iterator<Item = (Place, T)>) -> Box<dyn Iterator<Item = (Place, T)> + 'c> {
    let mut items: Vec<_> = items.collect();
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    Box::new(items.into_iter())
}

fn is_sorted(kind: Kind) -> bool {
    // Of the texts, names alone: they hold nothing that a place is written with.
    matches!(kind, Kind::Number | Kind::Time | Kind::Name)
}

fn directed(sorted: Sorted, direction: Direction) -> Key {
    match direction {
        Direction::Up => Key::Up(sorted),
        Direction::Down => Key::Down(Reverse(sorted)),
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        for key in &self.keys {
            match key {
                Key::Up(sorted) | Key::Down(Reverse(sorted)) => match sorted {
                    Sorted::Absent => f.write_str(",a")?,
                    Sorted::Number(number) => write!(f, ",n{number}")?,
                    Sorted::Text(text) => write!(f, ",t{text}")?,
                },
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FIELDS: &[Field<(&'static str, i64)>] = &[
        Field { name: "name", kind: Kind::Name, read: |item| Some(Value::Text(item.0)) },
        Field { name: "size", kind: Kind::Number, read: |item| (item.1 != 0).then_some(Value::Number(item.1)) },
        Field { name: "url", kind: Kind::Text, read: |_| None },
    ];

    fn sorted(order: &str) -> Vec<u64> {
        let order = Order::parse(order, FIELDS).unwrap();
        let items = [("b", 5), ("a", 5), ("c", -1), ("d", 0)];
        let mut places: Vec<Place> = (1..).zip(&items).map(|(number, item)| order.place(item, number)).collect();
        for place in &places {
            assert_eq!(order.read(&place.to_string()).as_ref(), Some(place), "a place is read as it is written");
        }
        places.sort();
        places.into_iter().map(|place| place.number).collect()
    }

    #[test]
    fn items_are_sorted_by_fields_and_then_by_number() {
        assert_eq!(sorted(""), [1, 2, 3, 4]);
        assert_eq!(sorted("name"), [2, 1, 3, 4]);
        assert_eq!(sorted("name desc"), [4, 3, 1, 2]);
        assert_eq!(sorted("size"), [4, 3, 1, 2]);
        assert_eq!(sorted("size desc, name asc"), [2, 1, 3, 4]);
    }

    #[test]
    fn an_order_that_is_wrong_and_a_place_of_another_order_are_refused() {
        for (order, problem) in [
            ("nam", "is `nam`: `nam` is none of `name`, `size`"),
            ("url", "`url` is none of `name`, `size`"),
            ("name down", "`down` is found, expected `asc` or `desc`"),
            ("name,", "`` is none of"),
        ] {
            let told = Order::parse(order, FIELDS).err().unwrap().to_string();
            assert!(told.contains(problem), "{told}");
        }
        let order = Order::parse("name", FIELDS).unwrap();
        assert!(["", "x", "1", "1,q", "1,n", "1,n1x"].iter().all(|text| order.read(text).is_none()));
    }
}
