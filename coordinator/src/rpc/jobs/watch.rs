//! Watching a pipeline until it is over.

use futures::StreamExt;
use futures::stream::{BoxStream, try_unfold};
use tokio::sync::watch::Receiver;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::Status;
use vismae_core::ids::PipelineId;
use vismae_proto::status;
use vismae_proto::v1::Pipeline;

use super::{Context, show, stopped, unknown};
use crate::access::Caller;

/// A watcher and what it has seen.
struct Watcher {
    context: Context,
    caller: Caller,
    pipeline: PipelineId,
    changes: Receiver<()>,
    /// The cursor of what the client has seen last.
    seen: String,
    _open: TaskTrackerToken,
}

/// Sends the pipeline whenever it is not as it was seen last. Changes between two reads of the client come as one.
pub(super) async fn stream(
    context: Context,
    caller: Caller,
    pipeline: PipelineId,
    seen: String,
) -> Result<BoxStream<'static, Result<Pipeline, Status>>, Status> {
    let Some(mut changes) = context.handle.watch(pipeline.clone()).await.map_err(stopped)? else {
        return Err(unknown(&context, &caller, &pipeline).await);
    };
    changes.mark_changed();
    let watcher = Watcher { _open: context.streams.token(), context, caller, pipeline, changes, seen };
    Ok(try_unfold(Some(watcher), |watcher| async {
        match watcher {
            Some(watcher) => watcher.next().await,
            None => Ok(None),
        }
    })
    .boxed())
}

impl Watcher {
    /// The next view, and the watcher unless it was the last one.
    async fn next(mut self) -> Result<Option<(Pipeline, Option<Self>)>, Status> {
        loop {
            let changed = tokio::select! {
                changed = self.changes.changed() => changed,
                () = self.context.shutdown.cancelled() => return Err(status::shutting_down()),
            };
            if changed.is_err() {
                return Ok(None);
            }
            let view = show(&self.context, &self.caller, self.pipeline.clone()).await?;
            let over = view.end_time.is_some();
            if view.cursor != self.seen {
                self.seen.clone_from(&view.cursor);
                return Ok(Some((view, (!over).then_some(self))));
            }
            if over {
                return Ok(None);
            }
        }
    }
}
