//! Tables with lists of values: each combination of them is a job of its own.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use deserr::{Deserr, IntoValue, MergeWithError as _, Sequence as _, Value, ValuePointerRef};
use vismae_core::ids::{InvalidName, JobName};

use super::fault::{Faults, Place, Refusal};
use super::schema::{FinetuneTable, Init, ModalityWord};

/// One value, or a list of which each gives jobs of its own.
#[derive(Debug, Clone)]
pub(super) struct Swept<T> {
    values: Vec<T>,
    listed: bool,
}

impl<T> Swept<T> {
    /// One value.
    pub(super) fn one(value: T) -> Self {
        Self { values: vec![value], listed: false }
    }

    fn len(&self) -> u64 {
        self.values.len() as u64
    }

    /// Each value, with its place in the list if there is one.
    fn each(&self) -> impl Iterator<Item = (&T, Option<usize>)> {
        self.values.iter().enumerate().map(|(index, value)| (value, self.listed.then_some(index)))
    }
}

impl<T: Deserr<Faults>> Deserr<Faults> for Swept<T> {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Result<Self, Faults> {
        match value {
            Value::Sequence(items) => {
                let values = each(items.into_iter(), at, |item, at| T::deserialize_from_value(item.into_value(), at))?;
                if values.is_empty() {
                    return Err(refused("is an empty list, expected a value, or a list of values for a job each", at));
                }
                Ok(Self { values, listed: true })
            }
            value => T::deserialize_from_value(value, at).map(Self::one),
        }
    }
}

/// A list of modalities, or a list of such lists.
#[derive(Debug, Clone)]
pub(super) struct SweptModalities(pub(super) Swept<Vec<ModalityWord>>);

impl Deserr<Faults> for SweptModalities {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Result<Self, Faults> {
        let Value::Sequence(items) = value else {
            return Vec::deserialize_from_value(value, at).map(Swept::one).map(Self);
        };
        let read = |item: V, at: ValuePointerRef<'_>| match item.into_value() {
            list @ Value::Sequence(_) => Vec::deserialize_from_value(list, at).map(Err),
            word => ModalityWord::deserialize_from_value(word, at).map(Ok),
        };
        let items = each(items.into_iter(), at, read)?;
        let (words, lists): (Vec<_>, Vec<_>) = items.into_iter().partition(Result::is_ok);
        let words: Vec<ModalityWord> = words.into_iter().flatten().collect();
        let lists: Vec<Vec<ModalityWord>> = lists.into_iter().filter_map(Result::err).collect();
        match (words.is_empty(), lists.is_empty()) {
            (_, true) => Ok(Self(Swept::one(words))),
            (true, false) => Ok(Self(Swept { values: lists, listed: true })),
            (false, false) => Err(refused("holds modalities and lists of them, expected one or the other", at)),
        }
    }
}

/// Reads every item, and names every fault.
fn each<I, T>(
    items: impl Iterator<Item = I>,
    at: ValuePointerRef<'_>,
    read: impl Fn(I, ValuePointerRef<'_>) -> Result<T, Faults>,
) -> Result<Vec<T>, Faults> {
    let (mut values, mut faults) = (Vec::new(), None);
    for (index, item) in items.enumerate() {
        match read(item, at.push_index(index)) {
            Ok(value) => values.push(value),
            Err(found) => {
                let (ControlFlow::Continue(all) | ControlFlow::Break(all)) = Faults::merge(faults, found, at);
                faults = Some(all);
            }
        }
    }
    faults.map_or(Ok(values), Err)
}

fn refused(message: &str, at: ValuePointerRef<'_>) -> Faults {
    let (ControlFlow::Continue(faults) | ControlFlow::Break(faults)) =
        Faults::merge(None, Refusal(message.to_owned()), at);
    faults
}

/// What one job of a table has that the others may have otherwise.
#[derive(Debug)]
pub(super) struct Choice<'t> {
    pub(super) init: Init,
    pub(super) label_fraction: f64,
    pub(super) modalities: &'t [ModalityWord],
    pub(super) seed: u64,
    /// The swept keys, with the place in the list of each.
    picked: Vec<(&'static str, usize)>,
    /// What it adds to the name of the table.
    suffix: String,
}

impl Choice<'_> {
    /// The name of the job: the table's, and a part for each list, so that it stays when another value is added.
    pub(super) fn name(&self, table: &FinetuneTable) -> Result<JobName, InvalidName> {
        JobName::new(format!("{}{}", table.name, self.suffix))
    }

    /// Where in the table a field of the job is written.
    pub(super) fn place(&self, field: Place) -> Place {
        let index = self.picked.iter().find(|(key, _)| field.last_key() == Some(key)).map(|(_, index)| *index);
        index.map_or(field.clone(), |index| field.index(index))
    }
}

/// How many jobs a table describes.
pub(super) fn count(table: &FinetuneTable) -> u64 {
    let lists = [table.init.len(), table.label_fraction.len(), table.modalities.0.len(), table.seed.len()];
    lists.into_iter().fold(1, u64::saturating_mul)
}

/// Every combination of a table's values, the last list changing fastest.
pub(super) fn choices(table: &FinetuneTable) -> impl Iterator<Item = Choice<'_>> {
    table.init.each().flat_map(move |init| {
        table.label_fraction.each().flat_map(move |fraction| {
            table
                .modalities
                .0
                .each()
                .flat_map(move |modalities| table.seed.each().map(move |seed| choice(init, fraction, modalities, seed)))
        })
    })
}

type Picked<'t, T> = (&'t T, Option<usize>);

fn choice<'t>(
    (init, at_init): Picked<'t, Init>,
    (fraction, at_fraction): Picked<'t, f64>,
    (modalities, at_modalities): Picked<'t, Vec<ModalityWord>>,
    (seed, at_seed): Picked<'t, u64>,
) -> Choice<'t> {
    let at = [("init", at_init), ("label_fraction", at_fraction), ("modalities", at_modalities), ("seed", at_seed)];
    let words = [init.word().to_owned(), format!("f{}", per_cent(*fraction)), kinds(modalities), format!("s{seed}")];
    let mut suffix = String::new();
    for ((_, index), word) in at.iter().zip(words) {
        if index.is_some() {
            // Writing to a `String` cannot fail.
            let _ = write!(suffix, "-{word}");
        }
    }
    let picked = at.into_iter().filter_map(|(key, index)| Some((key, index?))).collect();
    Choice { init: *init, label_fraction: *fraction, modalities, seed: *seed, picked, suffix }
}

/// A share in per cent, with `-` for the point: `10` for 0.1, `2-5` for 0.025.
fn per_cent(share: f64) -> String {
    let digits = format!("{:.6}", share * 100.0);
    digits.trim_end_matches('0').trim_end_matches('.').replace('.', "-")
}

fn kinds(modalities: &[ModalityWord]) -> String {
    if modalities.is_empty() {
        return "all".to_owned();
    }
    modalities.iter().map(|word| word.0.word().to_ascii_lowercase()).collect::<Vec<_>>().join("-")
}
