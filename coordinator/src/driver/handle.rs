//! How the rest of the program talks to the driver.

use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot, watch};
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::{JoinError, NamespaceError, PipelineError, SubmitError, WorkerError};
use vismae_core::event::{Event, RequestId};
use vismae_core::ids::PipelineId;
use vismae_core::namespace::Namespace;
use vismae_core::spec::PipelineSpec;
use vismae_core::time::MonoTime;
use vismae_core::worker::{Arrival, Lease};

use super::{Reply, Request};
use crate::clock::Clock;
use crate::links::Link;

/// The driver has ended, and the coordinator with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator has stopped")]
pub(crate) struct Stopped;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError<E> {
    /// The core refused it.
    #[error("{0}")]
    Refused(E),
    /// There is no core any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why nothing was done to a pipeline or a worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDone<E> {
    /// The core refused.
    #[error("{0}")]
    Core(E),
    /// It does not look as it was to.
    #[error("it has changed")]
    Changed,
}

/// A way to the driver; clones lead to the same one. No method loses anything when its future is dropped: a request that
/// was sent is carried out, and only its answer is lost.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    requests: mpsc::Sender<Request>,
    clock: Clock,
}

impl Handle {
    pub(super) fn new(requests: mpsc::Sender<Request>, clock: Clock) -> Self {
        Self { requests, clock }
    }

    /// Queues a pipeline; the answer is the name it got.
    ///
    /// # Errors
    /// Every rule that the specification breaks, or the queue that is full.
    pub(crate) async fn submit(
        &self,
        spec: PipelineSpec,
        request: Option<RequestId>,
    ) -> Result<PipelineId, CallError<SubmitError>> {
        self.call(Event::SubmitPipeline { spec, request }, Reply::Submit).await
    }

    /// Cancels, suspends or resumes a pipeline, if the core looks as it must at that moment. The closure runs on the driver's task.
    ///
    /// # Errors
    /// When there is no such pipeline, or it is over, or it looks otherwise.
    pub(crate) async fn act(
        &self,
        event: Event,
        only_if: impl FnOnce(&Coordinator) -> bool + Send + 'static,
    ) -> Result<(), CallError<NotDone<PipelineError>>> {
        self.call_if(event, only_if, Reply::Pipeline).await
    }

    /// Drains a worker or lets it work again, as [`Handle::act`] does for a pipeline.
    ///
    /// # Errors
    /// When there is no such worker, or it looks otherwise.
    pub(crate) async fn act_on_worker(
        &self,
        event: Event,
        only_if: impl FnOnce(&Coordinator) -> bool + Send + 'static,
    ) -> Result<(), CallError<NotDone<WorkerError>>> {
        self.call_if(event, only_if, Reply::Worker).await
    }

    /// Changes or deletes a namespace; the answer is the namespace as it is, or was.
    ///
    /// # Errors
    /// When there is no such namespace, it has changed since, or it is in use.
    pub(crate) async fn namespace(&self, event: Event) -> Result<Namespace, CallError<NamespaceError>> {
        self.call(event, Reply::Namespace).await
    }

    /// Lets a worker in, whose stream begins with a welcome.
    ///
    /// # Errors
    /// When another worker of its name is alive, or it has no slots.
    pub(crate) async fn join(&self, arrival: Arrival, link: Link) -> Result<Lease, CallError<JoinError>> {
        self.call(Event::WorkerJoined(arrival), |waiting| Reply::Join(link, waiting)).await
    }

    /// Hands over an event that has no answer.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(crate) async fn tell(&self, event: Event) -> Result<(), Stopped> {
        self.requests.send(Request::Take(event, Reply::None)).await.map_err(|_| Stopped)
    }

    /// Looks at the core. The closure runs on the driver's task, and must be quick.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Coordinator) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let read = Box::new(move |core: &Coordinator| {
            reply.send(look(core)).ok();
        });
        self.requests.send(Request::Read(read)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// A receiver that hears of every change to a pipeline from now on; `None` when there is no such pipeline.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(crate) async fn watch(&self, pipeline: PipelineId) -> Result<Option<watch::Receiver<()>>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Watch(pipeline, reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// The present moment.
    pub(crate) fn now(&self) -> MonoTime {
        self.clock.now()
    }

    /// The date of a moment that the core speaks of.
    pub(crate) fn date(&self, moment: MonoTime) -> SystemTime {
        self.clock.date(moment)
    }

    async fn call<T, E>(
        &self,
        event: Event,
        reply: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Reply,
    ) -> Result<T, CallError<E>> {
        let (waiting, answer) = oneshot::channel();
        self.requests.send(Request::Take(event, reply(waiting))).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)?.map_err(CallError::Refused)
    }

    async fn call_if<T, E>(
        &self,
        event: Event,
        only_if: impl FnOnce(&Coordinator) -> bool + Send + 'static,
        reply: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Reply,
    ) -> Result<T, CallError<E>> {
        let (waiting, answer) = oneshot::channel();
        let request = Request::TakeIf(Box::new(only_if), event, reply(waiting));
        self.requests.send(request).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)?.map_err(CallError::Refused)
    }
}
