//! Pipelines, jobs and workers as tables.

use std::time::Duration;

use crate::output::{figure, table};
use crate::progress::span;
use crate::views::{JobView, NamespaceView, PipelineView, SlotView, WorkerView};

/// One row for each job.
pub(crate) fn jobs(pipelines: &[PipelineView]) -> String {
    if pipelines.is_empty() {
        return "no pipelines".to_owned();
    }
    let headers = ["JOB", "KIND", "STATE", "PROGRESS", "LOSS", "IMAGES/S", "SLOTS", "REASON"];
    table(headers, pipelines.iter().flat_map(|pipeline| &pipeline.jobs).map(job_row))
}

fn job_row(job: &JobView) -> [String; 8] {
    let is_over = ["succeeded", "failed", "cancelled"].contains(&job.state);
    let progress = job.progress.as_ref().filter(|_| !is_over);
    [
        job.name.clone(),
        job.kind.clone(),
        state(job),
        progress.map(|progress| format!("{}/{} {}", progress.done, progress.total, progress.phase)).unwrap_or_default(),
        progress.and_then(|progress| progress.loss).map(figure).unwrap_or_default(),
        progress
            .filter(|progress| progress.images_per_second > 0.0)
            .map(|progress| format!("{:.0}", progress.images_per_second))
            .unwrap_or_default(),
        job.slots.join(" "),
        job.reason.clone(),
    ]
}

/// The state, and which retry it is the state of.
fn state(job: &JobView) -> String {
    match job.attempt {
        0 => job.state.to_owned(),
        retry => format!("{} (retry {retry})", job.state),
    }
}

/// What came of each job of a pipeline that is over.
pub(crate) fn results(pipeline: &PipelineView) -> String {
    let row = |job: &JobView| {
        let figures: Vec<String> =
            job.figures.iter().map(|(name, value)| format!("{name} {}", figure(*value))).collect();
        let took = job.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        [
            job.name.clone(),
            job.kind.clone(),
            state(job),
            took.map(span).unwrap_or_default(),
            if figures.is_empty() { job.reason.clone() } else { figures.join("  ") },
        ]
    };
    table(["JOB", "KIND", "STATE", "TIME", "RESULT"], pipeline.jobs.iter().map(row))
}

/// One row for each kind of slots of each namespace.
pub(crate) fn namespaces(namespaces: &[NamespaceView]) -> String {
    let limit = |limit: Option<u32>| limit.map_or("any".to_owned(), |limit| limit.to_string());
    let rows = namespaces.iter().flat_map(|namespace| {
        let NamespaceView { name, quota, used, borrowed, borrowing, pending, max_pending, etag: _ } = namespace;
        let kinds = [("cpu", quota.cpu, used.cpu, borrowed.cpu), ("cuda", quota.cuda, used.cuda, borrowed.cuda)];
        kinds.map(|(kind, quota, used, borrowed)| {
            [
                name.clone(),
                kind.to_owned(),
                limit(quota),
                used.to_string(),
                borrowed.to_string(),
                borrowing.map_or("none".to_owned(), |borrowing| limit(borrowing.limit)),
                pending.to_string(),
                limit(*max_pending),
            ]
        })
    });
    table(["NAMESPACE", "KIND", "QUOTA", "USED", "BORROWED", "MAY BORROW", "PENDING", "MAX PENDING"], rows)
}

/// One row for each slot, and one for a worker of which none is known.
pub(crate) fn workers(workers: &[WorkerView]) -> String {
    if workers.is_empty() {
        return "no workers are attached".to_owned();
    }
    let rows = workers.iter().flat_map(|worker| {
        let row = |slot: Option<&SlotView>| {
            let is_here = worker.state != "away";
            let task = slot.map(|slot| slot.task.clone().unwrap_or_else(|| "free".to_owned()));
            [
                worker.name.clone(),
                worker.host.clone(),
                slot.map(|slot| slot.index.to_string()).unwrap_or_default(),
                slot.map(|slot| slot.device.clone()).unwrap_or_default(),
                task.filter(|_| is_here).unwrap_or_default(),
                worker.state.to_owned(),
                worker.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
                worker.version.clone(),
                worker.joined.clone().unwrap_or_default(),
            ]
        };
        // Of one that is away nothing but its name may be known.
        let nothing = worker.slots.is_empty().then(|| row(None));
        worker.slots.iter().map(|slot| row(Some(slot))).chain(nothing).collect::<Vec<_>>()
    });
    table(["WORKER", "HOST", "SLOT", "DEVICE", "TASK", "STATE", "LABELS", "VERSION", "JOINED"], rows)
}
