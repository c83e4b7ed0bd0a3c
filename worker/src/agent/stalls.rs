//! Which task does not get on: its pulse says where it is, and this how long that is too long.
//!
//! A pulse never leaves the node. The coordinator hears of a task when it has been in one place of a step for longer than its bound, again
//! from time to time while it lasts, and when it is over.

use std::time::{Duration, Instant};

use vismae_proto::v1::{Phase, Pulse, Stalled};

/// A place takes so many steps at most, or the shortest bound that the coordinator allows.
const STEPS: u32 = 10;
/// Where the duration of a step is not known, as of the first in a group, so many shortest bounds.
const UNKNOWN: u32 = 10;
/// How often it is said again.
const REPEAT: Duration = Duration::from_secs(5);
/// What one pulse can vouch for: a process that was stopped for longer has not been anywhere meanwhile.
const PULSE_MAX: Duration = Duration::from_secs(2);

/// What is known of one task.
#[derive(Debug, Default)]
pub(super) struct StallWatch {
    seen: Option<Seen>,
}

/// The place that a task was in at its last pulse.
#[derive(Debug)]
struct Seen {
    place: (u64, i32, u64),
    heard: Instant,
    /// For how long it has been there, of the time in which it ran.
    counted: Duration,
    /// What that was when it was told last.
    told: Option<Duration>,
}

impl StallWatch {
    /// Takes in a pulse. Gives what the coordinator must hear of it; `shortest` is the shortest bound, none where nobody asks.
    pub(super) fn hear(&mut self, now: Instant, pulse: &Pulse, shortest: Option<Duration>) -> Option<Stalled> {
        let shortest = shortest?;
        let place = (pulse.generation, pulse.phase, pulse.step);
        let time = Duration::from_millis(pulse.phase_millis);
        let before = self.seen.take();
        let was_told = before.as_ref().is_some_and(|seen| seen.told.is_some());
        let same = before.filter(|seen| seen.place == place && pulse.phase() != Phase::Unspecified);
        let Some(Seen { heard, counted, told, .. }) = same else {
            self.seen = Some(Seen { place, heard: now, counted: time.min(PULSE_MAX), told: None });
            return was_told.then(|| Stalled { over: true, ..Stalled::default() });
        };
        // The same place of a step may be come to twice.
        let counted = (counted + now.saturating_duration_since(heard).min(PULSE_MAX)).min(time);
        let bound = bound(shortest, pulse.step_millis);
        let is_news = told.is_none_or(|told| counted >= told + REPEAT);
        let (is_over, is_late) = (told.is_some() && counted < bound, counted >= bound);
        let told = match (is_over, is_late && is_news) {
            (true, _) => None,
            (false, true) => Some(counted),
            (false, false) => told,
        };
        self.seen = Some(Seen { place, heard: now, counted, told });
        if is_over {
            return Some(Stalled { over: true, ..Stalled::default() });
        }
        (is_late && is_news).then(|| Stalled {
            over: false,
            generation: pulse.generation,
            phase: pulse.phase,
            step: pulse.step,
            collectives: pulse.collectives,
            millis: millis(counted),
            bound_millis: millis(bound),
        })
    }
}

fn bound(shortest: Duration, step_millis: u32) -> Duration {
    match step_millis {
        0 => shortest.saturating_mul(UNKNOWN),
        step => shortest.max(Duration::from_millis(step.into()) * STEPS),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    /// A task whose steps take a while, second by second.
    struct Task {
        watch: StallWatch,
        now: Instant,
        step_millis: u32,
    }

    impl Task {
        fn new(step_millis: u32) -> Self {
            Self { watch: StallWatch::default(), now: Instant::now(), step_millis }
        }

        /// A pulse after a while: it has been in a place for so long by its own clock.
        fn pulse(&mut self, after: Duration, (phase, step): (Phase, u64), seconds: u64) -> Option<Stalled> {
            self.now += after;
            let (phase, phase_millis) = (phase.into(), seconds * 1000);
            let pulse =
                Pulse { generation: 4, phase, step, phase_millis, step_millis: self.step_millis, ..Pulse::default() };
            self.watch.hear(self.now, &pulse, Some(SHORTEST))
        }

        /// When it is told that the task is stuck there, of so many seconds.
        fn told(&mut self, place: (Phase, u64), seconds: std::ops::Range<u64>) -> Vec<u64> {
            seconds.filter(|second| self.pulse(SECOND, place, *second).is_some_and(|told| !told.over)).collect()
        }
    }

    #[test]
    fn a_task_that_is_too_long_in_one_place_is_told_of_again_and_again() {
        let mut task = Task::new(200);
        assert_eq!(task.told((Phase::Data, 7), 0..50), [30, 35, 40, 45]);
        let told = task.pulse(SECOND, (Phase::Data, 7), 50).unwrap();
        assert_eq!((told.generation, told.phase(), told.step), (4, Phase::Data, 7));
        assert_eq!((told.bound_millis, told.over), (30_000, false));
        let over = task.pulse(SECOND, (Phase::Compute, 7), 0).unwrap();
        assert!(over.over);
        assert_eq!(task.pulse(SECOND, (Phase::Collective, 7), 0), None, "it is said once");
    }

    #[test]
    fn long_steps_have_longer() {
        assert_eq!(Task::new(2999).told((Phase::Compute, 7), 0..32), [30]);
        assert_eq!(Task::new(9000).told((Phase::Compute, 7), 0..92), [90]);
    }

    #[test]
    fn the_first_steps_may_take_ten_times_as_long() {
        assert_eq!(Task::new(0).told((Phase::Data, 0), 0..302), [300]);
    }

    #[test]
    fn who_gets_on_is_never_told_of_however_loaded_the_machine() {
        let mut task = Task::new(200);
        for step in 0..200 {
            // Each place takes seconds, and pulses come late.
            assert_eq!(task.pulse(SECOND * 3, (Phase::Data, step), 2), None);
            assert_eq!(task.pulse(SECOND * 3, (Phase::Compute, step), 2), None);
            assert_eq!(task.pulse(SECOND * 20, (Phase::Collective, step), 18), None);
        }
    }

    #[test]
    fn a_task_that_was_stopped_was_nowhere_meanwhile() {
        let mut task = Task::new(200);
        assert_eq!(task.told((Phase::Data, 7), 0..5), [0; 0]);
        // Its clock has gone on.
        assert_eq!(task.pulse(SECOND * 100, (Phase::Data, 7), 105), None);
        // Four seconds before, two for the pulse itself, and 24 since.
        assert_eq!(task.told((Phase::Data, 7), 106..140), [129, 134, 139]);
    }

    #[test]
    fn the_same_place_come_to_again_is_another() {
        let mut task = Task::new(200);
        assert_eq!(task.told((Phase::Store, 7), 0..31), [30]);
        assert!(task.pulse(SECOND, (Phase::Store, 7), 0).unwrap().over);
        assert_eq!(task.told((Phase::Store, 7), 1..31), [30]);
    }

    #[test]
    fn what_is_no_place_of_a_step_takes_as_long_as_it_takes() {
        assert_eq!(Task::new(200).told((Phase::Unspecified, 0), 0..1000), [0; 0]);
        let pulse = Pulse { phase: Phase::Data.into(), phase_millis: 1_000_000, ..Pulse::default() };
        let mut watch = StallWatch::default();
        let now = Instant::now();
        assert!((0..100).all(|second| watch.hear(now + SECOND * second, &pulse, None).is_none()), "nobody asks");
    }
}
