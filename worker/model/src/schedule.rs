//! How the learning rate moves through a training run.

use std::f64::consts::PI;

/// A linear rise from zero and then half a cosine down to the lowest rate, changed with every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmupCosine {
    /// The highest rate, at the end of the rise.
    pub peak: f64,
    /// The rate at the end of the run.
    pub lowest: f64,
    /// Steps of the rise.
    pub warmup_steps: u64,
    /// Steps of the whole run, with the rise.
    pub total_steps: u64,
}

impl WarmupCosine {
    /// The rate with which step `step` is taken, counted from zero. After the last step it stays at the lowest.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        let descent = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let progress = ((step - self.warmup_steps) as f64 / descent as f64).min(1.0);
        self.lowest + (self.peak - self.lowest) * 0.5 * (1.0 + (PI * progress).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: WarmupCosine = WarmupCosine { peak: 1e-3, lowest: 1e-5, warmup_steps: 10, total_steps: 110 };

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_to_its_lowest() {
        let cases = [(0, 0.0), (5, 5e-4), (10, 1e-3), (60, (1e-3 + 1e-5) / 2.0), (110, 1e-5), (5000, 1e-5)];
        for (step, rate) in cases {
            assert!((SCHEDULE.at(step) - rate).abs() < 1e-9, "step {step}");
        }
        assert!((0..10).all(|step| SCHEDULE.at(step) < SCHEDULE.at(step + 1)));
        assert!((10..110).all(|step| SCHEDULE.at(step) > SCHEDULE.at(step + 1)));
    }

    #[test]
    fn a_run_may_be_all_rise_or_have_none() {
        assert_eq!(WarmupCosine { warmup_steps: 0, ..SCHEDULE }.at(0), 1e-3);
        let rise = WarmupCosine { warmup_steps: 10, total_steps: 10, ..SCHEDULE };
        assert!((rise.at(9) - 9e-4).abs() < 1e-12);
        assert!(rise.at(11).is_finite());
    }
}
