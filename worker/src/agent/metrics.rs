//! Every metric an agent exports, with its unit.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use vismae_core::stall::Phase;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{Checkpointed, Progress, Pulse, TaskEvent};

const SLOTS: &str = "vismae_agent_slots";
const TASKS: &str = "vismae_agent_tasks_total";
const CONNECTED: &str = "vismae_agent_connected";
const IMAGES_PER_SECOND: &str = "vismae_agent_images_per_second";
const STEP_SECONDS: &str = "vismae_agent_step_seconds";
const PHASE_SECONDS: &str = "vismae_agent_phase_seconds_total";
const LOSS: &str = "vismae_agent_loss";
const CHECKPOINTS: &str = "vismae_agent_checkpoints_total";
const FAILED_CHECKPOINTS: &str = "vismae_agent_checkpoints_failed_total";
const CHECKPOINT_BYTES: &str = "vismae_agent_checkpoint_bytes";
const CHECKPOINT_STALL: &str = "vismae_agent_checkpoint_stall_seconds";
const CHECKPOINT_DURATION: &str = "vismae_agent_checkpoint_duration_seconds";
const BUILD_INFO: &str = "vismae_build_info";

/// Bounds of histograms of seconds: from a copy in memory to an upload to a slow store.
pub(super) const SECONDS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0];

/// How a task ended, as a label.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Succeeded,
    Failed,
    Stopped,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// Describes every series and sets those that must exist before the first task.
pub(super) fn describe(slots: usize) {
    describe_gauge!(SLOTS, Unit::Count, "slots of this worker by state: free or busy");
    describe_counter!(TASKS, Unit::Count, "tasks that ended on this worker, by outcome");
    describe_gauge!(CONNECTED, Unit::Count, "1 while the coordinator's stream is up");
    describe_gauge!(IMAGES_PER_SECOND, Unit::Count, "images per second of the task in a slot, over all its ranks");
    describe_gauge!(STEP_SECONDS, Unit::Seconds, "mean duration of a step of the task in a slot since its last report");
    describe_counter!(
        PHASE_SECONDS,
        Unit::Seconds,
        "time of the tasks in a slot by what they did in their steps: data, compute, collective or store"
    );
    describe_gauge!(LOSS, "last loss of the task in a slot");
    describe_counter!(CHECKPOINTS, Unit::Count, "checkpoints committed by first ranks on this worker");
    describe_counter!(
        FAILED_CHECKPOINTS,
        Unit::Count,
        "checkpoints that could not be written or committed, by first ranks on this worker; training went on"
    );
    describe_gauge!(CHECKPOINT_BYTES, Unit::Bytes, "size of the last of them, all shares together");
    describe_histogram!(CHECKPOINT_STALL, Unit::Seconds, "how long training stood still for a checkpoint");
    describe_histogram!(CHECKPOINT_DURATION, Unit::Seconds, "from the step of a checkpoint to its commit");
    describe_gauge!(BUILD_INFO, "1, with the version as a label");
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION"), "process" => "agent").set(1.0);
    gauge!(CONNECTED).set(0.0);
    counter!(CHECKPOINTS).absolute(0);
    counter!(FAILED_CHECKPOINTS).absolute(0);
    for outcome in [Outcome::Succeeded, Outcome::Failed, Outcome::Stopped] {
        counter!(TASKS, "outcome" => outcome.word()).absolute(0);
    }
    for slot in 0..slots {
        clear(slot as u32);
        for phase in Phase::ALL {
            counter!(PHASE_SECONDS, "slot" => slot.to_string(), "phase" => phase.word()).absolute(0);
        }
    }
    slots_changed(0, slots);
}

pub(super) fn connected(up: bool) {
    gauge!(CONNECTED).set(if up { 1.0 } else { 0.0 });
}

pub(super) fn slots_changed(busy: usize, total: usize) {
    gauge!(SLOTS, "state" => "busy").set(busy as f64);
    gauge!(SLOTS, "state" => "free").set(total.saturating_sub(busy) as f64);
}

pub(super) fn task_ended(slot: u32, last: &TaskEvent) {
    let outcome = match last.event {
        Some(Event::Succeeded(_)) => Outcome::Succeeded,
        Some(Event::Stopped(_)) => Outcome::Stopped,
        _ => Outcome::Failed,
    };
    counter!(TASKS, "outcome" => outcome.word()).increment(1);
    clear(slot);
}

pub(super) fn checkpointed(checkpoint: &Checkpointed) {
    counter!(CHECKPOINTS).increment(1);
    gauge!(CHECKPOINT_BYTES).set(checkpoint.bytes as f64);
    histogram!(CHECKPOINT_STALL).record(checkpoint.stall_seconds);
    histogram!(CHECKPOINT_DURATION).record(checkpoint.seconds);
}

pub(super) fn checkpoint_failed() {
    counter!(FAILED_CHECKPOINTS).increment(1);
}

pub(super) fn progress(slot: u32, progress: &Progress) {
    let slot = slot.to_string();
    gauge!(IMAGES_PER_SECOND, "slot" => slot.clone()).set(progress.images_per_second);
    gauge!(STEP_SECONDS, "slot" => slot.clone()).set(progress.step_seconds);
    if let Some(loss) = progress.loss {
        gauge!(LOSS, "slot" => slot).set(loss);
    }
}

/// What one task has been counted with: counters hold whole seconds, and what is left over is in the next one.
#[derive(Debug, Default)]
pub(super) struct Spent([u64; Phase::ALL.len()]);

impl Spent {
    /// Counts what the task has spent since its last pulse.
    pub(super) fn count(&mut self, slot: u32, pulse: &Pulse) {
        let seconds = [pulse.data_seconds, pulse.compute_seconds, pulse.collective_seconds, pulse.store_seconds];
        for ((phase, seconds), counted) in Phase::ALL.into_iter().zip(seconds).zip(&mut self.0) {
            let seconds = seconds as u64;
            let more = seconds.saturating_sub(*counted);
            if more > 0 {
                counter!(PHASE_SECONDS, "slot" => slot.to_string(), "phase" => phase.word()).increment(more);
                *counted = seconds;
            }
        }
    }
}

/// An idle slot computes nothing: its gauges go back to zero instead of showing the last task for ever.
fn clear(slot: u32) {
    let slot = slot.to_string();
    gauge!(IMAGES_PER_SECOND, "slot" => slot.clone()).set(0.0);
    gauge!(STEP_SECONDS, "slot" => slot.clone()).set(0.0);
    gauge!(LOSS, "slot" => slot).set(0.0);
}
