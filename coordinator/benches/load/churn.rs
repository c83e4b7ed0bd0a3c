//! The core alone, over virtual time: what it holds when pipelines come and go for long, and how soon it is back with as many.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vismae_core::coordinator::Coordinator;
use vismae_core::device::Device;
use vismae_core::effect::{Command, Effects, Record};
use vismae_core::event::{Event, TaskReport};
use vismae_core::ids::{PipelineId, WorkerId};
use vismae_core::time::MonoTime;
use vismae_core::worker::{Arrival, Lease};

use crate::jobs::request;
use crate::{Outcome, process};

pub(crate) const LEASE: Duration = Duration::from_secs(100_000);

/// Pipelines of one job that are submitted, carried out by one worker and forgotten, as many each second of virtual time as `rate`.
pub(crate) fn run(seconds: u64, rate: u64, restarted: bool) -> Outcome<Value> {
    let origin = MonoTime::since_origin(Duration::from_secs(1));
    let mut workshop = Workshop::open(origin)?;
    let own = std::process::id();
    let (mut records, mut half) = (BTreeMap::new(), 0.0);
    let start = process::bytes(own)?;
    let began = Instant::now();
    for number in 0..seconds * rate {
        let done = workshop.pipeline(origin.after(Duration::from_millis(number * 1000 / rate)))?;
        if restarted {
            keep(&mut records, done.begun);
            keep(&mut records, done.ended);
        }
        if number + 1 == (seconds * rate).div_ceil(2) {
            half = process::bytes(own)?;
        }
    }
    let took = began.elapsed();
    let kept = workshop.core.pipelines().count();
    let whole = process::bytes(own)?;
    let mut figures = json!({
        "pipelines": seconds * rate, "seconds": took.as_secs_f64(), "kept": kept, "start": start, "half": half, "whole": whole,
    });
    if restarted {
        drop(workshop);
        let began = Instant::now();
        let core = Coordinator::restore(LEASE, origin, records.into_values());
        figures["restore"] = json!({ "jobs": core.pipelines().count(), "seconds": began.elapsed().as_secs_f64() });
    }
    Ok(figures)
}

/// A core with one worker of one slot.
pub(crate) struct Workshop {
    core: Coordinator,
    lease: Lease,
}

/// What must be kept of a pipeline that came and went.
pub(crate) struct Done {
    pub(crate) name: PipelineId,
    /// With its submission and its start.
    pub(crate) begun: Vec<Record>,
    /// With its end.
    pub(crate) ended: Vec<Record>,
}

impl Workshop {
    pub(crate) fn open(now: MonoTime) -> Outcome<Self> {
        let mut core = Coordinator::new(LEASE);
        core.handle(now, Event::WorkerJoined(arrival("w0")?), &mut Effects::default());
        let lease = core.workers().next().ok_or("the worker is not here")?.lease.clone();
        Ok(Self { core, lease })
    }

    /// Submits a pipeline of one job, and carries it out.
    pub(crate) fn pipeline(&mut self, now: MonoTime) -> Outcome<Done> {
        let spec = vismae_proto::convert::pipeline_from_wire(&request("churn").spec.unwrap_or_default())?;
        let mut begun = Effects::default();
        self.core.handle(now, Event::SubmitPipeline { spec, request: None }, &mut begun);
        let started = begun.send.iter().find(|sent| matches!(sent.command, Command::Start(_)));
        let task = started.ok_or("no task was started")?.task.clone();
        let name = task.job.pipeline.clone();
        let report = TaskReport::Succeeded { figures: BTreeMap::from([("frames".to_owned(), 1.0)]) };
        let mut ended = Effects::default();
        self.core.handle(now, Event::Task { from: self.lease.clone(), task, report }, &mut ended);
        Ok(Done { name, begun: begun.persist, ended: ended.persist })
    }
}

/// A worker of one slot that joins.
pub(crate) fn arrival(worker: &str) -> Outcome<Arrival> {
    Ok(Arrival {
        worker: WorkerId::new(worker)?,
        devices: vec![Device::Cpu],
        labels: BTreeMap::new(),
        host: "127.0.0.1".into(),
        version: "0.1.0".into(),
        tasks: Vec::new(),
    })
}

/// Keeps the latest record of each key, as a journal does.
fn keep(records: &mut BTreeMap<String, Record>, latest: Vec<Record>) {
    for record in latest {
        let key = match &record {
            Record::Pipeline { spec, .. } => format!("pipeline/{}", spec.name),
            Record::Job { job, .. } => format!("job/{job}"),
            Record::Forgotten { pipeline } => {
                records.remove(&format!("pipeline/{pipeline}"));
                records.remove(&format!("job/{pipeline}.ingest"));
                continue;
            }
            _ => continue,
        };
        records.insert(key, record);
    }
}
