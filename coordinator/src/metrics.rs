//! Every metric that the coordinator exports, with its unit.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use tonic::Code;
use vismae_core::coordinator::Coordinator;
use vismae_core::device::DeviceKind;
use vismae_core::effect::{EvictReason, Fact, FormReason};
use vismae_core::failure::Cause;
use vismae_core::finding::{Finding, SlowRemedy};
use vismae_core::ids::JobId;
use vismae_core::job::{Grounds, JobState, Ledger, Use};
use vismae_core::worker::WorkerState;

const WORKERS: &str = "vismae_workers";
const SLOTS: &str = "vismae_slots";
const JOBS: &str = "vismae_jobs";
const NAMESPACE_SLOTS: &str = "vismae_namespace_slots";
const NAMESPACE_QUOTA: &str = "vismae_namespace_quota_slots";
const NAMESPACE_PENDING: &str = "vismae_namespace_pending_pipelines";
const STEP_DURATION: &str = "vismae_step_duration_seconds";
const IMAGES_PER_SECOND: &str = "vismae_images_per_second";
const LOSS: &str = "vismae_loss";
const TASKS_FAILED: &str = "vismae_tasks_failed_total";
const EVICTIONS: &str = "vismae_evictions_total";
const MEMBERSHIP_CHANGES: &str = "vismae_membership_changes_total";
const RECOVERY_DURATION: &str = "vismae_recovery_duration_seconds";
const STALLS: &str = "vismae_stalls_total";
const STRAGGLERS: &str = "vismae_stragglers_total";
const STRAGGLER_SCORE: &str = "vismae_straggler_score";
const CERTIFICATE_EXPIRY: &str = "vismae_certificate_expiry_timestamp_seconds";
const RELOAD_FAILURES: &str = "vismae_reload_failures_total";
const GOODPUT: &str = "vismae_goodput_seconds_total";
const GOODPUT_RATIO: &str = "vismae_goodput_ratio";
const BADPUT: &str = "vismae_badput_seconds_total";
const QUEUE_WAIT: &str = "vismae_queue_wait_seconds_total";
const RPC_STARTED: &str = "grpc_server_started_total";
const RPC_HANDLED: &str = "grpc_server_handled_total";
const RPC_DURATION: &str = "grpc_server_handling_seconds";
const BUILD_INFO: &str = "vismae_build_info";

/// What was done about a group that did not get on.
const STUCK: &str = "left_out";
const RELEASED: &str = "released";
const GIVEN_UP: &str = "given_up";

/// From a small step on a GPU to a large one on a CPU.
const STEP_BUCKETS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// From the death of a process beside its agent to a node that has to come up again.
const RECOVERY_BUCKETS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
/// From a look at memory to the limit of a request.
const RPC_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// How long the series of a job outlive its last report: long enough to be scraped, short enough to stay few.
const IDLE: Duration = Duration::from_secs(120);
/// How often [`observe`] must be called so that the series that always exist do not go idle, and the exporter tidied up.
pub(crate) const UPKEEP: Duration = Duration::from_secs(15);

/// Metrics can't be recorded, because another recorder is installed in this process.
#[derive(Debug, thiserror::Error)]
#[error(
    "metrics can't be recorded: another recorder is installed in this process, expected its handle to be passed instead"
)]
pub struct RecorderTaken;

/// The recorder of this process, installed by the first call. A process that records metrics of its own installs a
/// recorder itself and passes the handle on instead.
///
/// # Errors
/// [`RecorderTaken`].
pub fn recorder() -> Result<PrometheusHandle, RecorderTaken> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let builder = PrometheusBuilder::new()
        .idle_timeout(MetricKindMask::GAUGE | MetricKindMask::HISTOGRAM, Some(IDLE))
        .set_buckets_for_metric(Matcher::Full(RECOVERY_DURATION.to_owned()), &RECOVERY_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full(STEP_DURATION.to_owned()), &STEP_BUCKETS))
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full(RPC_DURATION.to_owned()), &RPC_BUCKETS))
        .map_err(|_| RecorderTaken)?;
    let handle = builder.install_recorder().map_err(|_| RecorderTaken)?;
    *installed = Some(handle.clone());
    Ok(handle)
}

