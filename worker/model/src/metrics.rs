//! How good a classifier or a segmenter is, from plain numbers.

/// One point of a receiver operating characteristic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    /// Samples that score at least this are called positive.
    pub threshold: f64,
    /// Share of the negatives that are called positive.
    pub false_positive_rate: f64,
    /// Share of the positives that are called positive.
    pub true_positive_rate: f64,
}

/// The receiver operating characteristic from (0, 0) to (1, 1), with one point for each distinct score.
///
/// None unless there are samples of both kinds, as many scores as labels, and no score is NaN.
pub fn roc_curve(scores: &[f64], positive: &[bool]) -> Option<Vec<RocPoint>> {
    let positives = positive.iter().filter(|&&label| label).count();
    let negatives = positive.len() - positives;
    if scores.len() != positive.len() || positives == 0 || negatives == 0 || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut samples: Vec<(f64, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    samples.sort_by(|left, right| right.0.total_cmp(&left.0));
    let mut curve = vec![RocPoint { threshold: f64::INFINITY, false_positive_rate: 0.0, true_positive_rate: 0.0 }];
    let (mut true_positives, mut false_positives) = (0_usize, 0_usize);
    for tied in samples.chunk_by(|left, right| left.0 == right.0) {
        let hits = tied.iter().filter(|(_, label)| *label).count();
        true_positives += hits;
        false_positives += tied.len() - hits;
        curve.push(RocPoint {
            threshold: tied[0].0,
            false_positive_rate: false_positives as f64 / negatives as f64,
            true_positive_rate: true_positives as f64 / positives as f64,
        });
    }
    Some(curve)
}

/// Area under the receiver operating characteristic: the chance that a positive scores above a negative, a tie counting
/// half. None where [`roc_curve`] has none.
pub fn auc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let curve = roc_curve(scores, positive)?;
    let trapezium = |pair: &[RocPoint]| {
        let width = pair[1].false_positive_rate - pair[0].false_positive_rate;
        width * (pair[0].true_positive_rate + pair[1].true_positive_rate) / 2.0
    };
    Some(curve.windows(2).map(trapezium).sum())
}

/// The mean over classes of the area under the curve of each class against the rest.
///
/// `probabilities` holds a row per sample. A class that no sample, or every sample, belongs to is left out; none when
/// that leaves nothing, or a row is shorter than the number of classes.
pub fn macro_auc(probabilities: &[Vec<f64>], labels: &[usize], classes: usize) -> Option<f64> {
    let mut areas = Vec::with_capacity(classes);
    for class in 0..classes {
        let scores: Option<Vec<f64>> = probabilities.iter().map(|row| row.get(class).copied()).collect();
        let positive: Vec<bool> = labels.iter().map(|&label| label == class).collect();
        areas.extend(auc(&scores?, &positive));
    }
    mean(&areas)
}

/// The mean over classes of the share of their samples that was recognised; classes without samples are left out.
pub fn balanced_accuracy(predicted: &[usize], labels: &[usize], classes: usize) -> Option<f64> {
    let recalls: Vec<f64> = (0..classes)
        .filter_map(|class| {
            let of_class = predicted.iter().zip(labels).filter(|&(_, &label)| label == class);
            let hits: Vec<f64> = of_class.map(|(&guess, _)| f64::from(u8::from(guess == class))).collect();
            mean(&hits)
        })
        .collect();
    mean(&recalls)
}

/// The Dice overlap of a class: twice the pixels common to prediction and truth, over the pixels of both.
///
/// None when the class is in neither, where overlap means nothing.
pub fn dice(predicted: &[u8], truth: &[u8], class: u8) -> Option<f64> {
    let count = |pixels: &[u8]| pixels.iter().filter(|&&pixel| pixel == class).count();
    let common = predicted.iter().zip(truth).filter(|&(&guess, &label)| guess == class && label == class).count();
    let both = count(predicted) + count(truth);
    (both > 0).then(|| 2.0 * common as f64 / both as f64)
}

