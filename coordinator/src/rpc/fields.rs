//! The fields of pipelines, workers and namespaces that filters and orders of lists may name.

use vismae_core::namespace::{Namespace, Usage};
use vismae_core::pipeline::Pipeline;
use vismae_core::worker::{Worker, WorkerState};

use super::filter::{Field, Kind, Value};

const PIPELINE_STATES: Kind = Kind::Word {
    words: &["pending", "running", "suspending", "suspended", "cancelling", "succeeded", "failed", "cancelled"],
    prefix: "state_",
};
const WORKER_STATES: Kind = Kind::Word { words: &["active", "leaving", "drained", "away"], prefix: "worker_state_" };

/// Of pipelines.
pub(super) static PIPELINES: &[Field<Pipeline>] = &[
    Field { name: "name", kind: Kind::Name, read: |pipeline| Some(Value::Text(pipeline.id.as_str())) },
    Field { name: "namespace", kind: Kind::Name, read: |pipeline| Some(Value::Text(pipeline.namespace.as_str())) },
    Field { name: "state", kind: PIPELINE_STATES, read: |pipeline| Some(Value::Word(pipeline.state().word())) },
    Field { name: "priority", kind: Kind::Number, read: |pipeline| Some(Value::Number(pipeline.priority.into())) },
    Field { name: "store_url", kind: Kind::Text, read: |pipeline| Some(Value::Text(&pipeline.store_url)) },
    Field { name: "create_time", kind: Kind::Time, read: |pipeline| Some(Value::Time(pipeline.created.elapsed())) },
    Field { name: "end_time", kind: Kind::Time, read: |pipeline| pipeline.ended().map(|at| Value::Time(at.elapsed())) },
];

/// Of workers.
pub(super) static WORKERS: &[Field<Worker>] = &[
    Field { name: "name", kind: Kind::Name, read: |worker| Some(Value::Text(worker.lease.worker.as_str())) },
    Field { name: "host", kind: Kind::Text, read: |worker| Some(Value::Text(&worker.host)) },
    Field { name: "version", kind: Kind::Text, read: |worker| Some(Value::Text(&worker.version)) },
    Field { name: "state", kind: WORKER_STATES, read: |worker| Some(Value::Word(worker.state.word())) },
    Field { name: "device", kind: Kind::Text, read: |worker| Some(Value::Texts(devices(worker))) },
    Field { name: "join_time", kind: Kind::Time, read: joined },
];

/// A namespace, and what it uses now.
pub(super) struct InUse {
    pub(super) namespace: Namespace,
    pub(super) usage: Usage,
}

/// Of namespaces; the first one is their name.
pub(super) static NAMESPACES: &[Field<InUse>] = &[
    Field { name: "name", kind: Kind::Name, read: |used| Some(Value::Text(used.namespace.name.as_str())) },
    Field { name: "quota.cpu", kind: Kind::Number, read: |used| number(used.namespace.limits.quota.cpu) },
    Field { name: "quota.cuda", kind: Kind::Number, read: |used| number(used.namespace.limits.quota.cuda) },
    Field { name: "max_pending", kind: Kind::Number, read: |used| number(used.namespace.limits.max_pending) },
    Field { name: "usage.pending", kind: Kind::Number, read: |used| number(Some(used.usage.pending)) },
    Field { name: "usage.used.cpu", kind: Kind::Number, read: |used| number(Some(used.usage.used.cpu)) },
    Field { name: "usage.used.cuda", kind: Kind::Number, read: |used| number(Some(used.usage.used.cuda)) },
];

fn number(count: Option<u32>) -> Option<Value<'static>> {
    count.map(|count| Value::Number(count.into()))
}

fn devices(worker: &Worker) -> Vec<String> {
    worker.slots.iter().map(|slot| slot.device.to_string()).collect()
}

fn joined(worker: &Worker) -> Option<Value<'_>> {
    (worker.state != WorkerState::Away).then(|| Value::Time(worker.joined.elapsed()))
}

#[cfg(test)]
mod tests {
    use vismae_core::pipeline::PipelineState;

    use super::*;

    #[test]
    fn every_state_can_be_asked_for() {
        let words = |kind| match kind {
            Kind::Word { words, .. } => words,
            other => panic!("{other:?}"),
        };
        assert_eq!(words(PIPELINE_STATES), PipelineState::ALL.map(PipelineState::word));
        assert_eq!(words(WORKER_STATES), WorkerState::ALL.map(WorkerState::word));
    }
}