/// Describes every series, and begins the counters at zero.
pub(crate) fn describe() {
    describe_gauge!(
        WORKERS,
        Unit::Count,
        "workers, by state: active, leaving, drained, or away, which are drained and not here"
    );
    describe_gauge!(SLOTS, Unit::Count, "slots of the workers that are here, by state: free or busy");
    describe_gauge!(JOBS, Unit::Count, "jobs of the pipelines that are remembered, by state");
    describe_gauge!(
        NAMESPACE_SLOTS,
        Unit::Count,
        "slots that a namespace uses, by kind of device, and by whether they are borrowed"
    );
    describe_gauge!(
        NAMESPACE_QUOTA,
        Unit::Count,
        "slots that are a namespace's own, by kind of device; absent where there is no limit"
    );
    describe_gauge!(NAMESPACE_PENDING, Unit::Count, "pipelines of a namespace that wait for their first slot");
    describe_histogram!(
        STEP_DURATION,
        Unit::Seconds,
        "mean duration of the training steps between two reports of a job"
    );
    describe_gauge!(IMAGES_PER_SECOND, Unit::Count, "images per second that a job trains or reads, over all its ranks");
    describe_gauge!(LOSS, "last loss that a job reported");
    describe_counter!(TASKS_FAILED, Unit::Count, "tasks that failed, by cause");
    describe_counter!(EVICTIONS, Unit::Count, "jobs whose tasks were stopped for another job, by reason");
    describe_counter!(MEMBERSHIP_CHANGES, Unit::Count, "generations formed, by what made them necessary");
    describe_histogram!(
        RECOVERY_DURATION,
        Unit::Seconds,
        "from the break of a group to the report of its next step, by cause"
    );
    describe_counter!(STALLS, Unit::Count, "groups that did not get on, by what was done about it");
    describe_counter!(STRAGGLERS, Unit::Count, "ranks that were slow for long, by what was done about it");
    describe_gauge!(
        STRAGGLER_SCORE,
        "own time of the slowest rank of a job for a step, over the median of its peers: 1 where it is like them"
    );
    describe_gauge!(
        CERTIFICATE_EXPIRY,
        Unit::Seconds,
        "when the certificate ends that the coordinator shows, since 1970"
    );
    describe_counter!(
        RELOAD_FAILURES,
        Unit::Count,
        "times that a file that had changed, or was gone, could not be used, by file"
    );
    describe_counter!(GOODPUT, Unit::Seconds, "time of slots in work that counted");
    describe_gauge!(
        GOODPUT_RATIO,
        "share of the time of slots that was in work that counted, since the coordinator has begun"
    );
    describe_counter!(BADPUT, Unit::Seconds, "time of slots that was not, by cause");
    describe_counter!(QUEUE_WAIT, Unit::Seconds, "time that jobs have waited, by reason");
    describe_counter!(RPC_STARTED, Unit::Count, "requests that came in, by method");
    describe_counter!(RPC_HANDLED, Unit::Count, "requests that are over, by method and by the code they ended with");
    describe_histogram!(RPC_DURATION, Unit::Seconds, "from a request to the end of its answer, by method");
    describe_gauge!(BUILD_INFO, "1, with the version as a label");
    for cause in Cause::ALL {
        counter!(TASKS_FAILED, "cause" => cause.word()).absolute(0);
    }
    for reason in EvictReason::ALL {
        counter!(EVICTIONS, "reason" => reason.word()).absolute(0);
    }
    for reason in FormReason::ALL {
        counter!(MEMBERSHIP_CHANGES, "reason" => reason.word()).absolute(0);
    }
    for verdict in [STUCK, RELEASED, GIVEN_UP] {
        counter!(STALLS, "verdict" => verdict).absolute(0);
    }
    for remedy in SlowRemedy::ALL {
        counter!(STRAGGLERS, "remedy" => remedy.word()).absolute(0);
    }
}

