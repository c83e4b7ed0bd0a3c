//! Following a pipeline to its end.

use tonic::Streaming;
use vismae_proto::v1::{Pipeline, State};

use crate::client::Coordinator;
use crate::failure::{Exit, Failure};
use crate::progress::Display;
use crate::reconnect::Tries;

/// A pipeline that is being followed.
#[derive(Debug)]
pub(crate) struct Watch {
    coordinator: Coordinator,
    name: String,
    /// None after the connection broke.
    stream: Option<Streaming<Pipeline>>,
    tries: Tries,
    last: Option<Pipeline>,
}

impl Watch {
    /// Begins to follow a pipeline.
    pub(crate) async fn start(coordinator: &Coordinator, name: &str) -> Result<Self, Failure> {
        let mut coordinator = coordinator.clone();
        let stream = Some(coordinator.watch(name, "").await?);
        Ok(Self { coordinator, name: name.to_owned(), stream, tries: Tries::default(), last: None })
    }

    /// Shows every change until the pipeline is over, and gives its last state. A connection that breaks is made again.
    ///
    /// # Cancel safety
    /// No change is lost: a call after a cancelled one goes on where that stopped.
    pub(crate) async fn finish(&mut self, display: &mut Display) -> Result<Pipeline, Failure> {
        loop {
            match self.next().await {
                Ok(Some(pipeline)) => {
                    self.tries.heard();
                    display.update(&pipeline);
                    self.last = Some(pipeline);
                }
                Ok(None) => break,
                Err(failure) => {
                    self.stream = None;
                    self.tries.after(failure, |text| display.say(text)).await?;
                }
            }
        }
        let last = self.last.take().filter(is_over);
        last.ok_or_else(|| Failure::new(Exit::Unreachable, "the coordinator ended before the pipeline was over"))
    }

    /// The next change, on a stream that goes on behind the last one.
    async fn next(&mut self) -> Result<Option<Pipeline>, Failure> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let seen = self.last.as_ref().map_or("", |last| last.cursor.as_str());
                self.stream.insert(self.coordinator.watch(&self.name, seen).await?)
            }
        };
        stream.message().await.map_err(|status| self.coordinator.explain(status))
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
