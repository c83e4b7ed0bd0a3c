//! The task that owns the core.
//!
//! Everything that happens reaches it through one bounded queue; it hands each event to the core with the time, keeps what
//! must be kept, and only then carries out the rest.

mod handle;

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::{Answer, CancelError, Effects, JoinError};
use vismae_core::event::Event;
use vismae_core::ids::PipelineId;
use vismae_core::spec::Violations;
use vismae_core::worker::Lease;

pub(crate) use handle::{CallError, Handle, Stopped};

use crate::clock::Clock;
use crate::journal::{Journal, JournalError};
use crate::links::{Link, Links};
use crate::logs::Logs;
use crate::metrics;
use crate::watchers::Watchers;

/// Events waiting for the core, which needs microseconds for one: a burst from every agent at once.
const QUEUE: usize = 1024;

/// What the driver is asked.
enum Request {
    /// To take in an event.
    Take(Event, Reply),
    /// To show the core.
    Read(Box<dyn FnOnce(&Coordinator) + Send>),
    /// To tell of changes to a pipeline.
    Watch(PipelineId, oneshot::Sender<Option<watch::Receiver<()>>>),
}

/// Who waits for the answer to an event.
enum Reply {
    /// Nobody.
    None,
    /// A submission.
    Submit(oneshot::Sender<Result<PipelineId, Violations>>),
    /// A cancellation.
    Cancel(oneshot::Sender<Result<(), CancelError>>),
    /// An agent, with the stream that is opened when it is let in.
    Join(Link, oneshot::Sender<Result<Lease, JoinError>>),
}

/// Owns the core and everything it acts on.
pub(crate) struct Driver<J> {
    core: Coordinator,
    clock: Clock,
    journal: J,
    requests: mpsc::Receiver<Request>,
    links: Links,
    logs: Logs,
    watchers: Watchers,
}

impl<J: Journal> Driver<J> {
    /// A driver and the handle to it. Nothing happens before [`Driver::run`].
    pub(crate) fn new(core: Coordinator, journal: J, links: Links, logs: Logs) -> (Self, Handle) {
        let (sender, requests) = mpsc::channel(QUEUE);
        let clock = Clock::start();
        let driver = Self { core, clock, journal, requests, links, logs, watchers: Watchers::default() };
        (driver, Handle::new(sender, clock))
    }

    /// Serves the core until the token is cancelled.
    ///
    /// # Errors
    /// [`JournalError`] when a record can't be kept; what followed from it has not happened then.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), JournalError> {
        metrics::observe(&self.core);
        loop {
            let deadline = self.core.next_deadline().map(|deadline| self.clock.instant(deadline));
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                request = self.requests.recv() => match request {
                    None => return Ok(()),
                    Some(Request::Take(event, reply)) => self.take(event, reply).await?,
                    Some(Request::Read(read)) => read(&self.core),
                    Some(Request::Watch(pipeline, reply)) => {
                        let known = self.core.pipeline(&pipeline).is_some();
                        reply.send(known.then(|| self.watchers.watch(pipeline))).ok();
                    }
                },
                () = at(deadline) => self.take(Event::Tick, Reply::None).await?,
            }
        }
    }

    /// Hands an event to the core, and whatever follows from carrying out its effects.
    async fn take(&mut self, event: Event, reply: Reply) -> Result<(), JournalError> {
        let mut events = VecDeque::from([(event, reply)]);
        while let Some((event, reply)) = events.pop_front() {
            if let Event::WorkerLost(lease) = &event {
                self.links.forget(lease);
            }
            let mut effects = Effects::default();
            self.core.handle(self.clock.now(), event, &mut effects);
            let lost = self.carry_out(effects, reply).await?;
            events.extend(lost.into_iter().map(|lease| (Event::WorkerLost(lease), Reply::None)));
        }
        Ok(())
    }

    /// Carries out effects in the order that [`Effects`] demands. Returns the workers that could not be reached.
    async fn carry_out(&mut self, effects: Effects, reply: Reply) -> Result<Vec<Lease>, JournalError> {
        if !effects.persist.is_empty() {
            self.journal.append(&effects.persist).await?;
        }
        for close in effects.close {
            self.links.close(close);
        }
        if let Some(answer) = effects.answer {
            self.answer(answer, reply);
        }
        let unreachable = effects.send.iter().filter_map(|dispatch| self.links.send(dispatch).err()).collect();
        for pipeline in &effects.changed {
            self.watchers.wake(pipeline);
        }
        for pipeline in &effects.forgotten {
            self.watchers.forget(pipeline);
            self.logs.forget(pipeline);
        }
        for fact in &effects.facts {
            metrics::count(&self.core, fact);
        }
        if !effects.persist.is_empty() || !effects.facts.is_empty() {
            metrics::observe(&self.core);
        }
        Ok(unreachable)
    }

    /// Whoever asked may have gone in the meantime; that is no concern of the core.
    fn answer(&mut self, answer: Answer, reply: Reply) {
        match (answer, reply) {
            (Answer::Submitted(result), Reply::Submit(waiting)) => {
                let accepted = result.as_ref().ok().and_then(|pipeline| self.core.pipeline(pipeline));
                for job in accepted.into_iter().flat_map(|pipeline| &pipeline.jobs) {
                    self.logs.open(job.id.clone());
                }
                waiting.send(result).ok();
            }
            (Answer::Cancelled(result), Reply::Cancel(waiting)) => {
                waiting.send(result).ok();
            }
            (Answer::Joined(result), Reply::Join(link, waiting)) => {
                if let Ok(lease) = &result {
                    self.links.open(lease.clone(), link);
                }
                waiting.send(result).ok();
            }
            (answer, _) => tracing::error!(?answer, "an answer that nobody asked for"),
        }
    }
}

async fn at(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
