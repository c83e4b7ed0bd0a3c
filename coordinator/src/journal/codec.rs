//! Records as bytes, and back: the only place that knows both the core's state and its form on disk.

mod gang;
mod job;
mod namespace;

use std::fmt::Display;
use std::time::Duration;

use prost::Message;
use prost_types::Timestamp;
use vismae_core::effect::{Membership, Record};
use vismae_core::event::RequestId;
use vismae_core::ids::{Generation, JobId, NamespaceName, PipelineId, TaskId, WorkerId};
use vismae_core::time::MonoTime;
use vismae_proto::{convert, state};

/// Why a kept record can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record `{key}` can't be read: {fault}")]
pub struct CorruptRecord {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub fault: String,
}

/// Where a record is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Pipeline(PipelineId),
    Cancelled(PipelineId),
    Suspended(PipelineId),
    Job(JobId),
    Generation(JobId),
    Namespace(NamespaceName),
    Drained(WorkerId),
}

/// What a record does to what is kept.
pub(super) enum Change {
    /// The latest of its key.
    Put(Key, Vec<u8>),
    /// Nothing of its key.
    Delete(Key),
    /// Nothing of a pipeline is kept any more.
    Forget(PipelineId),
}

impl Key {
    /// As bytes. Names hold no `/` and no `.`, so no key is the beginning of another pipeline's.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Pipeline(pipeline) => format!("pipeline/{pipeline}"),
            Self::Cancelled(pipeline) => format!("cancelled/{pipeline}"),
            Self::Suspended(pipeline) => format!("suspended/{pipeline}"),
            Self::Job(job) => format!("job/{job}"),
            Self::Generation(job) => format!("generation/{job}"),
            Self::Namespace(namespace) => format!("namespace/{namespace}"),
            Self::Drained(worker) => format!("drained/{worker}"),
        }
    }

    /// The pipeline that it is a part of, if it is.
    pub(super) fn pipeline(&self) -> Option<&PipelineId> {
        match self {
            Self::Pipeline(pipeline) | Self::Cancelled(pipeline) | Self::Suspended(pipeline) => Some(pipeline),
            Self::Job(job) | Self::Generation(job) => Some(&job.pipeline),
            Self::Namespace(_) | Self::Drained(_) => None,
        }
    }

    pub(super) fn parse(path: &str) -> Result<Self, CorruptRecord> {
        let corrupt = |fault: &dyn Display| CorruptRecord { key: path.to_owned(), fault: fault.to_string() };
        let (kind, name) = path.split_once('/').ok_or_else(|| corrupt(&"its key has no kind"))?;
        let pipeline = || PipelineId::new(name).map_err(|error| corrupt(&error));
        let job = || name.parse().map_err(|error| corrupt(&error));
        match kind {
            "pipeline" => pipeline().map(Self::Pipeline),
            "cancelled" => pipeline().map(Self::Cancelled),
            "suspended" => pipeline().map(Self::Suspended),
            "job" => job().map(Self::Job),
            "generation" => job().map(Self::Generation),
            "namespace" => NamespaceName::new(name).map(Self::Namespace).map_err(|error| corrupt(&error)),
            "drained" => WorkerId::new(name).map(Self::Drained).map_err(|error| corrupt(&error)),
            _ => Err(corrupt(&"its kind is unknown: it was kept by a newer coordinator")),
        }
    }
}

/// What is written for a record.
pub(super) fn encode(record: &Record) -> Change {
    match record {
        Record::Pipeline { spec, request, number, created } => {
            let record = state::PipelineRecord {
                spec: Some(convert::pipeline_to_wire(spec)),
                request: request.map(|request| request.0.to_be_bytes().to_vec()),
                number: *number,
                create_time: Some(date(*created)),
            };
            Change::Put(Key::Pipeline(spec.name.clone()), record.encode_to_vec())
        }
        Record::Cancelled { pipeline } => {
            Change::Put(Key::Cancelled(pipeline.clone()), state::CancelledRecord {}.encode_to_vec())
        }
        Record::Suspended { pipeline, suspended } => {
            let record = state::SuspendedRecord { suspended: *suspended };
            Change::Put(Key::Suspended(pipeline.clone()), record.encode_to_vec())
        }
        Record::Job { job, attempts, failures, fruitless, generation, started, since, ledger, stops, state } => {
            let record = state::JobRecord {
                attempts: *attempts,
                failures: *failures,
                fruitless: *fruitless,
                generation: generation.0,
                start_time: started.map(date),
                since_time: since.map(date),
                ledger: job::write_ledger(ledger),
                stops: stops.iter().map(job::write_stop).collect(),
                state: Some(job::write(state)),
            };
            Change::Put(Key::Job(job.clone()), record.encode_to_vec())
        }
        Record::Generation { job, membership } => {
            let record = state::GenerationRecord {
                generation: membership.generation.0,
                ranks: membership.ranks.iter().map(ToString::to_string).collect(),
                store_address: membership.store_address.clone(),
                urgent: membership.urgent,
            };
            Change::Put(Key::Generation(job.clone()), record.encode_to_vec())
        }
        Record::Namespace(namespace) => {
            Change::Put(Key::Namespace(namespace.name.clone()), namespace::write(namespace).encode_to_vec())
        }
        Record::NamespaceDeleted { namespace } => Change::Delete(Key::Namespace(namespace.clone())),
        Record::Drained { worker, until } => {
            let record = state::DrainedRecord { forget_time: Some(date(*until)) };
            Change::Put(Key::Drained(worker.clone()), record.encode_to_vec())
        }
        Record::Undrained { worker } => Change::Delete(Key::Drained(worker.clone())),
        Record::Forgotten { pipeline } => Change::Forget(pipeline.clone()),
    }
}

