//! A checkpoint by one rank, which has everything: its group is gone, and it is told to stop.

use vismae_core::spec::PretrainSpec;
use vismae_shards::runs::{Checkpoint, Entry, Ledger, LedgerError, RunPaths, committed};
use vismae_shards::store::PutOutcome;

use super::super::TaskContext;
use super::super::error::TaskError;
use super::super::replica::Replica;
use super::share::Share;
use super::{configuration, loss_before, put, table};

/// Keeps what a replica has come to, unless it is nothing, or is kept already, or another rank is about to: of a gang that waits in vain for
/// others, all are stopped at once. Gives the step that was kept.
pub(in super::super) fn park_alone(
    context: &TaskContext,
    spec: &PretrainSpec,
    mut ledger: Ledger,
    replica: &Replica,
) -> Result<Option<u64>, TaskError> {
    let (Some(generation), step) = (replica.last_generation(), replica.step()) else { return Ok(None) };
    let paths = RunPaths::new(&context.id.job.to_string());
    let folder = paths.checkpoint(context.run, step, generation);
    let loss = loss_before(replica.rows(), step, spec.checkpoints.every);
    let (store, task) = (&context.store, context.id.to_string());
    context.runtime.block_on(async {
        let failed = |error: LedgerError| TaskError::environment_from(&error);
        ledger.catch_up().await.map_err(failed)?;
        let is_kept =
            committed(&ledger).iter().any(|kept| kept.generation >= generation && kept.checkpoint.step >= step);
        if is_kept || matches!(ledger.confirm(generation).await, Err(LedgerError::Fenced { .. })) {
            return Ok(None);
        }
        let claim = store.put_if_absent(&format!("{folder}/claim"), task.clone().into_bytes()).await;
        if claim.map_err(|error| TaskError::environment_from(&error))? == PutOutcome::AlreadyExists {
            return Ok(None);
        }
        // Names of its own: a rank of the group may still be writing its share here.
        let share = Share::copy(&replica.state(), 0, 1)?.into_bytes().await?;
        let part = put(store, format!("{folder}/alone.safetensors"), share).await?;
        let steps = put(store, format!("{folder}/alone-steps.csv"), table(replica.rows())?).await?;
        let configuration = configuration(spec);
        let checkpoint = Checkpoint { step, configuration, loss, folder, parts: vec![part], steps };
        match ledger.append(generation, &task, Entry::Checkpoint(checkpoint)).await {
            Ok(()) => Ok(Some(step)),
            Err(LedgerError::Fenced { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    })
}
