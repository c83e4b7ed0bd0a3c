//! What a task is in the middle of: said by the thread that computes, told by the one that keeps the pulse.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vismae_c10d::BackwardWatch;
use vismae_core::ids::Generation;
use vismae_core::stall::Phase;
use vismae_proto::v1::{self, Pulse};

/// Steps whose durations are known: enough for a median that one slow step does not move.
const STEPS: usize = 32;
/// So many must be known before a step has a usual duration.
const FEWEST: usize = 5;

/// Where this task is in a step, and what its time went to; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    generation: Generation,
    world: u32,
    /// The place it is in, with the step; none where that says nothing.
    place: Option<(Phase, u64)>,
    since: Instant,
    /// How many collectives it has come to in this group.
    collectives: u64,
    /// Tells, in a backward pass, from when on it only waits for the others.
    backward: Option<BackwardWatch>,
    /// By the order of [`Phase::ALL`].
    spent: [Duration; Phase::ALL.len()],
    steps: VecDeque<Duration>,
    /// No step has been taken in this group: the first may take long, for it reads ahead anew.
    is_fresh: bool,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            generation: Generation(0),
            world: 1,
            place: None,
            since: Instant::now(),
            collectives: 0,
            backward: None,
            spent: [Duration::ZERO; Phase::ALL.len()],
            steps: VecDeque::with_capacity(STEPS),
            is_fresh: true,
        })))
    }

    /// It is in a group, or in none that has a number.
    pub(super) fn join(&self, generation: Generation, world: u32) {
        let mut state = self.lock();
        if world < state.world {
            // Fewer have more to do each.
            let more = f64::from(state.world) / f64::from(world.max(1));
            state.steps.iter_mut().for_each(|step| *step = step.mul_f64(more));
        }
        (state.generation, state.world, state.is_fresh, state.collectives) = (generation, world, true, 0);
    }

    /// It comes to a place of a step.
    pub(super) fn enter(&self, phase: Phase, step: u64) {
        self.lock().go(Some((phase, step)), None);
    }

    /// It computes, with a backward pass at the end of it, in which others are waited for.
    pub(super) fn compute(&self, step: u64, backward: BackwardWatch) {
        self.lock().go(Some((Phase::Compute, step)), Some(backward));
    }

    /// It does what can't be told from a wait, as meeting others.
    pub(super) fn rest(&self) {
        self.lock().go(None, None);
    }

    /// It has taken a step.
    pub(super) fn stepped(&self, took: Duration) {
        let mut state = self.lock();
        if state.steps.len() == STEPS {
            state.steps.pop_front();
        }
        // The first one in a group is no measure of others.
        if !std::mem::take(&mut state.is_fresh) {
            state.steps.push_back(took);
        }
    }

    /// Time of its own in steps since the process has begun: for samples, and in computing.
    pub(super) fn own(&self) -> Duration {
        let [data, compute, ..] = self.lock().spent_by_now();
        data + compute
    }

    /// What the agent is told.
    pub(super) fn pulse(&self) -> Pulse {
        let state = self.lock();
        let [data, compute, collective, store] = state.spent_by_now().map(|time| time.as_secs_f64());
        let (place, time) = state.now();
        let (phase, step) = place.map_or((v1::Phase::Unspecified, 0), |(phase, step)| (wire(phase), step));
        Pulse {
            generation: state.generation.0,
            phase: phase.into(),
            step,
            phase_millis: millis(time),
            collectives: state.collectives,
            step_millis: u32::try_from(millis(state.usual_step().unwrap_or_default())).unwrap_or(u32::MAX),
            data_seconds: data,
            compute_seconds: compute,
            collective_seconds: collective,
            store_seconds: store,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Leaves the place it is in, and counts the time there.
    fn go(&mut self, place: Option<(Phase, u64)>, backward: Option<BackwardWatch>) {
        self.spent = self.spent_by_now();
        let is_collective = backward.is_some() || place.is_some_and(|(phase, _)| phase == Phase::Collective);
        self.collectives += u64::from(is_collective);
        (self.place, self.since, self.backward) = (place, Instant::now(), backward);
    }

    /// Where it is, and for how long: one that has its gradients has come to the collective, whatever was said last.
    fn now(&self) -> (Option<(Phase, u64)>, Duration) {
        let time = self.since.elapsed();
        match (self.place, self.waiting()) {
            (Some((_, step)), Some(waiting)) => (Some((Phase::Collective, step)), waiting.min(time)),
            (place, _) => (place, time),
        }
    }

    fn waiting(&self) -> Option<Duration> {
        self.backward.as_ref().and_then(BackwardWatch::waiting)
    }

    fn spent_by_now(&self) -> [Duration; Phase::ALL.len()] {
        let Some((phase, _)) = self.place else { return self.spent };
        let time = self.since.elapsed();
        let waiting = self.waiting().unwrap_or_default().min(time);
        let mut spent = self.spent;
        spent[phase as usize] += time - waiting;
        spent[Phase::Collective as usize] += waiting;
        spent
    }

    /// The median of the latest steps, once enough are known.
    fn usual_step(&self) -> Option<Duration> {
        let mut steps: Vec<Duration> = self.steps.iter().copied().collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().filter(|_| steps.len() >= FEWEST && !self.is_fresh)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn wire(phase: Phase) -> v1::Phase {
    match phase {
        Phase::Data => v1::Phase::Data,
        Phase::Compute => v1::Phase::Compute,
        Phase::Collective => v1::Phase::Collective,
        Phase::Store => v1::Phase::Store,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(200);

    fn after(steps: usize) -> Activity {
        let activity = Activity::new();
        activity.join(Generation(3), 4);
        (0..steps).for_each(|_| activity.stepped(STEP));
        activity
    }

    #[test]
    fn a_pulse_says_where_the_task_is() {
        let activity = after(0);
        assert_eq!(activity.pulse().phase(), v1::Phase::Unspecified);
        activity.enter(Phase::Data, 7);
        let pulse = activity.pulse();
        assert_eq!((pulse.generation, pulse.phase(), pulse.step), (3, v1::Phase::Data, 7));
        activity.rest();
        assert_eq!(activity.pulse().phase(), v1::Phase::Unspecified);
    }

    #[test]
    fn time_goes_to_the_place_it_was_spent_in() {
        let activity = after(0);
        let pause = || std::thread::sleep(Duration::from_millis(5));
        for phase in Phase::ALL {
            activity.enter(phase, 0);
            pause();
        }
        activity.rest();
        let pulse = activity.pulse();
        pause();
        let places = [pulse.data_seconds, pulse.compute_seconds, pulse.collective_seconds, pulse.store_seconds];
        assert!(places.iter().all(|seconds| *seconds >= 0.005), "{places:?}");
        let again = activity.pulse();
        assert_eq!(again.compute_seconds, pulse.compute_seconds, "meeting others is no part of a step");
        let own = activity.own().as_secs_f64();
        assert!((own - pulse.data_seconds - pulse.compute_seconds).abs() < 1e-9, "{own} s");
    }

    #[test]
    fn a_step_has_no_usual_duration_before_some_were_taken_in_the_group() {
        assert_eq!(after(FEWEST).pulse().step_millis, 0, "the first one counts for nothing");
        let activity = after(FEWEST + 1);
        activity.stepped(STEP * 1000);
        assert_eq!(activity.pulse().step_millis, 200, "one slow step is no measure");
        activity.join(Generation(4), 4);
        assert_eq!(activity.pulse().step_millis, 0, "the next group reads ahead anew");
        activity.stepped(STEP * 1000);
        assert_eq!(activity.pulse().step_millis, 200);
    }

    #[test]
    fn collectives_are_counted_anew_in_each_group() {
        let activity = after(0);
        for step in 0..3 {
            activity.enter(Phase::Data, step);
            activity.enter(Phase::Collective, step);
            activity.enter(Phase::Compute, step);
        }
        assert_eq!(activity.pulse().collectives, 3);
        activity.join(Generation(4), 4);
        assert_eq!(activity.pulse().collectives, 0);
    }

    #[test]
    fn fewer_ranks_take_longer_for_a_step() {
        let activity = after(FEWEST + 1);
        activity.join(Generation(4), 1);
        activity.stepped(STEP);
        assert_eq!(activity.pulse().step_millis, 800);
    }
}
