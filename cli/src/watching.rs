//! Following a pipeline to its end.

use tonic::Streaming;
use vismae_proto::v1::{Pipeline, State};

use crate::client::Coordinator;
use crate::failure::{Exit, Failure};
use crate::progress::Display;

/// A pipeline that is being followed.
#[derive(Debug)]
pub(crate) struct Watch {
    stream: Streaming<Pipeline>,
    coordinator: Coordinator,
    last: Option<Pipeline>,
}

impl Watch {
    /// Begins to follow a pipeline.
    pub(crate) async fn start(coordinator: &Coordinator, name: &str) -> Result<Self, Failure> {
        let mut coordinator = coordinator.clone();
        let stream = coordinator.watch(name).await?;
        Ok(Self { stream, coordinator, last: None })
    }

    /// Shows every change until the pipeline is over, and gives its last state.
    ///
    /// # Cancel safety
    /// No change is lost: a call after a cancelled one goes on where that stopped.
    pub(crate) async fn finish(&mut self, display: &mut Display) -> Result<Pipeline, Failure> {
        loop {
            match self.stream.message().await {
                Ok(Some(pipeline)) => {
                    display.update(&pipeline);
                    self.last = Some(pipeline);
                }
                Ok(None) => break,
                Err(status) => return Err(self.coordinator.explain(status)),
            }
        }
        let last = self.last.take().filter(is_over);
        last.ok_or_else(|| Failure::new(Exit::Unreachable, "the coordinator ended before the pipeline was over"))
    }
}

fn is_over(pipeline: &Pipeline) -> bool {
    matches!(pipeline.state(), State::Succeeded | State::Failed | State::Cancelled)
}

/// How a command ends that saw this end of a pipeline; its jobs have been shown.
pub(crate) fn verdict(pipeline: &Pipeline) -> Result<(), Failure> {
    match pipeline.state() {
        State::Succeeded => Ok(()),
        State::Cancelled => Err(Failure::silent(Exit::Interrupted)),
        _ => {
            let failed = pipeline.jobs.iter().find(|job| job.state() == State::Failed);
            Err(match failed {
                Some(job) => Failure::new(Exit::WorkFailed, format!("job `{}` failed: {}", job.name, job.reason)),
                None => Failure::new(Exit::WorkFailed, format!("pipeline `{}` failed", pipeline.name)),
            })
        }
    }
}
