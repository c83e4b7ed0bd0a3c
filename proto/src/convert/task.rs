//! The talk between coordinator and agents.

use std::time::Duration;

use vismae_core::effect::{Command, Membership, Start};
use vismae_core::event::{Progress, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::ids::{Epoch, Generation, TaskId, WorkerId};
use vismae_core::pace::{Pace, RankPace};
use vismae_core::spec::{LABELS_MAX, Violations, label_fault};
use vismae_core::stall::{Phase, Stall};
use vismae_core::worker::{Arrival, HeldTask};

use super::fields::Fields;
use super::spec_in::finish;
use super::spec_out::job_to_wire;
use crate::v1;
use crate::v1::task_command::Command as WireCommand;
use crate::v1::task_event::Event as WireEvent;

/// The most bytes kept of a text that a task or an agent says, and the most figures: they are shown with every view of a pipeline.
const TEXT_MAX: usize = 4 << 10;
const FIGURES_MAX: usize = 100;
/// The most ranks that one can say it has not met.
const MISSING_MAX: usize = 1024;
/// The most ranks of which one can say what they took.
const RANKS_MAX: usize = 64 << 10;
/// The most slots one worker can offer.
const SLOTS_MAX: usize = 1024;

/// Reads what a worker offers.
///
/// # Errors
/// Every field that can't be read.
pub fn arrival_from_wire(wire: &v1::Hello) -> Result<Arrival, Violations> {
    let mut violations = Violations::default();
    let mut fields = Fields::new(&mut violations);
    let worker = fields.value("worker", WorkerId::new(&wire.worker));
    let devices: Vec<_> = wire.devices.iter().map(|device| fields.value("devices", device.parse())).collect();
    let devices: Option<Vec<_>> = devices.into_iter().collect();
    if wire.devices.len() > SLOTS_MAX {
        fields.refuse::<()>("devices", format!("has {} entries, expected at most {SLOTS_MAX}", wire.devices.len()));
    }
    if wire.tasks.len() > SLOTS_MAX {
        fields.refuse::<()>("tasks", format!("has {} entries, expected at most {SLOTS_MAX}", wire.tasks.len()));
    }
    if wire.labels.len() > LABELS_MAX {
        fields.refuse::<()>("labels", format!("has {} entries, expected at most {LABELS_MAX}", wire.labels.len()));
    }
    for fault in wire.labels.iter().filter_map(|(key, value)| label_fault(key, value)) {
        fields.refuse::<()>("labels", fault);
    }
    let held =
        |held: &v1::HeldTask| Some(HeldTask { task: fields.value("tasks", held.task.parse())?, slot: held.slot });
    let tasks: Option<Vec<_>> = wire.tasks.iter().take(SLOTS_MAX).map(held).collect();
    let read = worker.zip(devices).zip(tasks);
    finish(
        violations,
        read.map(|((worker, devices), tasks)| Arrival {
            worker,
            devices,
            host: cut(wire.host.clone()),
            version: cut(wire.version.clone()),
            tasks,
            labels: wire.labels.clone().into_iter().collect(),
        }),
    )
}

/// Reads what a task says, and which task it is.
///
/// # Errors
/// The first field that can't be read.
pub fn report_from_wire(wire: v1::TaskEvent) -> Result<(TaskId, TaskReport), Violations> {
    let task = wire.task.parse().map_err(|error| refusal("task.task", error))?;
    let report = match wire.event {
        None => return Err(refusal("task.event", "is missing")),
        Some(WireEvent::Ready(ready)) => {
            TaskReport::Ready { store_address: Some(ready.store_address).filter(|address| !address.is_empty()) }
        }
        Some(WireEvent::Progress(progress)) => TaskReport::Progress(read_progress(progress)),
        Some(WireEvent::Succeeded(succeeded)) => {
            TaskReport::Succeeded { figures: succeeded.figures.into_iter().take(FIGURES_MAX).map(bounded).collect() }
        }
        Some(WireEvent::Failed(failed)) => TaskReport::Failed { cause: cause(&failed)?, message: cut(failed.message) },
        Some(WireEvent::Stopped(v1::Stopped {})) => TaskReport::Stopped,
        Some(WireEvent::Pulse(_)) => return Err(refusal("task.pulse", "is for the agent only")),
        Some(WireEvent::Checkpointed(_)) => return Err(refusal("task.checkpointed", "is for the agent only")),
        Some(WireEvent::CheckpointFailed(_)) => {
            return Err(refusal("task.checkpoint_failed", "is for the agent only"));
        }
        Some(WireEvent::Silence(silence)) => TaskReport::Silence { over: silence.over },
        Some(WireEvent::Stalled(v1::Stalled { over: true, .. })) => TaskReport::GotOn,
        Some(WireEvent::Stalled(stalled)) => {
            TaskReport::Stalled { generation: Generation(stalled.generation), stall: stall(&stalled)? }
        }
        Some(WireEvent::Paced(paced)) => TaskReport::Paced(pace(&paced)?),
        Some(WireEvent::Parted(parted)) => {
            let missing = parted.missing.iter().take(MISSING_MAX).map(|task| task.parse());
            let missing = missing.collect::<Result<_, _>>();
            TaskReport::Parted {
                generation: Generation(parted.generation),
                missing: missing.map_err(|error| refusal("task.parted.missing", error))?,
                reason: cut(parted.reason),
            }
        }
    };
    Ok((task, report))
}

fn stall(wire: &v1::Stalled) -> Result<Stall, Violations> {
    let phase = match wire.phase() {
        v1::Phase::Data => Phase::Data,
        v1::Phase::Compute => Phase::Compute,
        v1::Phase::Collective => Phase::Collective,
        v1::Phase::Store => Phase::Store,
        v1::Phase::Unspecified => {
            return Err(refusal("task.stalled.phase", format!("is {}, expected a phase from 1 to 4", wire.phase)));
        }
    };
    let (time, bound) = (Duration::from_millis(wire.millis), Duration::from_millis(wire.bound_millis));
    Ok(Stall { phase, step: wire.step, collectives: wire.collectives, time, bound })
}

fn pace(wire: &v1::Paced) -> Result<Pace, Violations> {
    if wire.ranks.len() > RANKS_MAX {
        let message = format!("has {} entries, expected at most {RANKS_MAX}", wire.ranks.len());
        return Err(refusal("task.paced.ranks", message));
    }
    let rank = |rank: &v1::paced::RankPace| RankPace { own_seconds: rank.own_seconds, share: rank.share };
    let ranks = wire.ranks.iter().map(rank).collect();
    Ok(Pace { generation: Generation(wire.generation), step_seconds: wire.step_seconds, ranks })
}

fn bounded((name, value): (String, f64)) -> (String, f64) {
    (cut(name), value)
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    text
}

fn cause(failed: &v1::Failed) -> Result<Cause, Violations> {
    match failed.cause() {
        v1::Cause::Input => Ok(Cause::Input),
        v1::Cause::Environment => Ok(Cause::Environment),
        v1::Cause::Crash => Ok(Cause::Crash),
        v1::Cause::Unspecified => {
            Err(refusal("task.failed.cause", format!("is {}, expected a cause from 1 to 3", failed.cause)))
        }
    }
}

fn read_progress(wire: v1::Progress) -> Progress {
    Progress {
        phase: cut(wire.phase),
        done: wire.done,
        total: wire.total,
        epoch: Epoch(wire.epoch),
        loss: wire.loss,
        images_per_second: wire.images_per_second,
        step_seconds: wire.step_seconds,
    }
}

pub(super) fn write_progress(progress: &Progress) -> v1::Progress {
    v1::Progress {
        phase: progress.phase.clone(),
        done: progress.done,
        total: progress.total,
        loss: progress.loss,
        images_per_second: progress.images_per_second,
        step_seconds: progress.step_seconds,
        epoch: progress.epoch.0,
    }
}

/// Writes a command to a task.
pub fn command_to_wire(task: &TaskId, command: &Command) -> v1::TaskCommand {
    let command = match command {
        Command::Start(start) => WireCommand::Start(write_start(start)),
        Command::Membership(membership) => WireCommand::Membership(write_membership(membership)),
        Command::Stop { reason } => WireCommand::Stop(v1::StopTask { reason: reason.clone() }),
        Command::Settle => WireCommand::Settle(v1::SettleTask {}),
    };
    v1::TaskCommand { task: task.to_string(), command: Some(command) }
}

fn write_start(start: &Start) -> v1::StartTask {
    v1::StartTask {
        slot: start.slot,
        device: start.device.to_string(),
        store_url: start.store_url.clone(),
        gang_size: start.gang_size,
        job: Some(job_to_wire(&start.job)),
        run_number: u64::try_from(start.submitted.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

fn write_membership(membership: &Membership) -> v1::Membership {
    v1::Membership {
        generation: membership.generation.0,
        ranks: membership.ranks.iter().map(ToString::to_string).collect(),
        store_address: membership.store_address.clone().unwrap_or_default(),
        urgent: membership.urgent,
    }
}

fn refusal(field: &str, message: impl ToString) -> Violations {
    let mut violations = Violations::default();
    violations.add(field, message.to_string());
    violations
}