/// The method of a request, as metrics of gRPC servers name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rpc {
    /// `unary`, `client_stream`, `server_stream` or `bidi_stream`.
    pub(crate) kind: &'static str,
    pub(crate) service: &'static str,
    pub(crate) method: &'static str,
}

impl Rpc {
    fn labels(&self) -> [(&'static str, &'static str); 3] {
        [("grpc_type", self.kind), ("grpc_service", self.service), ("grpc_method", self.method)]
    }
}

/// Counts a request that has come in.
pub(crate) fn rpc_started(rpc: &Rpc) {
    counter!(RPC_STARTED, &rpc.labels()).increment(1);
}

/// Counts a request that is over, and how long it took.
pub(crate) fn rpc_handled(rpc: &Rpc, code: Code, took: Duration) {
    let [kind, service, method] = rpc.labels();
    counter!(RPC_HANDLED, &[kind, service, method, ("grpc_code", code_word(code))]).increment(1);
    histogram!(RPC_DURATION, &rpc.labels()).record(took.as_secs_f64());
}

/// As the servers of other languages write it.
fn code_word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// Shows when the certificate ends, in seconds since 1970.
pub(crate) fn certificate_expires(seconds: i64) {
    gauge!(CERTIFICATE_EXPIRY).set(seconds as f64);
}

/// Counts a file that can't be used any more.
pub(crate) fn reload_failed(what: &'static str) {
    counter!(RELOAD_FAILURES, "file" => what).increment(1);
}

/// Sets the gauges of everything there is.
pub(crate) fn observe(core: &Coordinator) {
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION"), "process" => "coordinator").set(1.0);
    for state in WorkerState::ALL {
        let count = core.known_workers().filter(|worker| worker.state == state).count();
        gauge!(WORKERS, "state" => state.word()).set(count as f64);
    }
    let slots = core.workers().flat_map(|worker| &worker.slots);
    let (free, busy): (Vec<_>, Vec<_>) = slots.partition(|slot| slot.task.is_none());
    gauge!(SLOTS, "state" => "free").set(free.len() as f64);
    gauge!(SLOTS, "state" => "busy").set(busy.len() as f64);
    // Those that are over are many, and counted already.
    let ends = core.ends();
    let mut counts = BTreeMap::from(JobState::WORDS.map(|state| (state, 0)));
    counts.extend([("succeeded", ends.succeeded), ("failed", ends.failed), ("cancelled", ends.cancelled)]);
    for job in core.open_pipelines().flat_map(|pipeline| &pipeline.jobs) {
        *counts.entry(job.state.word()).or_default() += 1;
    }
    for (state, count) in counts {
        gauge!(JOBS, "state" => state).set(f64::from(count));
    }
    observe_namespaces(core);
    observe_spent(core.spent());
}

/// Sets what time went to. Counters hold whole seconds; what is left over is in the next one.
fn observe_spent(spent: &Ledger) {
    for on in Use::ALL {
        let seconds = spent.of(on).as_secs();
        match on.word().strip_prefix("wait_") {
            Some(reason) => counter!(QUEUE_WAIT, "reason" => reason).absolute(seconds),
            None if on == Use::Productive => counter!(GOODPUT).absolute(seconds),
            None => counter!(BADPUT, "cause" => on.word()).absolute(seconds),
        }
    }
    gauge!(GOODPUT_RATIO).set(spent.goodput().unwrap_or(1.0));
}

/// Sets the gauges of every namespace.
fn observe_namespaces(core: &Coordinator) {
    for (name, usage) in core.usage() {
        let namespace = name.to_string();
        gauge!(NAMESPACE_PENDING, "namespace" => namespace.clone()).set(f64::from(usage.pending));
        let quota = core.namespace(&name).map(|namespace| namespace.limits.quota).unwrap_or_default();
        for kind in DeviceKind::ALL {
            let (used, borrowed) = (*usage.used.get(kind), *usage.borrowed.get(kind));
            for (right, slots) in [("own", used - borrowed), ("borrowed", borrowed)] {
                let labels =
                    [("namespace", namespace.clone()), ("kind", kind.to_string()), ("right", right.to_owned())];
                gauge!(NAMESPACE_SLOTS, &labels).set(f64::from(slots));
            }
            if let Some(slots) = quota.get(kind) {
                let labels = [("namespace", namespace.clone()), ("kind", kind.to_string())];
                gauge!(NAMESPACE_QUOTA, &labels).set(f64::from(*slots));
            }
        }
    }
}

