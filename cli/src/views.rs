//! What the coordinator tells, as programs read it with `-o json` and tables show it.

use std::collections::BTreeMap;

use serde::Serialize;
use vismae_proto::v1;

/// A pipeline and its jobs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PipelineView {
    pub(crate) name: String,
    /// Changes with what is shown of it.
    pub(crate) etag: String,
    pub(crate) state: &'static str,
    pub(crate) store: String,
    pub(crate) priority: i32,
    pub(crate) namespace: String,
    /// Seconds after its creation by which it must be over.
    pub(crate) deadline: Option<f64>,
    pub(crate) created: Option<String>,
    pub(crate) ended: Option<String>,
    pub(crate) jobs: Vec<JobView>,
}

/// A job.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JobView {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) state: &'static str,
    pub(crate) reason: String,
    pub(crate) why: Option<WhyView>,
    pub(crate) attempt: u32,
    /// Memberships that its ranks have formed; 0 for a job of one task.
    pub(crate) generation: u64,
    pub(crate) slots: Vec<String>,
    pub(crate) progress: Option<ProgressView>,
    pub(crate) figures: BTreeMap<String, f64>,
    pub(crate) seconds: Option<f64>,
    /// Seconds of its slots and of waiting, by what they went to.
    pub(crate) spent: BTreeMap<String, f64>,
    /// The share of the time of its slots that was productive; absent while no attempt is over.
    pub(crate) goodput_ratio: Option<f64>,
}

/// The same as a reason, for programs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WhyView {
    pub(crate) word: String,
    pub(crate) facts: BTreeMap<String, String>,
}

impl From<&v1::Why> for WhyView {
    fn from(why: &v1::Why) -> Self {
        let facts = why.facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { word: why.word.clone(), facts }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ProgressView {
    pub(crate) phase: String,
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) epoch: u32,
    pub(crate) loss: Option<f64>,
    pub(crate) images_per_second: f64,
    pub(crate) step_seconds: f64,
}

/// A worker and its slots.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WorkerView {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) version: String,
    pub(crate) joined: Option<String>,
    /// `active`; or, where it takes no new tasks, `leaving`, `drained`, or `away`, which is drained and not here.
    pub(crate) state: &'static str,
    /// Changes with what is shown of it.
    pub(crate) etag: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) slots: Vec<SlotView>,
}

/// A namespace, what it may use and what it uses.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NamespaceView {
    pub(crate) name: String,
    pub(crate) quota: LimitView,
    /// Absent when it may not.
    pub(crate) borrowing: Option<BorrowingView>,
    pub(crate) max_pending: Option<u32>,
    pub(crate) used: SlotsView,
    pub(crate) borrowed: SlotsView,
    pub(crate) pending: u32,
    /// Empty of one that was only checked.
    pub(crate) etag: String,
}

/// Slots of each kind that may be used; absent where there is no limit.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct LimitView {
    pub(crate) cpu: Option<u32>,
    pub(crate) cuda: Option<u32>,
}

/// Slots of each kind beyond the quota; absent where there is no limit.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct BorrowingView {
    pub(crate) limit: Option<u32>,
}

/// Slots of each kind.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct SlotsView {
    pub(crate) cpu: u32,
    pub(crate) cuda: u32,
}

/// A slot.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SlotView {
    pub(crate) index: u32,
    pub(crate) device: String,
    /// Absent when it is free.
    pub(crate) task: Option<String>,
}

/// A line of a log.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LogView {
    pub(crate) time: Option<String>,
    pub(crate) task: String,
    pub(crate) text: String,
    /// Lines that are missing at this place; absent at a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gap: Option<GapView>,
}

/// Lines of a log that can't be read any more.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct GapView {
    /// How many; absent when nobody knows.
    pub(crate) lines: Option<u64>,
}

/// The word for a state.
pub(crate) fn state_word(state: v1::State) -> &'static str {
    match state {
        v1::State::Unspecified => "unknown",
        v1::State::Pending => "pending",
        v1::State::Running => "running",
        v1::State::Suspending => "suspending",
        v1::State::Suspended => "suspended",
        v1::State::Cancelling => "cancelling",
        v1::State::Stopping => "stopping",
        v1::State::Succeeded => "succeeded",
        v1::State::Failed => "failed",
        v1::State::Cancelled => "cancelled",
    }
}

/// The name of a job without that of its pipeline.
pub(crate) fn short_name(job: &v1::Job) -> &str {
    job.name.split_once('.').map_or(job.name.as_str(), |(_, name)| name)
}

