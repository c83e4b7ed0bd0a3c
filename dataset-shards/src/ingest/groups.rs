//! Which split a patient belongs to: the manifest's word, or a keyed hash; and never two.

use std::collections::HashMap;

use super::PseudonymKey;
use super::input::Item;
use super::quarantine::Refusal;
use crate::split::Split;

/// Who belongs together, and the split they are in.
pub(super) struct Groups {
    key: PseudonymKey,
    /// From each name to one that means the same people and sorts before it; what sorts first of them is not in here.
    same: HashMap<Name, Name>,
    /// By the first name of a group.
    splits: HashMap<Name, Split>,
}

/// A name that files go by. Patients sort before groups: a group that is stated later does not rename a patient.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    Patient(String),
    Group(String),
    File(String),
}

impl Groups {
    /// Takes note of what manifests state: whoever shares a patient or a group belongs together, over every row and set, and
    /// to the split that most of their rows name; of equal numbers, to the first in the order train, val, test.
    pub(super) fn new<'a>(key: PseudonymKey, items: impl Iterator<Item = &'a Item> + Clone) -> Self {
        let mut groups = Self { key, same: HashMap::new(), splits: HashMap::new() };
        let items = items.filter(|item| item.fault.is_none());
        for item in items.clone() {
            if let [Some(patient), Some(group)] = groups.stated(item) {
                groups.join(patient, group);
            }
        }
        let mut votes: HashMap<Name, [u32; 3]> = HashMap::new();
        for item in items {
            if let (Some(name), Some(split)) = (groups.stated(item).into_iter().flatten().next(), item.split) {
                votes.entry(groups.first(name)).or_default()[split as usize] += 1;
            }
        }
        for (name, votes) in votes {
            let most = votes.iter().copied().max().unwrap_or_default();
            if let Some(split) = Split::ALL.into_iter().find(|&split| votes[split as usize] == most) {
                groups.splits.insert(name, split);
            }
        }
        groups
    }

    /// The pseudonym and the split of a file whose header names this patient and this study, if any. A patient that the listing
    /// states counts more than the header's; a group that it states is joined with the header's patient.
    pub(super) fn assign(
        &mut self,
        item: &Item,
        patient: Option<&str>,
        study: Option<&str>,
    ) -> Result<(String, Split), Refusal> {
        let of_header = patient
            .filter(|patient| !is_stand_in(patient))
            .map(|patient| Name::Patient(self.key.pseudonym(&["patient", patient])));
        let name = match (self.stated(item), of_header) {
            ([Some(patient), _], _) => patient,
            ([None, Some(group)], Some(patient)) => {
                self.join_assigned(&group, &patient)?;
                group
            }
            ([None, Some(group)], None) => group,
            ([None, None], Some(patient)) => patient,
            ([None, None], None) => match study {
                Some(study) => Name::Group(self.key.pseudonym(&["study", study])),
                None => Name::File(self.key.pseudonym(&["file", &item.source, &item.file])),
            },
        };
        let name = self.first(name);
        let (Name::Patient(group) | Name::Group(group) | Name::File(group)) = &name;
        let group = group.clone();
        let split = self.splits.get(&name).copied().or(item.split).unwrap_or_else(|| hashed_split(&group));
        if let Some(stated) = item.split.filter(|&stated| stated != split) {
            return Err(straddles(&group, split, stated));
        }
        self.splits.insert(name, split);
        Ok((group, split))
    }

    /// Joins names of which files may have been given splits already.
    fn join_assigned(&mut self, one: &Name, other: &Name) -> Result<(), Refusal> {
        let (one, other) = (self.first(one.clone()), self.first(other.clone()));
        let split = match (self.splits.get(&one).copied(), self.splits.get(&other).copied()) {
            (Some(one_split), Some(other_split)) if one_split != other_split => {
                let (Name::Patient(group) | Name::Group(group) | Name::File(group)) = &one;
                return Err(straddles(group, one_split, other_split));
            }
            (one_split, other_split) => one_split.or(other_split),
        };
        self.join(one.clone(), other);
        if let Some(split) = split {
            let first = self.first(one);
            self.splits.insert(first, split);
        }
        Ok(())
    }

    /// What pseudonyms are made with.
    pub(super) fn key(&self) -> &PseudonymKey {
        &self.key
    }

    /// The patient and the group that the listing states.
    fn stated(&self, item: &Item) -> [Option<Name>; 2] {
        let patient = item.patient.as_ref().map(|patient| Name::Patient(self.key.pseudonym(&["patient", patient])));
        let group = item.group.as_ref().map(|group| Name::Group(self.key.pseudonym(&["group", &item.source, group])));
        [patient, group]
    }

    fn join(&mut self, one: Name, other: Name) {
        let (one, other) = (self.first(one), self.first(other));
        if one != other {
            let (first, second) = if one < other { (one, other) } else { (other, one) };
            self.same.insert(second, first);
        }
    }

    /// The name that sorts first of all that mean the same people. Shortens the way there for the next who asks.
    fn first(&mut self, name: Name) -> Name {
        let mut first = &name;
        while let Some(before) = self.same.get(first) {
            first = before;
        }
        let first = first.clone();
        if first != name {
            self.same.insert(name, first.clone());
        }
        first
    }
}

fn straddles(group: &str, split: Split, found: Split) -> Refusal {
    let message =
        format!("group `{group}` is in split `{split}`, found `{found}`: expected one split for all its files");
    Refusal::new("split", "group_straddles_splits", message)
}