/// The arithmetic mean; none of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_auc(scores: &[f64], positive: &[bool], expected: Option<f64>) {
        let found = auc(scores, positive);
        match (found, expected) {
            (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-12, "{found}"),
            (found, expected) => assert_eq!(found, expected),
        }
    }

    #[test]
    fn the_area_is_the_chance_of_ranking_a_pair_rightly() {
        check_auc(&[0.9, 0.8, 0.2, 0.1], &[true, true, false, false], Some(1.0));
        check_auc(&[0.1, 0.2, 0.8, 0.9], &[true, true, false, false], Some(0.0));
        check_auc(&[0.9, 0.4, 0.6, 0.1], &[true, true, false, false], Some(0.75));
        check_auc(&[0.5, 0.5, 0.5], &[true, false, false], Some(0.5));
        check_auc(&[0.5, 0.5, 0.1], &[true, false, false], Some(0.75));
    }

    #[test]
    fn there_is_no_area_without_both_kinds_or_with_scores_that_are_no_numbers() {
        check_auc(&[], &[], None);
        check_auc(&[0.1, 0.2], &[true, true], None);
        check_auc(&[0.1, 0.2], &[false, false], None);
        check_auc(&[0.1, f64::NAN], &[true, false], None);
        check_auc(&[0.1], &[true, false], None);
    }

    #[test]
    fn a_curve_has_one_point_for_each_distinct_score() {
        let curve = roc_curve(&[0.9, 0.5, 0.5, 0.1], &[true, true, false, false]).unwrap();
        let rates: Vec<(f64, f64)> =
            curve.iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect();
        assert_eq!(rates, [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]);
        assert_eq!(curve[2].threshold, 0.5);
    }

    #[test]
    fn classes_without_samples_are_left_out_of_the_means() {
        let probabilities = vec![vec![0.9, 0.1, 0.0], vec![0.2, 0.8, 0.0], vec![0.7, 0.3, 0.0]];
        assert_eq!(macro_auc(&probabilities, &[0, 1, 0], 3), Some(1.0));
        assert_eq!(macro_auc(&probabilities, &[0, 0, 0], 3), None);
        assert_eq!(macro_auc(&[vec![0.5]], &[0], 2), None);
        assert_eq!(balanced_accuracy(&[0, 0, 0, 1], &[0, 0, 0, 1], 3), Some(1.0));
        assert_eq!(balanced_accuracy(&[0, 0, 0, 0], &[0, 0, 0, 1], 2), Some(0.5));
        assert_eq!(balanced_accuracy(&[], &[], 2), None);
    }

    #[test]
    fn dice_of_a_class() {
        assert_eq!(dice(&[1, 1, 0, 0], &[1, 0, 0, 0], 1), Some(2.0 / 3.0));
        assert_eq!(dice(&[0, 0], &[1, 1], 1), Some(0.0));
        assert_eq!(dice(&[2, 2], &[2, 2], 2), Some(1.0));
        assert_eq!(dice(&[0, 0], &[0, 0], 1), None);
    }

    proptest! {
        #[test]
        fn the_area_equals_the_share_of_pairs(samples in prop::collection::vec((0_u8..10, any::<bool>()), 0..40)) {
            let scores: Vec<f64> = samples.iter().map(|&(score, _)| f64::from(score)).collect();
            let positive: Vec<bool> = samples.iter().map(|&(_, label)| label).collect();
            let mut wins = Vec::new();
            for (score, _) in samples.iter().filter(|(_, label)| *label) {
                wins.extend(samples.iter().filter(|(_, label)| !label).map(|(other, _)| match score.cmp(other) {
                    std::cmp::Ordering::Less => 0.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Greater => 1.0,
                }));
            }
            match (auc(&scores, &positive), mean(&wins)) {
                (Some(area), Some(share)) => prop_assert!((area - share).abs() < 1e-9),
                (area, share) => prop_assert_eq!(area, share),
            }
        }

        #[test]
        fn a_curve_never_turns_back(samples in prop::collection::vec((any::<i16>(), any::<bool>()), 0..40)) {
            let scores: Vec<f64> = samples.iter().map(|&(score, _)| f64::from(score)).collect();
            let positive: Vec<bool> = samples.iter().map(|&(_, label)| label).collect();
            for pair in roc_curve(&scores, &positive).unwrap_or_default().windows(2) {
                prop_assert!(pair[0].threshold > pair[1].threshold);
                prop_assert!(pair[0].false_positive_rate <= pair[1].false_positive_rate);
                prop_assert!(pair[0].true_positive_rate <= pair[1].true_positive_rate);
            }
        }

        #[test]
        fn dice_is_a_share_and_symmetric(pairs in prop::collection::vec((0_u8..3, 0_u8..3), 0..60), class in 0_u8..3) {
            let (left, right): (Vec<u8>, Vec<u8>) = pairs.into_iter().unzip();
            let overlap = dice(&left, &right, class);
            prop_assert_eq!(overlap, dice(&right, &left, class));
            prop_assert!(overlap.is_none_or(|overlap| (0.0..=1.0).contains(&overlap)));
        }
    }
}
