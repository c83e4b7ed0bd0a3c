//! A part of the training frames, for learning curves over the number of labels.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Turns a group into its place in the queue; not used for anything else.
const CONTEXT: &str = "vismae 2026 label fraction v1";

/// A count that is above a whole number by less than this is that number: 0.07 times 100 is 7, and not 7.000000000000001.
const ROUNDING: f64 = 1e-9;

/// The groups that a share of the labels consists of. A stratum gives the same share of its groups, rounded up, in an order
/// that depends on the group alone, which is a pseudonym: the groups of a smaller share are among those of a larger one, and
/// those of a share stay in it when files of theirs or other groups are added, until newcomers that sort before them take their
/// places.
pub(super) fn chosen_groups<'a>(strata: &BTreeMap<String, BTreeSet<&'a str>>, fraction: f64) -> BTreeSet<&'a str> {
    let place = |group: &str| blake3::derive_key(CONTEXT, group.as_bytes());
    let chosen = strata.values().flat_map(|groups| {
        let mut queue: Vec<_> = groups.iter().map(|&group| (place(group), group)).collect();
        queue.sort_unstable();
        let count = (fraction * queue.len() as f64 - ROUNDING).ceil().max(1.0) as usize;
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

    fn strata_of(groups: &[(String, String)]) -> BTreeMap<String, BTreeSet<&str>> {
        strata(groups.iter().map(|(group, label)| (group.as_str(), label.clone())))
    }

    proptest! {
        #[test]
        fn a_smaller_share_lies_inside_a_larger_one_and_every_stratum_gives_its_share(
            count in 1_usize..200, one in 0.01_f64..=1.0, other in 0.01_f64..=1.0,
        ) {
            let groups = groups(count);
            let strata = strata_of(&groups);
            let (smaller, larger) = (chosen_groups(&strata, one.min(other)), chosen_groups(&strata, one.max(other)));
            prop_assert!(smaller.is_subset(&larger));
            for members in strata.values() {
                let found = members.iter().filter(|group| smaller.contains(*group)).count();
                prop_assert_eq!(found, (one.min(other) * members.len() as f64 - ROUNDING).ceil() as usize);
            }
            prop_assert_eq!(chosen_groups(&strata, 1.0).len(), count);
        }
    }

    #[test]
    fn a_share_that_comes_out_even_is_not_rounded_up() {
        let groups = groups(400);
        let strata = strata(groups.iter().map(|(group, _)| (group.as_str(), "a".to_owned())));
        for percent in 1..=100_u32 {
            let chosen = chosen_groups(&strata, f64::from(percent) / 100.0);
            assert_eq!(chosen.len(), 4 * percent as usize, "{percent} %");
        }
    }

    #[test]
    fn a_share_stays_what_it_is_when_a_corpus_grows_but_for_the_places_that_newcomers_take() {
        let (few, many) = (groups(100), groups(110));
        let (before, after) = (strata_of(&few), strata_of(&many));
        let (before, after) = (chosen_groups(&before, 0.2), chosen_groups(&after, 0.2));
        let newcomers = after.iter().filter(|group| !few.iter().any(|(old, _)| old == *group)).count();
        assert!(before.difference(&after).count() <= newcomers, "{before:?} {after:?}");
        // Frames that are added to groups change nothing.
        let twice: Vec<_> = few.iter().chain(&few).cloned().collect();
        assert_eq!(chosen_groups(&strata_of(&twice), 0.2), before);
    }

    #[test]
    fn a_group_belongs_to_the_label_of_most_of_its_frames() {
        let frames = [("g", "x"), ("g", "y"), ("g", "y"), ("h", "y"), ("h", "x")];
        let strata = strata(frames.into_iter().map(|(group, label)| (group, label.to_owned())));
        assert_eq!(strata["y"], BTreeSet::from(["g"]));
        assert_eq!(strata["x"], BTreeSet::from(["h"]));
    }
}