/// What is written in the place of a patient's id by who removes it: it would make one group of everybody.
fn is_stand_in(patient: &str) -> bool {
    const WORDS: [&str; 14] = [
        "anon",
        "anonymous",
        "anonymized",
        "anonymised",
        "deidentified",
        "none",
        "null",
        "unknown",
        "removed",
        "patient",
        "na",
        "test",
        "phantom",
        "noid",
    ];
    let letters: String = patient.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let digits = patient.chars().filter(char::is_ascii_digit).any(|digit| digit != '0');
    !digits && (letters.is_empty() || WORDS.contains(&letters.as_str()))
}

/// 80 % train, 10 % val, 10 % test, by the pseudonym alone: stable when files are added.
fn hashed_split(pseudonym: &str) -> Split {
    let hash = blake3::derive_key("vismae 2026 split v1", pseudonym.as_bytes());
    let place = u64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
    match (u128::from(place) * 10) >> 64 {
        0..8 => Split::Train,
        8 => Split::Val,
        _ => Split::Test,
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::{ModalityHint, Origin};
    use super::*;

    fn item(source: &str, patient: Option<&str>, group: Option<&str>, split: Option<Split>) -> Item {
        Item {
            source: source.into(),
            origin: Origin::Nowhere,
            file: "a.png".to_owned(),
            modality: ModalityHint::None,
            patient: patient.map(str::to_owned),
            group: group.map(str::to_owned),
            label: None,
            mask: None,
            split,
            fault: None,
        }
    }

    fn key() -> PseudonymKey {
        PseudonymKey::from_secret("test")
    }

    #[test]
    fn the_minority_of_a_straddling_group_is_refused() {
        let of = |split| item("s", Some("p"), None, split);
        let items = [of(Some(Split::Test)), of(Some(Split::Test)), of(Some(Split::Train)), of(None)];
        let mut groups = Groups::new(key(), items.iter());
        let splits: Vec<_> = items.iter().map(|item| groups.assign(item, None, None).map(|(_, split)| split)).collect();
        assert_eq!(splits[0], Ok(Split::Test));
        assert_eq!(splits[1], Ok(Split::Test));
        assert_eq!(splits[2].as_ref().unwrap_err().code, "group_straddles_splits");
        assert!(!splits[2].as_ref().unwrap_err().message.contains("`p`"));
        assert_eq!(splits[3], Ok(Split::Test));
    }

    #[test]
    fn a_patient_is_the_same_in_every_set_and_a_group_only_in_its_own() {
        let mut groups = Groups::new(key(), [].iter());
        let mut of = |source, patient, group| groups.assign(&item(source, patient, group, None), None, None).unwrap().0;
        assert_eq!(of("a", Some("1"), None), of("b", Some("1"), None));
        assert_ne!(of("a", None, Some("1")), of("b", None, Some("1")));
    }

    #[test]
    fn whoever_is_linked_by_a_patient_or_a_group_stays_together() {
        let items = [
            item("a", Some("1"), Some("scan-1"), None),
            item("a", Some("1"), Some("scan-2"), None),
            item("a", Some("2"), Some("scan-2"), None),
            item("a", None, Some("scan-1"), None),
            item("b", Some("2"), None, Some(Split::Test)),
        ];
        let mut groups = Groups::new(key(), items.iter());
        let of: Vec<_> = items.iter().map(|item| groups.assign(item, None, None).unwrap()).collect();
        assert!(of.iter().all(|assigned| *assigned == of[0]), "{of:?}");
        assert_eq!(of[0].1, Split::Test);
    }

    #[test]
    fn the_patient_in_a_header_counts_where_the_listing_is_silent() {
        let mut groups = Groups::new(key(), [].iter());
        let listed = groups.assign(&item("a", Some("1"), None, None), None, None).unwrap();
        assert_eq!(groups.assign(&item("a", None, None, None), Some("1"), None).unwrap(), listed);
        assert_ne!(groups.assign(&item("a", None, None, None), None, None).unwrap().0, listed.0);
    }

    #[test]
    fn slices_without_a_patient_stay_together_by_their_study() {
        let mut groups = Groups::new(key(), [].iter());
        let mut of = |patient, study| groups.assign(&item("a", None, None, None), patient, study).unwrap();
        assert_eq!(of(None, Some("1.2.3")), of(Some("ANONYMOUS"), Some("1.2.3")));
        assert_ne!(of(Some("0000"), Some("1.2.3")).0, of(Some("anon"), Some("1.2.4")).0);
        assert_eq!(of(Some("0042"), Some("1.2.3")).0, of(Some("0042"), Some("1.2.4")).0);
    }

    #[test]
    fn a_stated_group_is_joined_with_the_patient_of_the_header() {
        let mut groups = Groups::new(key(), [].iter());
        let mut of = |group, split| groups.assign(&item("a", None, Some(group), split), Some("P42"), None);
        let first = of("scan 1", Some(Split::Val)).unwrap();
        assert_eq!(of("scan 2", None).unwrap(), first);
        assert_eq!(of("scan 3", Some(Split::Test)).unwrap_err().code, "group_straddles_splits");
    }

    #[test]
    fn hashed_splits_are_near_eight_to_one_to_one() {
        let mut counts = [0; 3];
        for number in 0..10_000 {
            counts[hashed_split(&number.to_string()) as usize] += 1;
        }
        assert!((7_800..8_200).contains(&counts[0]), "{counts:?}");
        assert!((900..1_100).contains(&counts[1]), "{counts:?}");
    }
}
