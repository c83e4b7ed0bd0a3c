//! The state of a job.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use vismae_core::failure::{Cause, Failure};
use vismae_core::ids::{JobName, WorkerId};
use vismae_core::job::{Grounds, JobState, Ledger, Outcome, Stop, StopReason, Use};
use vismae_core::reason::Reason;
use vismae_proto::state::{self, job_record, over, stopping};

use super::gang::{read_gang, write_gang};
use super::{Fault, date, fault, moment, required, task_id};

pub(super) fn write(state: &JobState) -> job_record::State {
    match state {
        JobState::Waiting(reason) => job_record::State::Waiting(state::Waiting { backoff: backoff(reason) }),
        JobState::Running(gang) => job_record::State::Running(write_gang(gang)),
        JobState::Stopping { gang, why, since } => job_record::State::Stopping(state::Stopping {
            gang: Some(Box::new(write_gang(gang))),
            since: Some(date(*since)),
            ..write_why(why)
        }),
        JobState::Over { outcome, at } => job_record::State::Over(state::Over {
            at: Some(date(*at)),
            outcome: Some(match outcome {
                Outcome::Succeeded { figures } => over::Outcome::Succeeded(write_figures(figures)),
                Outcome::Failed(failure) => over::Outcome::Failed(write_failure(failure)),
                Outcome::Late { after } => over::Outcome::Late(wire_duration(*after)),
                Outcome::Cancelled => over::Outcome::Cancelled(state::Nothing {}),
                Outcome::Abandoned { because } => over::Outcome::Abandoned(because.to_string()),
            }),
        }),
    }
}

pub(super) fn read(state: job_record::State) -> Result<JobState, Fault> {
    Ok(match state {
        job_record::State::Waiting(state::Waiting { backoff: None }) => JobState::Waiting(Reason::Queued),
        job_record::State::Waiting(state::Waiting { backoff: Some(backoff) }) => JobState::Waiting(Reason::Backoff {
            until: moment(backoff.until)?,
            pause: duration(required(backoff.pause, "pause")?)?,
            left: backoff.left,
            failure: read_failure(required(backoff.failure, "failure")?)?,
        }),
        job_record::State::Running(gang) => JobState::Running(read_gang(gang)?),
        job_record::State::Stopping(stopping) => JobState::Stopping {
            gang: read_gang(*required(stopping.gang, "gang")?)?,
            since: moment(stopping.since)?,
            why: read_why(stopping.why, stopping.grounds)?,
        },
        job_record::State::Over(over) => JobState::Over {
            at: moment(over.at)?,
            outcome: match required(over.outcome, "outcome")? {
                over::Outcome::Succeeded(figures) => Outcome::Succeeded { figures: read_figures(figures) },
                over::Outcome::Failed(failure) => Outcome::Failed(read_failure(failure)?),
                over::Outcome::Late(after) => Outcome::Late { after: duration(after)? },
                over::Outcome::Cancelled(state::Nothing {}) => Outcome::Cancelled,
                over::Outcome::Abandoned(job) => Outcome::Abandoned { because: JobName::new(job).map_err(fault)? },
            },
        },
    })
}

/// Only why.
pub(super) fn write_why(why: &StopReason) -> state::Stopping {
    let (StopReason::Preempted { grounds, .. } | StopReason::Reclaimed { grounds, .. }) = why else {
        return state::Stopping { why: Some(write_cause(why)), ..state::Stopping::default() };
    };
    let wire = |grounds: &Grounds| {
        let Grounds { priority, own_priority, needed, held } = *grounds;
        state::Grounds { priority, own_priority, needed, held }
    };
    let grounds = grounds.as_ref().map(wire);
    state::Stopping { why: Some(write_cause(why)), grounds, ..state::Stopping::default() }
}

fn write_cause(why: &StopReason) -> stopping::Why {
    match why {
        StopReason::Failed(failure) => stopping::Why::Failed(write_failure(failure)),
        StopReason::WorkerLeaves(worker) => stopping::Why::WorkerLeaves(worker.to_string()),
        StopReason::Preempted { by, .. } => stopping::Why::Preempted(by.to_string()),
        StopReason::Reclaimed { by, .. } => stopping::Why::Reclaimed(by.to_string()),
        StopReason::Suspended => stopping::Why::Suspended(state::Nothing {}),
        StopReason::Late { after } => stopping::Why::Late(wire_duration(*after)),
        StopReason::Cancelled => stopping::Why::Cancelled(state::Nothing {}),
    }
}

