//! The task that owns the core.
//!
//! Everything that happens reaches it through one bounded queue. It takes what is there, hands each event to the core with the
//! time, keeps at once what must be kept of all of them, and only then carries out the rest, in order: a store that needs a tenth
//! of a second for a write holds up everyone for that long, and not for that long each.

mod handle;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vismae_core::coordinator::Coordinator;
use vismae_core::effect::{
    Answer, Effects, JoinError, NamespaceError, PipelineError, Record, SubmitError, WorkerError,
};
use vismae_core::event::Event;
use vismae_core::ids::PipelineId;
use vismae_core::namespace::Namespace;
use vismae_core::worker::Lease;

pub(crate) use handle::{CallError, Handle, NotDone, Stopped};

use crate::clock::Clock;
use crate::journal::{Journal, JournalError};
use crate::links::{Link, Links};
use crate::logs::Logs;
use crate::metrics;
use crate::watchers::Watchers;

/// Events waiting for the core, which needs microseconds for one: a burst from every agent at once.
const QUEUE: usize = 1024;

/// How long a change may wait to be shown in the metrics: counting all jobs for each would cost more than deciding about them.
const SHOWN_AFTER: Duration = Duration::from_millis(200);
/// A write of records that takes longer holds up the heartbeats of workers too long to blame them for it.
const SLOW_WRITE: Duration = Duration::from_millis(500);
/// Requests served between two writes of records, at most.
const TOGETHER: usize = 512;

/// What the driver is asked.
enum Request {
    /// To take in an event.
    Take(Event, Reply),
    /// To take in an event if the core looks as it must.
    TakeIf(Box<dyn FnOnce(&Coordinator) -> bool + Send>, Event, Reply),
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
    Submit(oneshot::Sender<Result<PipelineId, SubmitError>>),
    /// Who cancels, suspends or resumes a pipeline.
    Pipeline(oneshot::Sender<Result<(), NotDone<PipelineError>>>),
    /// Who drains a worker, or lets it work again.
    Worker(oneshot::Sender<Result<(), NotDone<WorkerError>>>),
    /// A change of a namespace.
    Namespace(oneshot::Sender<Result<Namespace, NamespaceError>>),
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
    /// When what has changed is shown in the metrics; none while nothing has.
    observe: Option<Instant>,
}

/// A request whose part in the core is done.
enum Step {
    /// To carry out what follows from an event, and to tell who asked.
    Act(Box<Act>),
    /// To tell who asked that the core looks otherwise.
    Refuse(Reply),
    Read(Box<dyn FnOnce(&Coordinator) + Send>),
    Watch(PipelineId, oneshot::Sender<Option<watch::Receiver<()>>>),
}

struct Act {
    /// The stay whose stream has ended, where that was the event.
    over: Option<Lease>,
    effects: Effects,
    reply: Reply,
}

impl<J: Journal> Driver<J> {
    /// A driver and the handle to it. Nothing happens before [`Driver::run`].
    pub(crate) fn new(core: Coordinator, clock: Clock, journal: J, links: Links, logs: Logs) -> (Self, Handle) {
        let (sender, requests) = mpsc::channel(QUEUE);
        let driver = Self { core, clock, journal, requests, links, logs, watchers: Watchers::default(), observe: None };
        (driver, Handle::new(sender, clock))
    }

