//! Reading the log of a job, and following it until the job is over.

use futures::stream::{BoxStream, try_unfold};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch::Receiver;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::Status;
use vismae_core::ids::JobId;
use vismae_proto::status;
use vismae_proto::v1::LogLine;

use super::{Context, stopped};
use crate::logs::{Cursor, Place};

/// A reader that goes on until its job is over.
struct Follower {
    context: Context,
    job: JobId,
    cursor: Cursor,
    changes: Receiver<()>,
    _open: TaskTrackerToken,
}

/// Sends the lines behind a place, or all that are kept, and those that follow if asked.
pub(super) async fn stream(
    context: Context,
    job: JobId,
    follow: bool,
    from: Option<Place>,
) -> Result<BoxStream<'static, Result<LogLine, Status>>, Status> {
    let changes = context.handle.watch(job.pipeline.clone()).await.map_err(stopped)?;
    let (Some(mut cursor), Some(changes)) = (context.logs.read(&job, from), changes) else {
        return Err(unknown(&context, &job).await);
    };
    if !follow {
        let lines = context.logs.next_lines(&mut cursor);
        return Ok(stream::iter(lines).map(Ok).boxed());
    }
    let follower = Follower { _open: context.streams.token(), context, job, cursor, changes };
    let batches = try_unfold(Some(follower), |follower| async {
        match follower {
            Some(follower) => follower.next().await,
            None => Ok(None),
        }
    });
    Ok(batches.map_ok(|lines| stream::iter(lines).map(Ok)).try_flatten().boxed())
}

impl Follower {
    /// The next lines, and the follower unless they were the last.
    async fn next(mut self) -> Result<Option<(Vec<LogLine>, Option<Self>)>, Status> {
        loop {
            // Asked before the lines are taken: what a job wrote before it was over is not missed.
            let over = self.is_over().await?;
            let lines = self.context.logs.next_lines(&mut self.cursor);
            if over {
                return Ok(Some((lines, None)));
            }
            if !lines.is_empty() {
                return Ok(Some((lines, Some(self))));
            }
            tokio::select! {
                _ = self.cursor.more() => {}
                _ = self.changes.changed() => {}
                () = self.context.shutdown.cancelled() => return Err(status::shutting_down()),
            }
        }
    }

    /// A job that is no longer known is over.
    async fn is_over(&self) -> Result<bool, Status> {
        let job = self.job.clone();
        let over = self.context.handle.read(move |core| core.job(&job).is_none_or(|job| job.state.is_over()));
        over.await.map_err(stopped)
    }
}

/// NOT_FOUND that lists the jobs of the pipeline, or of all of them when there is no such pipeline.
async fn unknown(context: &Context, job: &JobId) -> Status {
    let pipeline = job.pipeline.clone();
    let known = context.handle.read(move |core| {
        let named = core.pipeline(&pipeline).into_iter().collect::<Vec<_>>();
        let pipelines = if named.is_empty() { core.pipelines().rev().collect() } else { named };
        pipelines.into_iter().flat_map(|pipeline| &pipeline.jobs).map(|job| job.id.clone()).collect::<Vec<_>>()
    });
    match known.await {
        Ok(known) => status::not_found("job", &job.to_string(), known),
        Err(gone) => stopped(gone),
    }
}