/// Seconds from the start of a job to its end; none before both are known.
pub(crate) fn seconds(job: &v1::Job) -> Option<f64> {
    let (start, end) = (job.start_time?, job.end_time?);
    Some((end.seconds - start.seconds) as f64 + f64::from(end.nanos - start.nanos) / 1e9)
}

impl From<&v1::Pipeline> for PipelineView {
    fn from(pipeline: &v1::Pipeline) -> Self {
        Self {
            name: pipeline.name.clone(),
            etag: pipeline.etag.clone(),
            state: state_word(pipeline.state()),
            store: pipeline.spec.as_ref().map(|spec| spec.store_url.clone()).unwrap_or_default(),
            priority: pipeline.spec.as_ref().map_or(0, |spec| spec.priority),
            namespace: pipeline.spec.as_ref().map(|spec| spec.namespace.clone()).unwrap_or_default(),
            deadline: pipeline
                .spec
                .as_ref()
                .and_then(|spec| spec.deadline)
                .map(|time| time.seconds as f64 + f64::from(time.nanos) / 1e9),
            created: pipeline.create_time.map(|time| time.to_string()),
            ended: pipeline.end_time.map(|time| time.to_string()),
            jobs: pipeline.jobs.iter().map(JobView::from).collect(),
        }
    }
}

impl From<&v1::Job> for JobView {
    fn from(job: &v1::Job) -> Self {
        Self {
            name: job.name.clone(),
            kind: job.kind.clone(),
            state: state_word(job.state()),
            reason: job.reason.clone(),
            why: job.why.as_ref().map(WhyView::from),
            attempt: job.attempt,
            generation: job.generation,
            slots: job.slots.clone(),
            progress: job.progress.as_ref().map(ProgressView::from),
            figures: job.figures.iter().map(|(name, value)| (name.clone(), *value)).collect(),
            seconds: seconds(job),
            spent: job.spent.iter().map(|(on, time)| (on.clone(), *time)).collect(),
            goodput_ratio: job.goodput_ratio,
        }
    }
}

impl From<&v1::Progress> for ProgressView {
    fn from(progress: &v1::Progress) -> Self {
        Self {
            phase: progress.phase.clone(),
            done: progress.done,
            total: progress.total,
            epoch: progress.epoch,
            loss: progress.loss,
            images_per_second: progress.images_per_second,
            step_seconds: progress.step_seconds,
        }
    }
}

impl From<&v1::Worker> for WorkerView {
    fn from(worker: &v1::Worker) -> Self {
        let slot = |slot: &v1::Slot| SlotView {
            index: slot.index,
            device: slot.device.clone(),
            task: Some(slot.task.clone()).filter(|task| !task.is_empty()),
        };
        Self {
            name: worker.name.clone(),
            host: worker.host.clone(),
            version: worker.version.clone(),
            joined: worker.join_time.map(|time| time.to_string()),
            state: match worker.state() {
                v1::WorkerState::Leaving => "leaving",
                v1::WorkerState::Active => "active",
                v1::WorkerState::Drained => "drained",
                v1::WorkerState::Away => "away",
                v1::WorkerState::Unspecified => "unknown",
            },
            etag: worker.etag.clone(),
            labels: worker.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            slots: worker.slots.iter().map(slot).collect(),
        }
    }
}

impl From<&v1::Namespace> for NamespaceView {
    fn from(namespace: &v1::Namespace) -> Self {
        let (quota, usage) = (namespace.quota.unwrap_or_default(), namespace.usage.unwrap_or_default());
        Self {
            etag: namespace.etag.clone(),
            name: namespace.name.clone(),
            quota: LimitView { cpu: quota.cpu, cuda: quota.cuda },
            borrowing: namespace.borrowing.map(|borrowing| BorrowingView { limit: borrowing.limit }),
            max_pending: namespace.max_pending,
            used: SlotsView::from(usage.used),
            borrowed: SlotsView::from(usage.borrowed),
            pending: usage.pending,
        }
    }
}

impl From<Option<v1::Slots>> for SlotsView {
    fn from(slots: Option<v1::Slots>) -> Self {
        let v1::Slots { cpu, cuda } = slots.unwrap_or_default();
        Self { cpu, cuda }
    }
}

impl From<v1::LogLine> for LogView {
    fn from(line: v1::LogLine) -> Self {
        let gap = line.gap.map(|gap| GapView { lines: gap.lines });
        Self { time: line.time.map(|time| time.to_string()), task: line.task, text: line.text, gap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_shown_by_the_words_of_the_protocol() {
        for number in 1.. {
            let Ok(state) = v1::State::try_from(number) else { break };
            assert_eq!(format!("STATE_{}", state_word(state).to_uppercase()), state.as_str_name());
        }
    }
}