    /// Serves the core until the token is cancelled.
    ///
    /// # Errors
    /// [`JournalError`] when records can't be kept; what followed from them has not happened then.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), JournalError> {
        for job in self.core.pipelines().flat_map(|pipeline| &pipeline.jobs) {
            self.logs.open(job.id.clone());
        }
        metrics::observe(&self.core);
        loop {
            let deadline = self.core.next_deadline().map(|deadline| self.clock.instant(deadline));
            let mut requests = VecDeque::new();
            tokio::select! {
                () = shutdown.cancelled() => break,
                error = self.journal.lost() => return Err(error),
                request = self.requests.recv() => match request {
                    None => break,
                    Some(request) => requests.push_back(request),
                },
                () = at(self.observe) => {
                    metrics::observe(&self.core);
                    self.observe = None;
                }
                () = at(deadline) => requests.push_back(Request::Take(Event::Tick, Reply::None)),
            }
            while !requests.is_empty() {
                while requests.len() < TOGETHER
                    && let Ok(request) = self.requests.try_recv()
                {
                    requests.push_back(request);
                }
                let lost = self.serve(requests).await?;
                requests = lost.into_iter().map(|lease| Request::Take(Event::WorkerLost(lease), Reply::None)).collect();
            }
        }
        self.journal.close().await
    }

    /// Hands requests to the core, keeps the records of all of them at once, and carries out what follows. Returns the workers that
    /// could not be reached.
    async fn serve(&mut self, requests: VecDeque<Request>) -> Result<Vec<Lease>, JournalError> {
        let mut records = Vec::new();
        let steps: Vec<Step> = requests
            .into_iter()
            .map(|request| match request {
                Request::Take(event, reply) => self.take(event, reply, &mut records),
                Request::TakeIf(holds, event, reply) => match holds(&self.core) {
                    true => self.take(event, reply, &mut records),
                    false => Step::Refuse(reply),
                },
                Request::Read(read) => Step::Read(read),
                Request::Watch(pipeline, reply) => Step::Watch(pipeline, reply),
            })
            .collect();
        if !records.is_empty() {
            let began = Instant::now();
            self.journal.append(&records).await?;
            let took = began.elapsed();
            if took > SLOW_WRITE {
                tracing::warn!(seconds = took.as_secs_f64(), "records were slow to keep");
                self.core.excuse(took);
            }
        }
        let mut lost = Vec::new();
        for step in steps {
            match step {
                Step::Act(act) => {
                    let Act { over, effects, reply } = *act;
                    if let Some(lease) = over {
                        self.links.forget(&lease);
                    }
                    lost.append(&mut self.carry_out(effects, reply));
                }
                Step::Refuse(Reply::Pipeline(waiting)) => {
                    waiting.send(Err(NotDone::Changed)).ok();
                }
                Step::Refuse(Reply::Worker(waiting)) => {
                    waiting.send(Err(NotDone::Changed)).ok();
                }
                Step::Refuse(_) => tracing::error!("a condition on what nobody waits for"),
                Step::Read(read) => read(&self.core),
                Step::Watch(pipeline, reply) => {
                    let known = self.core.pipeline(&pipeline).is_some();
                    reply.send(known.then(|| self.watchers.watch(pipeline))).ok();
                }
            }
        }
        Ok(lost)
    }

    /// Hands an event to the core; its records are to be kept before the step is carried out.
    fn take(&mut self, event: Event, reply: Reply, records: &mut Vec<Record>) -> Step {
        let over = match &event {
            Event::WorkerLost(lease) => Some(lease.clone()),
            _ => None,
        };
        let mut effects = Effects::default();
        self.core.handle(self.clock.now(), event, &mut effects);
        if !effects.persist.is_empty() || !effects.facts.is_empty() {
            self.observe.get_or_insert_with(|| Instant::now() + SHOWN_AFTER);
        }
        records.append(&mut effects.persist);
        Step::Act(Box::new(Act { over, effects, reply }))
    }

    /// Carries out effects whose records are kept, in the order that [`Effects`] demands. Returns the workers that could not be
    /// reached.
    fn carry_out(&mut self, effects: Effects, reply: Reply) -> Vec<Lease> {
        for close in effects.close {
            self.links.close(close);
        }
        if let Some(answer) = effects.answer {
            self.answer(answer, reply);
        }
        let mut unreachable: Vec<Lease> =
            effects.drain.iter().filter_map(|lease| self.links.drain(lease).err()).collect();
        unreachable.extend(effects.send.iter().filter_map(|dispatch| self.links.send(dispatch).err()));
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
        unreachable
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
            (Answer::Pipeline(result), Reply::Pipeline(waiting)) => {
                waiting.send(result.map_err(NotDone::Core)).ok();
            }
            (Answer::Worker(result), Reply::Worker(waiting)) => {
                waiting.send(result.map_err(NotDone::Core)).ok();
            }
            (Answer::Namespace(result), Reply::Namespace(waiting)) => {
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

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
