//! Reading on past the faults of types and keys, so that the rules between values are checked in the same pass.
//!
//! A faulty value is replaced by a stand-in in a copy of the tree. Nothing runs from such a copy: it only serves to find
//! more faults, and whatever a stand-in could have caused is left out again.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::document::Document;
use super::fault::{Fault, FaultKind, Faults, Part, Place};
use super::schema::File;

/// More repairs than this means that the file is not worth reading on.
const PASSES: usize = 8;

/// What could be read of a document.
pub(super) struct Reading {
    /// The tables; absent when too much is broken.
    pub(super) file: Option<File>,
    /// The faults of keys and types.
    pub(super) faults: Faults,
    /// The places where `file` holds stand-ins.
    pub(super) stand_ins: BTreeSet<Place>,
}

/// Reads the tables, and names every fault of a key or a type.
pub(super) fn read(document: &Document) -> Reading {
    let mut tree = document.tree.clone();
    let mut reading = Reading { file: None, faults: Faults::default(), stand_ins: BTreeSet::new() };
    for pass in 0..PASSES {
        let found = match deserr::deserialize::<File, _, Faults>(tree.clone()) {
            Ok(file) => {
                reading.file = Some(file);
                break;
            }
            Err(found) => found,
        };
        for fault in found.iter() {
            repair(&mut tree, fault, &mut reading.stand_ins);
        }
        reading.report(found, pass > 0);
    }
    reading
}

impl Reading {
    /// A key that is absent because of a repair, or only misspelt, is no fault of its own.
    fn report(&mut self, mut found: Faults, repaired: bool) {
        let misspelt: Vec<Place> = found.iter().filter_map(meant).collect();
        found.retain(|fault| fault.kind != FaultKind::MissingKey || !(repaired || misspelt.contains(&fault.place)));
        self.faults.extend(found);
    }

    /// Whether a broken rule may be the doing of a stand-in.
    pub(super) fn may_be_caused_by_stand_in(&self, place: &Place) -> bool {
        let (Some(table), Some(field)) = (place.parent(), place.last_key()) else { return false };
        self.stand_ins.contains(place)
            || self.stand_ins.contains(&table)
            || RELATED.iter().any(|(ruled, cause)| *ruled == field && self.stand_ins.contains(&table.key(cause)))
    }
}

/// Which fields a rule on a field looks at besides.
const RELATED: [(&str, &str); 16] = [
    ("min_slots", "slots"),
    ("warmup_epochs", "epochs"),
    ("global_batch", "lanes"),
    ("slots", "lanes"),
    ("heads", "depths"),
    ("heads", "embed_dim"),
    ("heads", "size"),
    ("depths", "size"),
    ("image_size", "patch_size"),
    ("image_size", "depths"),
    ("image_size", "size"),
    ("mask_unit", "image_size"),
    ("mask_unit", "patch_size"),
    ("mask_unit", "size"),
    ("patch_size", "size"),
    ("init", "size"),
];

/// Where the value of a misspelt key was meant to go.
fn meant(fault: &Fault) -> Option<Place> {
    match &fault.kind {
        FaultKind::UnknownKey(Some(nearest)) => Some(fault.place.parent()?.key(nearest)),
        _ => None,
    }
}

fn repair(tree: &mut Value, fault: &Fault, stand_ins: &mut BTreeSet<Place>) {
    match &fault.kind {
        FaultKind::UnknownKey(_) => {
            let value = remove(tree, &fault.place);
            if let (Some(value), Some(place)) = (value, meant(fault)) {
                insert_if_absent(tree, &place, value);
            }
        }
        FaultKind::MissingKey => {
            let stand_in = stand_in(&fault.place);
            insert_if_absent(tree, &fault.place, stand_in);
            stand_ins.insert(fault.place.clone());
        }
        FaultKind::WrongValue => {
            // An item stands for its list: without the item the list would mean something else.
            let mut place = fault.place.clone();
            while let (Some(Part::Index(_)), Some(list)) = (place.parts().last(), place.parent()) {
                place = list;
            }
            remove(tree, &place);
            stand_ins.insert(place);
        }
        FaultKind::Syntax | FaultKind::BrokenRule => {}
    }
}

fn stand_in(place: &Place) -> Value {
    match place.last_key() {
        Some("name") => json!("a"),
        Some("task") => json!("classify"),
        Some("size") => json!("base"),
        Some("corpus") => json!({ "name": "a" }),
        _ => json!(1),
    }
}

fn remove(tree: &mut Value, place: &Place) -> Option<Value> {
    match place.parts().last()? {
        Part::Key(key) => table(tree, &place.parent()?)?.remove(key),
        Part::Index(_) => None,
    }
}

fn insert_if_absent(tree: &mut Value, place: &Place, value: Value) {
    let Some(Part::Key(key)) = place.parts().last() else { return };
    let Some(parent) = place.parent() else { return };
    if let Some(table) = table(tree, &parent) {
        table.entry(key).or_insert(value);
    }
}

fn table<'v>(tree: &'v mut Value, place: &Place) -> Option<&'v mut Map<String, Value>> {
    let mut value = tree;
    for part in place.parts() {
        value = match part {
            Part::Key(key) => value.get_mut(key)?,
            Part::Index(index) => value.get_mut(*index)?,
        };
    }
    value.as_object_mut()
}
