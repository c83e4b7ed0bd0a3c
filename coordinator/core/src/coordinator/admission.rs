//! What users ask for: pipelines that begin, end early, and are forgotten.

use super::{Coordinator, OPEN_PIPELINES};
use crate::effect::{Effects, PipelineError, Record, SubmitError};
use crate::event::RequestId;
use crate::ids::{NAME_MAX, PipelineId};
use crate::job::Input;
use crate::pipeline::Pipeline;
use crate::spec::PipelineSpec;
use crate::time::MonoTime;

/// The most names that are told to who has named another one.
const NAMES_TOLD: usize = 10;

impl Coordinator {
    /// Queues a pipeline under its name, with a number added when the name is taken.
    pub(super) fn submit(
        &mut self,
        now: MonoTime,
        mut spec: PipelineSpec,
        request: Option<RequestId>,
        effects: &mut Effects,
    ) -> Result<PipelineId, SubmitError> {
        let key = request.map(|request| (spec.namespace.clone(), request));
        let earlier = key.as_ref().and_then(|key| self.requests.get(key));
        if let Some(pipeline) = earlier.and_then(|number| self.pipelines.get(number)) {
            return Ok(pipeline.id.clone());
        }
        self.check(&spec)?;
        spec.name = self.fresh_name(spec.name);
        let number = self.next_pipeline;
        self.next_pipeline += 1;
        let id = spec.name.clone();
        effects.persist.push(Record::Pipeline { spec: spec.clone(), request, number, created: now });
        effects.changed.insert(id.clone());
        self.names.insert(id.clone(), number);
        self.requests.extend(key.map(|key| (key, number)));
        let pipeline = Pipeline::new(spec, number, request, now);
        self.opened(&pipeline);
        self.pipelines.insert(number, pipeline);
        Ok(id)
    }

    /// Whether a pipeline would be accepted now.
    ///
    /// # Errors
    /// Every rule that it breaks, or whose queue is full.
    pub fn check(&self, spec: &PipelineSpec) -> Result<(), SubmitError> {
        let mut violations = spec.validate().err().unwrap_or_default();
        let Some(namespace) = self.namespaces.get(&spec.namespace) else {
            let known: Vec<String> = self.namespaces.keys().take(NAMES_TOLD).map(|name| format!("`{name}`")).collect();
            let more = if self.namespaces.len() > NAMES_TOLD { ", …" } else { "" };
            let known = known.join(", ");
            violations.add("namespace", format!("is `{}`, expected one that there is: {known}{more}", spec.namespace));
            return Err(violations.into());
        };
        violations.into_result()?;
        let open = self.open.len() as u32;
        if open >= OPEN_PIPELINES {
            return Err(SubmitError::QueueFull { namespace: None, open, limit: OPEN_PIPELINES });
        }
        let pending = self.pending(&spec.namespace);
        match namespace.limits.max_pending {
            Some(limit) if pending >= limit => {
                Err(SubmitError::QueueFull { namespace: Some(spec.namespace.clone()), open: pending, limit })
            }
            _ => Ok(()),
        }
    }

    /// The name itself, or one of `name-2`, `name-3`, … that is free, shortened where it would grow too long: the first one as long as
    /// they were all taken in turn. However many are taken, few are looked at.
    fn fresh_name(&self, wanted: PipelineId) -> PipelineId {
        let is_free = |name: &PipelineId| !self.names.contains_key(name);
        if is_free(&wanted) {
            return wanted;
        }
        let numbered = |number: u64| {
            let suffix = format!("-{number}");
            let stem: String = wanted.as_str().chars().take(NAME_MAX - suffix.len()).collect();
            PipelineId::new(format!("{}{suffix}", stem.trim_end_matches('-'))).ok()
        };
        let free = |number: u64| numbered(number).filter(is_free);
        // Twice as far each time, and then back by halves: below is always a name that is taken.
        let (mut taken, mut step) = (1, 1);
        while free(taken + step).is_none() {
            taken += step;
            step *= 2;
        }
        while step > 1 {
            step /= 2;
            if free(taken + step).is_none() {
                taken += step;
            }
        }
        numbered(taken + 1).unwrap_or(wanted)
    }

    /// Stops what runs and forgets what waits. Asking again while tasks are still stopping is fine.
    pub(super) fn cancel(&mut self, now: MonoTime, id: PipelineId, effects: &mut Effects) -> Result<(), PipelineError> {
        let pipeline = self.names.get(&id).and_then(|number| self.pipelines.get_mut(number));
        let Some(pipeline) = pipeline else { return Err(PipelineError::Unknown(id)) };
        if pipeline.is_over() {
            let state = pipeline.state();
            return Err(PipelineError::Over { pipeline: id, state });
        }
        if !pipeline.cancelled {
            pipeline.cancelled = true;
            effects.persist.push(Record::Cancelled { pipeline: id.clone() });
            effects.changed.insert(id);
        }
        for job in &mut pipeline.jobs {
            job.transition(now, Input::Cancel, effects);
        }
        Ok(())
    }

    /// Has what runs stop and keeps what waits from starting, or takes that back. Asking for what is so already is fine.
    pub(super) fn suspend(
        &mut self,
        now: MonoTime,
        id: PipelineId,
        suspended: bool,
        effects: &mut Effects,
    ) -> Result<(), PipelineError> {
        let pipeline = self.names.get(&id).and_then(|number| self.pipelines.get_mut(number));
        let Some(pipeline) = pipeline else { return Err(PipelineError::Unknown(id)) };
        if pipeline.is_over() {
            let state = pipeline.state();
            return Err(PipelineError::Over { pipeline: id, state });
        }
        if pipeline.suspended != suspended {
            pipeline.suspended = suspended;
            effects.persist.push(Record::Suspended { pipeline: id.clone(), suspended });
            effects.changed.insert(id);
        }
        if suspended {
            for job in &mut pipeline.jobs {
                job.transition(now, Input::Suspend, effects);
            }
        }
        Ok(())
    }

    /// Ends the pipelines that are not over by their deadline.
    pub(super) fn end_late(&mut self, now: MonoTime, effects: &mut Effects) {
        while let Some((_, number)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_first();
            let Some(pipeline) = self.pipelines.get_mut(&number) else { continue };
            let Some(after) = pipeline.deadline else { continue };
            for job in &mut pipeline.jobs {
                job.transition(now, Input::Expire { after }, effects);
            }
        }
    }
}
