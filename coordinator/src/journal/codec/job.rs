//! The state of a job.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use vismae_core::device::Device;
use vismae_core::failure::{Cause, Failure};
use vismae_core::gang::{End, Gang, Member, MemberState, Spent};
use vismae_core::ids::{Generation, JobName, SlotId, WorkerId};
use vismae_core::job::{JobState, Ledger, Outcome, Stop, StopReason, Use};
use vismae_core::reason::Reason;
use vismae_core::spec::Demand;
use vismae_proto::state::{self, job_record, over, stopping};

use super::{Fault, date, fault, moment, required, task_id};

pub(super) fn write(state: &JobState) -> job_record::State {
    match state {
        JobState::Waiting(reason) => job_record::State::Waiting(state::Waiting { backoff: backoff(reason) }),
        JobState::Running(gang) => job_record::State::Running(write_gang(gang)),
        JobState::Stopping { gang, why, since } => job_record::State::Stopping(state::Stopping {
            gang: Some(write_gang(gang)),
            since: Some(date(*since)),
            why: Some(write_why(why)),
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
            gang: read_gang(required(stopping.gang, "gang")?)?,
            since: moment(stopping.since)?,
            why: read_why(stopping.why)?,
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

fn write_why(why: &StopReason) -> stopping::Why {
    match why {
        StopReason::Failed(failure) => stopping::Why::Failed(write_failure(failure)),
        StopReason::WorkerLeaves(worker) => stopping::Why::WorkerLeaves(worker.to_string()),
        StopReason::Preempted { by } => stopping::Why::Preempted(by.to_string()),
        StopReason::Reclaimed { by } => stopping::Why::Reclaimed(by.to_string()),
        StopReason::Suspended => stopping::Why::Suspended(state::Nothing {}),
        StopReason::Late { after } => stopping::Why::Late(wire_duration(*after)),
        StopReason::Cancelled => stopping::Why::Cancelled(state::Nothing {}),
    }
}

fn read_why(wire: Option<stopping::Why>) -> Result<StopReason, Fault> {
    Ok(match required(wire, "why")? {
        stopping::Why::Failed(failure) => StopReason::Failed(read_failure(failure)?),
        stopping::Why::WorkerLeaves(worker) => StopReason::WorkerLeaves(WorkerId::new(worker).map_err(fault)?),
        stopping::Why::Preempted(by) => StopReason::Preempted { by: by.parse().map_err(fault)? },
        stopping::Why::Reclaimed(by) => StopReason::Reclaimed { by: by.parse().map_err(fault)? },
        stopping::Why::Suspended(state::Nothing {}) => StopReason::Suspended,
        stopping::Why::Late(after) => StopReason::Late { after: duration(after)? },
        stopping::Why::Cancelled(state::Nothing {}) => StopReason::Cancelled,
    })
}

pub(super) fn write_stop(stop: &Stop) -> state::Stop {
    let why = state::Stopping { why: Some(write_why(&stop.why)), ..state::Stopping::default() };
    state::Stop { attempt: stop.attempt, at: Some(date(stop.at)), why: Some(why) }
}

pub(super) fn read_stop(wire: state::Stop) -> Result<Stop, Fault> {
    let why = read_why(required(wire.why, "why")?.why)?;
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
fn wire_duration(duration: Duration) -> prost_types::Duration {
    let longest = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    prost_types::Duration::try_from(duration).unwrap_or(longest)
}

fn duration(wire: prost_types::Duration) -> Result<Duration, Fault> {
    Duration::try_from(wire).map_err(fault)
}

fn write_gang(gang: &Gang) -> state::Gang {
    state::Gang {
        attempt: gang.attempt,
        place_time: Some(date(gang.placed)),
        demand: Some(match gang.demand {
            Demand::Group { at_most, .. } => state::gang::Demand::Group(at_most),
            Demand::Crew { at_most } => state::gang::Demand::Crew(at_most),
        }),
        members: gang.members.iter().map(write_member).collect(),
        generation: gang.generation.map(|generation| generation.0),
        seat_time: Some(date(gang.seated)),
        begin_time: gang.began.map(date),
        starting: Some(wire_duration(gang.spent.starting)),
        working: Some(wire_duration(gang.spent.working)),
    }
}

fn read_gang(wire: state::Gang) -> Result<Gang, Fault> {
    let placed = moment(wire.place_time)?;
    let time = |wire: Option<prost_types::Duration>| wire.map_or(Ok(Duration::ZERO), duration);
    Ok(Gang {
        attempt: wire.attempt,
        placed,
        seated: wire.seat_time.map_or(Ok(placed), |time| moment(Some(time)))?,
        began: wire.begin_time.map(|time| moment(Some(time))).transpose()?,
        spent: Spent { starting: time(wire.starting)?, working: time(wire.working)? },
        demand: match required(wire.demand, "demand")? {
            state::gang::Demand::Group(size) => Demand::group(size),
            state::gang::Demand::Crew(at_most) => Demand::Crew { at_most },
        },
        members: wire.members.into_iter().map(read_member).collect::<Result<_, _>>()?,
        generation: wire.generation.map(Generation),
    })
}

fn write_member(member: &Member) -> state::Member {
    use state::member::State;
    state::Member {
        worker: member.slot.worker.to_string(),
        slot: member.slot.index,
        device: member.device.to_string(),
        state: Some(match &member.state {
            MemberState::Starting => State::Starting(state::Nothing {}),
            MemberState::Ready { store_address } => State::Ready(state::Ready { store_address: store_address.clone() }),
            MemberState::Over(End::Succeeded(figures)) => State::Succeeded(write_figures(figures)),
            MemberState::Over(End::Failed(failure)) => State::Failed(write_failure(failure)),
            MemberState::Over(End::Stopped) => State::Stopped(state::Nothing {}),
        }),
    }
}

fn read_member(wire: state::Member) -> Result<Member, Fault> {
    use state::member::State;
    Ok(Member {
        slot: SlotId { worker: WorkerId::new(wire.worker).map_err(fault)?, index: wire.slot },
        device: match wire.device.as_str() {
            "" => Device::Cpu,
            device => device.parse().map_err(fault)?,
        },
        state: match required(wire.state, "member state")? {
            State::Starting(state::Nothing {}) => MemberState::Starting,
            State::Ready(ready) => MemberState::Ready { store_address: ready.store_address },
            State::Succeeded(figures) => MemberState::Over(End::Succeeded(read_figures(figures))),
            State::Failed(failure) => MemberState::Over(End::Failed(read_failure(failure)?)),
            State::Stopped(state::Nothing {}) => MemberState::Over(End::Stopped),
        },
    })
}

fn write_figures(figures: &BTreeMap<String, f64>) -> state::Figures {
    state::Figures { figures: figures.clone().into_iter().collect() }
}

fn read_figures(wire: state::Figures) -> BTreeMap<String, f64> {
    wire.figures.into_iter().collect()
}

fn write_failure(failure: &Failure) -> state::Failure {
    let cause = match failure.cause {
        Cause::Environment => state::Cause::Environment,
        Cause::WorkerLost => state::Cause::WorkerLost,
        Cause::Crash => state::Cause::Crash,
        Cause::Input => state::Cause::Input,
    };
    state::Failure { task: failure.task.to_string(), cause: cause.into(), message: failure.message.clone() }
}

fn read_failure(wire: state::Failure) -> Result<Failure, Fault> {
    let cause = match wire.cause() {
        state::Cause::Environment => Cause::Environment,
        state::Cause::WorkerLost => Cause::WorkerLost,
        state::Cause::Crash => Cause::Crash,
        state::Cause::Input => Cause::Input,
        state::Cause::Unspecified => return Err(format!("cause {} is unknown", wire.cause)),
    };
    Ok(Failure { task: task_id(&wire.task)?, cause, message: wire.message })
}
