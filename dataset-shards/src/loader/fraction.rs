//! A part of the training frames, for learning curves over the number of labels.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Turns a group into its place in the queue; not used for anything else.
const CONTEXT: &str = "vismae 2026 label fraction v1";

/// The groups that a share of the labels consists of. A stratum gives the same share of its groups, rounded up, in an order
/// that depends on the group alone: the groups of a smaller share are among those of a larger one, and stay when a corpus grows
/// by others as far as the counts allow.
pub(super) fn chosen_groups<'a>(strata: &BTreeMap<String, BTreeSet<&'a str>>, fraction: f64) -> BTreeSet<&'a str> {
    let place = |group: &str| blake3::derive_key(CONTEXT, group.as_bytes());
    let chosen = strata.values().flat_map(|groups| {
        let mut queue: Vec<_> = groups.iter().map(|&group| (place(group), group)).collect();
        queue.sort_unstable();
        let count = (fraction * queue.len() as f64).ceil() as usize;
        queue.into_iter().take(count).map(|(_, group)| group)
    });
    chosen.collect()
}

/// The stratum of each group: the label that most of its frames have, of equals the smallest.
pub(super) fn strata<'a>(frames: impl Iterator<Item = (&'a str, String)>) -> BTreeMap<String, BTreeSet<&'a str>> {
    let mut labels: HashMap<&str, BTreeMap<String, u64>> = HashMap::new();
    for (group, label) in frames {
        *labels.entry(group).or_default().entry(label).or_default() += 1;
    }
    let mut strata: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (group, counts) in labels {
        // The first of the largest: `max_by_key` would give the last.
        let most = counts.iter().rev().max_by_key(|(_, count)| **count).map(|(label, _)| label.clone());
        strata.entry(most.unwrap_or_default()).or_default().insert(group);
    }
    strata
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn groups(count: usize) -> Vec<(String, String)> {
        (0..count).map(|group| (format!("group {group}"), ["a", "b", "b", "b"][group % 4].to_owned())).collect()
    }

    proptest! {
        #[test]
        fn a_smaller_share_lies_inside_a_larger_one_and_every_stratum_gives_its_share(
            count in 1_usize..200, one in 0.01_f64..=1.0, other in 0.01_f64..=1.0,
        ) {
            let groups = groups(count);
            let strata = strata(groups.iter().map(|(group, label)| (group.as_str(), label.clone())));
            let (smaller, larger) = (chosen_groups(&strata, one.min(other)), chosen_groups(&strata, one.max(other)));
            prop_assert!(smaller.is_subset(&larger));
            for members in strata.values() {
                let found = members.iter().filter(|group| smaller.contains(*group)).count();
                prop_assert_eq!(found, (one.min(other) * members.len() as f64).ceil() as usize);
            }
            prop_assert_eq!(chosen_groups(&strata, 1.0).len(), count);
        }
    }

    #[test]
    fn a_group_belongs_to_the_label_of_most_of_its_frames() {
        let frames = [("g", "x"), ("g", "y"), ("g", "y"), ("h", "y"), ("h", "x")];
        let strata = strata(frames.into_iter().map(|(group, label)| (group, label.to_owned())));
        assert_eq!(strata["y"], BTreeSet::from(["g"]));
        assert_eq!(strata["x"], BTreeSet::from(["h"]));
    }
}
