//! Pipelines that are over: remembered for a while, and then forgotten.

use super::{Coordinator, KEPT_JOBS};
use crate::effect::{Effects, Record};
use crate::job::Outcome;
use crate::pipeline::{Pipeline, Turn};

/// How many jobs of pipelines that are over have ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ends {
    /// Their work is done.
    pub succeeded: u32,
    /// They could not be done, or not in time.
    pub failed: u32,
    /// They were cancelled, or given up with a job they needed.
    pub cancelled: u32,
}

impl Ends {
    fn of(pipeline: &Pipeline) -> Self {
        let mut ends = Self::default();
        for outcome in pipeline.jobs.iter().filter_map(|job| job.state.outcome()) {
            match outcome {
                Outcome::Succeeded { .. } => ends.succeeded += 1,
                Outcome::Failed(_) | Outcome::Late { .. } => ends.failed += 1,
                Outcome::Cancelled | Outcome::Abandoned { .. } => ends.cancelled += 1,
            }
        }
        ends
    }

    fn total(self) -> u32 {
        self.succeeded + self.failed + self.cancelled
    }
}

impl Coordinator {
    /// Notes which of the pipelines that have changed are over, and drops the oldest of them when there are too many.
    pub(super) fn retire(&mut self, effects: &mut Effects) {
        let changed = effects.changed.iter().filter_map(|id| self.pipeline(id));
        let over: Vec<Turn> = changed.filter(|pipeline| pipeline.is_over()).map(Pipeline::turn).collect();
        for turn in over {
            if self.closed(turn) {
                self.remember(turn.number);
            }
        }
        while self.ends.total() > KEPT_JOBS {
            let Some(number) = self.ended.pop_front() else { break };
            let Some(pipeline) = self.pipelines.remove(&number) else { continue };
            let gone = Ends::of(&pipeline);
            self.ends.succeeded -= gone.succeeded;
            self.ends.failed -= gone.failed;
            self.ends.cancelled -= gone.cancelled;
            self.names.remove(&pipeline.id);
            if let Some(request) = pipeline.request {
                self.requests.remove(&(pipeline.namespace.clone(), request));
            }
            effects.persist.push(Record::Forgotten { pipeline: pipeline.id.clone() });
            effects.forgotten.push(pipeline.id);
        }
    }

    /// Counts a pipeline that is over as the last that has ended, and lets go of what nobody asks about any more.
    pub(super) fn remember(&mut self, number: u64) {
        let Some(pipeline) = self.pipelines.get_mut(&number) else { return };
        let ends = Ends::of(pipeline);
        for job in &mut pipeline.jobs {
            job.stops.shrink_to_fit();
        }
        self.ends.succeeded += ends.succeeded;
        self.ends.failed += ends.failed;
        self.ends.cancelled += ends.cancelled;
        self.ended.push_back(number);
    }
}
