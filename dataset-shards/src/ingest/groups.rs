//! Which split a patient belongs to: the manifest's word, or a keyed hash; and never two.

use std::collections::BTreeMap;

use super::PseudonymKey;
use super::input::{GroupHint, Item};
use super::quarantine::Refusal;
use crate::split::Split;

/// The split of every group seen.
pub(super) struct Groups {
    key: PseudonymKey,
    splits: BTreeMap<String, Split>,
}

impl Groups {
    /// Takes note of the splits that manifests state: a group belongs to the split that most of its rows name, and of equal
    /// numbers to the first in the order train, val, test.
    pub(super) fn new<'a>(key: PseudonymKey, items: impl Iterator<Item = &'a Item>) -> Self {
        let mut votes: BTreeMap<String, [u32; 3]> = BTreeMap::new();
        let mut groups = Self { key, splits: BTreeMap::new() };
        for item in items.filter(|item| item.fault.is_none()) {
            if let (Some(group), Some(split)) = (groups.stated(item), item.split) {
                votes.entry(group).or_default()[split as usize] += 1;
            }
        }
        for (group, votes) in votes {
            let most = votes.iter().copied().max().unwrap_or_default();
            if let Some(split) = Split::ALL.into_iter().find(|&split| votes[split as usize] == most) {
                groups.splits.insert(group, split);
            }
        }
        groups
    }

    /// The pseudonym and the split of a file whose header names this patient, if any.
    pub(super) fn assign(&mut self, item: &Item, patient: Option<&str>) -> Result<(String, Split), Refusal> {
        let group = self.stated(item).unwrap_or_else(|| match patient {
            Some(patient) => self.key.pseudonym(&["patient", patient]),
            None => self.key.pseudonym(&["file", &item.source, &item.file]),
        });
        let split = self.splits.get(&group).copied().or(item.split).unwrap_or_else(|| hashed_split(&group));
        if let Some(stated) = item.split.filter(|&stated| stated != split) {
            let message = format!(
                "group `{group}` is in split `{split}`, found `{stated}`: expected one split for all its files"
            );
            return Err(Refusal::new("split", "group_straddles_splits", message));
        }
        self.splits.insert(group.clone(), split);
        Ok((group, split))
    }

    /// The pseudonym of the group that the listing states.
    fn stated(&self, item: &Item) -> Option<String> {
        match &item.group {
            GroupHint::Patient(patient) => Some(self.key.pseudonym(&["patient", patient])),
            GroupHint::Group(group) => Some(self.key.pseudonym(&["group", &item.source, group])),
            GroupHint::Unknown => None,
        }
    }
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
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    fn item(source: &str, group: GroupHint, split: Option<Split>) -> Item {
        Item {
            source: source.into(),
            root: Arc::from(Path::new(".")),
            file: "a.png".to_owned(),
            modality: None,
            unknown_modality: None,
            group,
            label: None,
            mask: None,
            split,
            fault: None,
        }
    }

    fn patient(id: &str) -> GroupHint {
        GroupHint::Patient(id.to_owned())
    }

    fn key() -> PseudonymKey {
        PseudonymKey::from_secret("test")
    }

    #[test]
    fn the_minority_of_a_straddling_group_is_refused() {
        let items = [
            item("s", patient("p"), Some(Split::Test)),
            item("s", patient("p"), Some(Split::Test)),
            item("s", patient("p"), Some(Split::Train)),
            item("s", patient("p"), None),
        ];
        let mut groups = Groups::new(key(), items.iter());
        let splits: Vec<_> = items.iter().map(|item| groups.assign(item, None).map(|(_, split)| split)).collect();
        assert_eq!(splits[0], Ok(Split::Test));
        assert_eq!(splits[1], Ok(Split::Test));
        assert_eq!(splits[2].as_ref().unwrap_err().code, "group_straddles_splits");
        assert!(!splits[2].as_ref().unwrap_err().message.contains("`p`"));
        assert_eq!(splits[3], Ok(Split::Test));
    }

    #[test]
    fn a_patient_is_the_same_in_every_set_and_a_group_only_in_its_own() {
        let mut groups = Groups::new(key(), [].iter());
        let mut of = |source: &str, group| groups.assign(&item(source, group, None), None).unwrap().0;
        assert_eq!(of("a", patient("1")), of("b", patient("1")));
        assert_ne!(of("a", GroupHint::Group("1".to_owned())), of("b", GroupHint::Group("1".to_owned())));
    }

    #[test]
    fn the_patient_in_a_header_counts_where_the_listing_is_silent() {
        let mut groups = Groups::new(key(), [].iter());
        let listed = groups.assign(&item("a", patient("1"), None), None).unwrap();
        assert_eq!(groups.assign(&item("a", GroupHint::Unknown, None), Some("1")).unwrap(), listed);
        assert_ne!(groups.assign(&item("a", GroupHint::Unknown, None), None).unwrap().0, listed.0);
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
