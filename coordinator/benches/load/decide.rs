//! The core alone: how long one decision takes in a full cluster.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::Effects;
use vismae_core::event::{Event, TaskReport};
use vismae_core::ids::TaskId;
use vismae_core::time::MonoTime;
use vismae_core::worker::Lease;

use crate::Outcome;
use crate::churn::arrival;
use crate::jobs::{quantiles, request};

const DECISIONS: usize = 200;

/// Every worker of one slot is busy, and as many jobs wait: a task ends, and the next one is placed.
pub(crate) fn run(workers: usize, waiting: usize) -> Outcome<Value> {
    let now = MonoTime::since_origin(Duration::from_secs(1));
    let mut core = Coordinator::new(Duration::from_secs(3600));
    for number in 0..workers {
        let arrival = arrival(&format!("w{number}"))?;
        core.handle(now, Event::WorkerJoined(arrival), &mut Effects::default());
    }
    for number in 0..workers + waiting {
        let wire = request(&format!("p-{number}")).spec.unwrap_or_default();
        let spec = vismae_proto::convert::pipeline_from_wire(&wire)?;
        core.handle(now, Event::SubmitPipeline { spec, request: None }, &mut Effects::default());
    }
    let running: Vec<(Lease, TaskId)> = core
        .workers()
        .flat_map(|worker| worker.tasks().map(|task| (worker.lease.clone(), task.clone())))
        .take(DECISIONS)
        .collect();
    let mut times = Vec::new();
    for (from, task) in running {
        let (mut effects, report) = (Effects::default(), TaskReport::Succeeded { figures: BTreeMap::new() });
        let began = Instant::now();
        core.handle(now, Event::Task { from, task, report }, &mut effects);
        times.push(began.elapsed());
        if effects.send.len() < 2 {
            return Err("no job was placed in the slot that came free".into());
        }
    }
    Ok(json!({ "workers": workers, "waiting": waiting, "latency": quantiles(times) }))
}