/// The record that was written under a key.
pub(super) fn decode(key: Key, bytes: &[u8]) -> Result<Record, CorruptRecord> {
    let path = key.path();
    read(key, bytes).map_err(|fault| CorruptRecord { key: path, fault })
}

/// What is wrong with a record.
type Fault = String;

fn read(key: Key, bytes: &[u8]) -> Result<Record, Fault> {
    Ok(match key {
        Key::Pipeline(_) => {
            let record: state::PipelineRecord = message(bytes)?;
            let spec = required(record.spec, "spec")?;
            let request = record.request.map(|request| request.try_into().map(u128::from_be_bytes));
            Record::Pipeline {
                spec: convert::pipeline_from_wire(&spec).map_err(fault)?,
                request: request.transpose().map_err(|_| "its request has not 16 bytes")?.map(RequestId),
                number: record.number,
                created: moment(record.create_time)?,
            }
        }
        Key::Cancelled(pipeline) => Record::Cancelled { pipeline },
        Key::Suspended(pipeline) => {
            let record: state::SuspendedRecord = message(bytes)?;
            Record::Suspended { pipeline, suspended: record.suspended }
        }
        Key::Job(job) => {
            let record: state::JobRecord = message(bytes)?;
            Record::Job {
                attempts: record.attempts,
                failures: record.failures,
                fruitless: record.fruitless,
                generation: Generation(record.generation),
                started: record.start_time.map(|time| moment(Some(time))).transpose()?,
                since: record.since_time.map(|time| moment(Some(time))).transpose()?,
                ledger: job::read_ledger(record.ledger)?,
                stops: record.stops.into_iter().map(job::read_stop).collect::<Result<_, _>>()?,
                state: job::read(required(record.state, "state")?)?,
                job,
            }
        }
        Key::Generation(job) => {
            let record: state::GenerationRecord = message(bytes)?;
            let membership = Membership {
                generation: Generation(record.generation),
                ranks: record.ranks.iter().map(|task| task_id(task)).collect::<Result<_, _>>()?,
                store_address: record.store_address,
                urgent: record.urgent,
            };
            Record::Generation { job, membership }
        }
        Key::Namespace(name) => Record::Namespace(namespace::read(name, message(bytes)?)),
        Key::Drained(worker) => {
            let record: state::DrainedRecord = message(bytes)?;
            Record::Drained { worker, until: moment(record.forget_time)? }
        }
    })
}

fn message<M: Message + Default>(bytes: &[u8]) -> Result<M, Fault> {
    M::decode(bytes).map_err(fault)
}

fn required<T>(field: Option<T>, name: &str) -> Result<T, Fault> {
    field.ok_or_else(|| format!("`{name}` is missing"))
}

fn task_id(text: &str) -> Result<TaskId, Fault> {
    text.parse().map_err(fault)
}

fn fault(error: impl Display) -> Fault {
    error.to_string()
}

/// Moments count from the beginning of 1970, as dates do.
fn date(moment: MonoTime) -> Timestamp {
    let since = moment.elapsed();
    Timestamp { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() as i32 }
}

fn moment(date: Option<Timestamp>) -> Result<MonoTime, Fault> {
    let Timestamp { seconds, nanos } = required(date, "time")?;
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Ok(MonoTime::since_origin(Duration::new(seconds, nanos))),
        _ => Err(format!("{seconds} s and {nanos} ns is no date")),
    }
}

#[cfg(test)]
mod tests;
