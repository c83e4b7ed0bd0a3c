//! Taking up a checkpoint: the latest that is whole, whatever number of ranks made it.

use std::collections::BTreeMap;

use bytes::Bytes;
use safetensors::SafeTensors;
use tch::{Kind, Tensor};
use vismae_core::spec::PretrainSpec;
use vismae_shards::runs::{Checkpoint, CommittedFile, Ledger, committed, read_steps};

use super::super::TaskContext;
use super::super::error::TaskError;
use super::super::replica::Replica;
use super::{configuration, share};

/// Why a checkpoint was not taken up.
enum Refusal {
    /// It is damaged, or of something else.
    Damaged(String),
    /// The store can't be read now, or no checkpoint of this run can be taken up.
    Final(TaskError),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Damaged(reason)
    }
}

/// Puts the latest checkpoint that is whole into a replica that has not come to anything yet. Those that are damaged are passed
/// over, which is said. A run that has kept some begins anew only where it is told to: where none of them is whole, that is an error.
pub(in super::super) fn restore(
    context: &TaskContext,
    spec: &PretrainSpec,
    ledger: &mut Ledger,
    replica: &mut Replica,
) -> Result<(), TaskError> {
    // Others may have gone on since this task has read it.
    context.runtime.block_on(ledger.catch_up()).map_err(|error| TaskError::environment_from(&error))?;
    let mut damages = Vec::new();
    for kept in committed(ledger).into_iter().rev() {
        let checkpoint = kept.checkpoint;
        let (step, folder) = (checkpoint.step, checkpoint.folder.clone());
        match take_up(context, spec, replica, &checkpoint) {
            Ok(()) => {
                tracing::info!(step, folder, "goes on from a checkpoint");
                return Ok(());
            }
            Err(Refusal::Damaged(reason)) => {
                tracing::warn!(step, folder, reason, "checkpoint is passed over: it is not what was committed");
                damages.push(format!("of step {step}, {reason}"));
            }
            Err(Refusal::Final(error)) => return Err(error),
        }
    }
    if damages.is_empty() { Ok(()) } else { Err(nothing_whole(context, &damages)) }
}

/// Another attempt may read better, or on another node: it is an error of the environment, which is tried again some times.
fn nothing_whole(context: &TaskContext, damages: &[String]) -> TaskError {
    let (job, store, count) = (&context.id.job, context.store.url(), damages.len());
    let which = if count == 1 { "its only checkpoint is".to_owned() } else { format!("all {count} checkpoints are") };
    TaskError::environment(format!(
        "{which} damaged ({}), and training does not begin anew by itself: while the pipeline is suspended, bring their files back, or give \
         up what it had come to with `vismae checkpoints gc {job} --damaged --store {store}`; submitted again, it begins anew too",
        damages.join("; ")
    ))
}

/// Reads and checks everything before anything of the replica changes.
fn take_up(
    context: &TaskContext,
    spec: &PretrainSpec,
    replica: &mut Replica,
    checkpoint: &Checkpoint,
) -> Result<(), Refusal> {
    if checkpoint.configuration != configuration(spec) {
        return Err(Refusal::Final(TaskError::input(format!(
            "`{}` was made by another version of vismae, or for another network or optimiser: go on with the version that began the run, \
             or submit it as a new pipeline",
            checkpoint.folder
        ))));
    }
    let rows = read_steps(&read(context, &checkpoint.steps)?).map_err(|error| error.to_string())?;
    if rows.len() as u64 != checkpoint.step {
        return Err(Refusal::Damaged(format!("it records {} of {} steps", rows.len(), checkpoint.step)));
    }
    let parts = checkpoint.parts.iter().map(|part| read(context, part)).collect::<Result<Vec<_>, _>>()?;
    let mut found = BTreeMap::new();
    for (part, bytes) in checkpoint.parts.iter().zip(&parts) {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| format!("`{}`: {error}", part.path))?;
        found.extend(tensors.tensors());
    }
    let state = replica.state();
    let mut values = Vec::with_capacity(state.len());
    for (name, tensor) in &state {
        let view = found.remove(name).ok_or_else(|| format!("it lacks tensor `{name}`"))?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let kind = tensor.kind();
        if shape != tensor.size() || Some(view.dtype()) != share::dtype(kind) {
            let (found, expected) = (view.dtype(), tensor.size());
            return Err(Refusal::Damaged(format!(
                "tensor `{name}` is {shape:?} of {found:?}, expected {expected:?} of {kind:?}"
            )));
        }
        values.push(value(view.data(), &shape, kind)?);
    }
    if let Some(stray) = found.keys().next() {
        return Err(Refusal::Damaged(format!("it has a tensor `{stray}` that the network has not")));
    }
    for ((_, tensor), value) in state.into_iter().zip(&values) {
        let mut tensor = tensor;
        tch::no_grad(|| tensor.copy_(value));
    }
    replica.adopt(rows);
    Ok(())
}

/// A tensor of these bytes.
fn value(bytes: &[u8], shape: &[i64], kind: Kind) -> Result<Tensor, String> {
    // The constructor copies as many bytes as the shape asks for, whatever there are.
    let needed = shape.iter().product::<i64>() as usize * kind.elt_size_in_bytes();
    if bytes.len() != needed {
        return Err(format!("a tensor of {shape:?} has {} bytes, expected {needed}", bytes.len()));
    }
    Tensor::f_from_data_size(bytes, shape, kind).map_err(|error| error.to_string())
}

/// Reads a file that was committed.
fn read(context: &TaskContext, file: &CommittedFile) -> Result<Bytes, Refusal> {
    match context.runtime.block_on(file.read(&context.store)) {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(damage)) => Err(Refusal::Damaged(damage.to_string())),
        Err(error) => Err(Refusal::Final(TaskError::environment_from(&error))),
    }
}
