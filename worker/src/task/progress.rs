//! How far a task is, reported often enough to watch and seldom enough to cost nothing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use vismae_proto::v1::Progress;
use vismae_proto::v1::task_event::Event;

use super::reporter::Reporter;

/// Shortest time between two reports.
const PERIOD: Duration = Duration::from_millis(500);

/// Of the clock on the wall, for records; durations are measured otherwise.
pub(super) fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Counts steps and images between reports.
pub(super) struct ProgressMeter {
    reporter: Reporter,
    phase: &'static str,
    reported: Instant,
    steps: u64,
    images: u64,
    /// No step has been reported since work has begun.
    is_fresh: bool,
}

/// One finished step.
pub(super) struct Tick {
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) epoch: u32,
    pub(super) loss: Option<f64>,
    pub(super) images: u64,
}

impl ProgressMeter {
    pub(super) fn new(reporter: &Reporter, phase: &'static str) -> Self {
        Self { reporter: reporter.clone(), phase, reported: Instant::now(), steps: 0, images: 0, is_fresh: false }
    }

    /// Says that work begins, or goes on, with so much of it done.
    pub(super) fn begin(&mut self, done: u64, total: u64) {
        self.report(&Tick { done, total, epoch: 0, loss: None, images: 0 }, Duration::ZERO);
        (self.reported, self.steps, self.images) = (Instant::now(), 0, 0);
        self.is_fresh = true;
    }

    /// Counts a step, and reports when it is the first, it is time, or the work is done.
    pub(super) fn tick(&mut self, tick: &Tick) {
        self.steps += 1;
        self.images += tick.images;
        let elapsed = self.reported.elapsed();
        if std::mem::take(&mut self.is_fresh) || elapsed >= PERIOD || tick.done >= tick.total {
            self.report(tick, elapsed);
            (self.reported, self.steps, self.images) = (Instant::now(), 0, 0);
        }
    }

    fn report(&self, tick: &Tick, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let step_seconds = if self.steps > 0 { seconds / self.steps as f64 } else { 0.0 };
        self.reporter.send(Event::Progress(Progress {
            phase: self.phase.to_owned(),
            done: tick.done,
            total: tick.total,
            loss: tick.loss,
            images_per_second: rate(self.images),
            step_seconds,
            epoch: tick.epoch,
        }));
    }
}