/// Counts, and logs, what happened.
pub(crate) fn count(core: &Coordinator, fact: &Fact) {
    match fact {
        Fact::WorkerJoined(worker) => tracing::info!(%worker, "worker joined"),
        Fact::WorkerLost { worker, reason } => tracing::info!(%worker, reason, "worker lost"),
        Fact::WorkerDrained(worker) => tracing::info!(%worker, "worker drained"),
        Fact::WorkerUndrained { worker, lapsed } => tracing::info!(%worker, lapsed, "worker drained no longer"),
        Fact::JobStarted { job, attempt } => tracing::info!(%job, attempt, "job started"),
        Fact::TaskFailed { task, cause, message } => {
            tracing::info!(%task, %cause, message, "task failed");
            counter!(TASKS_FAILED, "cause" => cause.word()).increment(1);
        }
        Fact::GenerationFormed { job, generation, world_size, reason } => {
            tracing::info!(%job, %generation, world_size, "generation formed");
            counter!(MEMBERSHIP_CHANGES, "reason" => reason.word()).increment(1);
        }
        Fact::Recovered { job, reason, time } => {
            let seconds = time.as_secs_f64();
            tracing::info!(%job, reason = reason.word(), seconds, "recovered");
            histogram!(RECOVERY_DURATION, "cause" => reason.word()).record(seconds);
        }
        Fact::MemberReleased { task, by, grounds: Grounds { priority, own_priority, needed, held } } => {
            tracing::info!(%task, %by, priority, own_priority, needed, held, "task released for another job");
            counter!(EVICTIONS, "reason" => EvictReason::Released.word()).increment(1);
        }
        Fact::JobEvicted { job, by, reason, grounds: Grounds { priority, own_priority, needed, held } } => {
            let reason_word = reason.word();
            tracing::info!(%job, %by, reason = reason_word, priority, own_priority, needed, held, "job evicted");
            counter!(EVICTIONS, "reason" => reason.word()).increment(1);
        }
        Fact::Noticed { job, finding } => noticed(job, finding),
        Fact::Paced { job, score } => gauge!(STRAGGLER_SCORE, "job" => job.to_string()).set(*score),
        // Summed up by the core.
        Fact::Spent { .. } => {}
        Fact::Progressed(job) => progress(core, job),
        Fact::JobOver(job) => {
            tracing::info!(%job, "job over");
            gauge!(IMAGES_PER_SECOND, "job" => job.to_string()).set(0.0);
        }
    }
}

fn noticed(job: &JobId, finding: &Finding) {
    tracing::warn!(%job, "{finding}");
    match finding {
        Finding::Stuck { .. } => counter!(STALLS, "verdict" => STUCK).increment(1),
        Finding::Released { .. } => counter!(STALLS, "verdict" => RELEASED).increment(1),
        Finding::GivenUp { .. } => counter!(STALLS, "verdict" => GIVEN_UP).increment(1),
        Finding::Slow { remedy, .. } => counter!(STRAGGLERS, "remedy" => remedy.word()).increment(1),
    }
}

fn progress(core: &Coordinator, id: &JobId) {
    let Some(progress) = core.job(id).and_then(|job| job.progress.as_ref()) else { return };
    let job = id.to_string();
    gauge!(IMAGES_PER_SECOND, "job" => job.clone()).set(progress.images_per_second);
    if progress.step_seconds > 0.0 {
        histogram!(STEP_DURATION, "job" => job.clone()).record(progress.step_seconds);
    }
    if let Some(loss) = progress.loss {
        gauge!(LOSS, "job" => job).set(loss);
    }
}