pub(super) fn read_why(wire: Option<stopping::Why>, grounds: Option<state::Grounds>) -> Result<StopReason, Fault> {
    let grounds = grounds.map(|grounds| {
        let state::Grounds { priority, own_priority, needed, held } = grounds;
        Grounds { priority, own_priority, needed, held }
    });
    Ok(match required(wire, "why")? {
        stopping::Why::Failed(failure) => StopReason::Failed(read_failure(failure)?),
        stopping::Why::WorkerLeaves(worker) => StopReason::WorkerLeaves(WorkerId::new(worker).map_err(fault)?),
        stopping::Why::Preempted(by) => StopReason::Preempted { by: by.parse().map_err(fault)?, grounds },
        stopping::Why::Reclaimed(by) => StopReason::Reclaimed { by: by.parse().map_err(fault)?, grounds },
        stopping::Why::Suspended(state::Nothing {}) => StopReason::Suspended,
        stopping::Why::Late(after) => StopReason::Late { after: duration(after)? },
        stopping::Why::Cancelled(state::Nothing {}) => StopReason::Cancelled,
    })
}

pub(super) fn write_stop(stop: &Stop) -> state::Stop {
    state::Stop { attempt: stop.attempt, at: Some(date(stop.at)), why: Some(write_why(&stop.why)) }
}

pub(super) fn read_stop(wire: state::Stop) -> Result<Stop, Fault> {
    let why = required(wire.why, "why")?;
    let why = read_why(why.why, why.grounds)?;
    Ok(Stop { attempt: wire.attempt, at: moment(wire.at)?, why })
}

pub(super) fn write_ledger(ledger: &Ledger) -> HashMap<String, prost_types::Duration> {
    ledger.iter().map(|(on, time)| (on.word().to_owned(), wire_duration(time))).collect()
}

/// Time that went to what only a newer coordinator knows is left out: nothing depends on it.
pub(super) fn read_ledger(wire: HashMap<String, prost_types::Duration>) -> Result<Ledger, Fault> {
    let mut ledger = Ledger::default();
    for (word, time) in wire {
        if let Some(on) = Use::from_word(&word) {
            ledger.add(on, duration(time)?);
        }
    }
    Ok(ledger)
}

fn backoff(reason: &Reason) -> Option<state::Backoff> {
    let Reason::Backoff { until, pause, left, failure } = reason else { return None };
    Some(state::Backoff {
        until: Some(date(*until)),
        pause: Some(wire_duration(*pause)),
        left: *left,
        failure: Some(write_failure(failure)),
    })
}

/// A duration that is beyond the wire is as good as the longest there.
pub(super) fn wire_duration(duration: Duration) -> prost_types::Duration {
    let longest = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    prost_types::Duration::try_from(duration).unwrap_or(longest)
}

pub(super) fn duration(wire: prost_types::Duration) -> Result<Duration, Fault> {
    Duration::try_from(wire).map_err(fault)
}

pub(super) fn write_figures(figures: &BTreeMap<String, f64>) -> state::Figures {
    state::Figures { figures: figures.clone().into_iter().collect() }
}

pub(super) fn read_figures(wire: state::Figures) -> BTreeMap<String, f64> {
    wire.figures.into_iter().collect()
}

pub(super) fn write_failure(failure: &Failure) -> state::Failure {
    let cause = match failure.cause {
        Cause::Environment => state::Cause::Environment,
        Cause::WorkerLost => state::Cause::WorkerLost,
        Cause::Stalled => state::Cause::Stalled,
        Cause::Crash => state::Cause::Crash,
        Cause::Input => state::Cause::Input,
    };
    state::Failure { task: failure.task.to_string(), cause: cause.into(), message: failure.message.clone() }
}

pub(super) fn read_failure(wire: state::Failure) -> Result<Failure, Fault> {
    let cause = match wire.cause() {
        state::Cause::Environment => Cause::Environment,
        state::Cause::WorkerLost => Cause::WorkerLost,
        state::Cause::Stalled => Cause::Stalled,
        state::Cause::Crash => Cause::Crash,
        state::Cause::Input => Cause::Input,
        state::Cause::Unspecified => return Err(format!("cause {} is unknown", wire.cause)),
    };
    Ok(Failure { task: task_id(&wire.task)?, cause, message: wire.message })
}
