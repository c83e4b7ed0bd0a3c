//! Curves made fit to draw: smoothed, and thinned to what a screen can show.

/// A point of a curve.
pub(super) type Point = (f64, f64);

/// Most points of a drawn curve: more than a screen has columns for it.
const DRAWN_MAX: usize = 900;

/// An exponential moving average over about `span` points, without the pull of its first value. Values that are not finite
/// are left out.
pub(super) fn smooth(points: &[Point], span: usize) -> Vec<Point> {
    let keep = 1.0 - 2.0 / (span.max(1) as f64 + 1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let finite = points.iter().filter(|(_, value)| value.is_finite());
    finite
        .map(|&(x, value)| {
            sum = keep * sum + (1.0 - keep) * value;
            weight = keep * weight + (1.0 - keep);
            (x, sum / weight)
        })
        .collect()
}

/// The span that smooths a curve of so many points enough to read its course.
pub(super) fn span(points: usize) -> usize {
    (points / 40).clamp(1, 500)
}

/// At most [`DRAWN_MAX`] points: the lowest and the highest of each stretch, so that no peak is lost.
pub(super) fn thin(points: &[Point]) -> Vec<Point> {
    if points.len() <= DRAWN_MAX {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(DRAWN_MAX / 2);
    let extremes = |part: &[Point]| {
        let low = part.iter().copied().min_by(|one, other| one.1.total_cmp(&other.1));
        let high = part.iter().copied().max_by(|one, other| one.1.total_cmp(&other.1));
        let mut both: Vec<Point> = low.into_iter().chain(high).collect();
        both.sort_by(|one, other| one.0.total_cmp(&other.0));
        both
    };
    points.chunks(stretch).flat_map(extremes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_stays_constant_from_the_first_point() {
        let flat: Vec<Point> = (0..50).map(|x| (f64::from(x), 3.0)).collect();
        assert!(smooth(&flat, 10).iter().all(|(_, value)| (value - 3.0).abs() < 1e-12));
    }

    #[test]
    fn a_missing_value_does_not_spoil_those_after_it() {
        let smoothed = smooth(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 1.0)], 4);
        assert_eq!(smoothed.len(), 2);
        assert!((smoothed[1].1 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn thinning_keeps_the_peak_and_the_order() {
        let mut long: Vec<Point> = (0..100_000).map(|x| (f64::from(x), 0.0)).collect();
        long[54_321].1 = 9.0;
        let thinned = thin(&long);
        assert!(thinned.len() <= DRAWN_MAX);
        assert!(thinned.contains(&(54_321.0, 9.0)));
        assert!(thinned.is_sorted_by(|one, other| one.0 <= other.0));
    }
}
