//! What all ranks take for their part of a step, gathered by the first of them and told a window at a time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use vismae_core::ids::Generation;
use vismae_proto::v1::Paced;
use vismae_proto::v1::paced::RankPace;
use vismae_proto::v1::task_event::Event;

use super::reporter::Reporter;

/// A window takes as long as this, and as many steps: enough of either for a median that says something.
const WINDOW: Duration = Duration::from_secs(10);
const FEWEST: usize = 16;
/// Of more steps those at its end count.
const MOST: usize = 256;
/// Steps in a new group that count for nothing: it reads ahead anew.
const WARM_UP: usize = 2;

/// The window that is open.
pub(super) struct PaceMeter<'a> {
    reporter: &'a Reporter,
    generation: Generation,
    /// How many lanes each rank has.
    shares: Vec<f64>,
    /// Of each step its own duration, and the own time of each rank.
    steps: VecDeque<(f64, Vec<f64>)>,
    warm_up: usize,
    began: Instant,
}

impl<'a> PaceMeter<'a> {
    pub(super) fn new(reporter: &'a Reporter, generation: Generation, shares: Vec<f64>) -> Self {
        Self { reporter, generation, shares, steps: VecDeque::new(), warm_up: WARM_UP, began: Instant::now() }
    }

    /// Takes in a step; tells of the window when it is full.
    pub(super) fn step(&mut self, seconds: f64, own_seconds: Vec<f64>) {
        // Nobody is slower than others who has none.
        if self.shares.len() < 2 {
            return;
        }
        if self.warm_up > 0 {
            (self.warm_up, self.began) = (self.warm_up - 1, Instant::now());
            return;
        }
        if self.steps.len() == MOST {
            self.steps.pop_front();
        }
        self.steps.push_back((seconds, own_seconds));
        if self.steps.len() >= FEWEST && self.began.elapsed() >= WINDOW {
            self.reporter.send(Event::Paced(self.window()));
            self.steps.clear();
            self.began = Instant::now();
        }
    }

    fn window(&self) -> Paced {
        let rank = |(rank, share): (usize, &f64)| RankPace {
            own_seconds: median(self.steps.iter().filter_map(|(_, own)| own.get(rank).copied())),
            share: *share,
        };
        Paced {
            generation: self.generation.0,
            step_seconds: median(self.steps.iter().map(|(seconds, _)| *seconds)),
            ranks: self.shares.iter().enumerate().map(rank).collect(),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_the_median_of_each_rank_whatever_one_step_took() {
        let reporter = Reporter::stdout();
        let mut meter = PaceMeter::new(&reporter, Generation(2), vec![3.0, 2.0]);
        meter.step(900.0, vec![900.0, 900.0]);
        meter.step(900.0, vec![900.0, 900.0]);
        for (seconds, own) in [(1.0, [0.5, 0.9]), (1.1, [0.6, 0.8]), (50.0, [0.4, 50.0])] {
            meter.step(seconds, own.to_vec());
        }
        let Paced { generation, step_seconds, ranks } = meter.window();
        assert_eq!((generation, step_seconds), (2, 1.1));
        let ranks: Vec<_> = ranks.iter().map(|rank| (rank.own_seconds, rank.share)).collect();
        assert_eq!(ranks, [(0.5, 3.0), (0.9, 2.0)]);
    }

    #[test]
    fn a_long_window_keeps_its_last_steps() {
        let reporter = Reporter::stdout();
        let mut meter = PaceMeter::new(&reporter, Generation(2), vec![1.0, 1.0]);
        for step in 0..MOST * 3 {
            meter.step(step as f64, vec![0.1, 0.1]);
        }
        assert_eq!(meter.steps.len(), MOST);
        assert!(meter.window().step_seconds > (MOST * 2) as f64);
    }
}
