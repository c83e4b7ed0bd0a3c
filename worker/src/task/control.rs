//! The task's ear: commands from the agent, heard on a thread that never computes.

use std::io::{Stdin, stdin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use vismae_c10d::AbortHandle;
use vismae_core::ids::{Generation, TaskId};
use vismae_proto::frames::BlockingReader;
use vismae_proto::v1::task_command::Command;
use vismae_proto::v1::{Membership, StartTask, TaskCommand};

use super::error::TaskError;

/// How long after one rank the others of a gang that is stopped as a whole hear of it.
const STOP_SPREAD: Duration = Duration::from_secs(1);
/// How long the others may take to come to the end of a step once this rank is to stop: then its group is left at once.
const BOUNDARY_PATIENCE: Duration = Duration::from_secs(10);
/// How long a task may take to stop at a step boundary once its agent is gone.
const ABANDONED: Duration = Duration::from_secs(5);

/// What the agent has said so far.
pub(super) struct Control {
    stop: CancellationToken,
    ear: Arc<Ear>,
}

/// What the listening thread leaves for the computing one.
#[derive(Default)]
struct Ear {
    heard: Mutex<Heard>,
    news: Condvar,
}

#[derive(Default)]
struct Heard {
    /// Since when the task should stop.
    stopped: Option<Instant>,
    /// All ranks are at a boundary, and keep what they have come to: that takes as long as it takes.
    is_parking: bool,
    /// The newest membership.
    membership: Option<Membership>,
    /// The newest generation that is urgent: what was before it is broken, whatever came after it.
    urgent: u64,
    /// The group that the computing thread may be waiting in, with its generation.
    group: Option<(Generation, AbortHandle)>,
}

impl Control {
    /// Reads the start command and begins to listen for the ones after it.
    ///
    /// # Errors
    /// When the first command can't be read or is not a start.
    pub(super) fn listen() -> Result<(Self, TaskId, StartTask), TaskError> {
        let mut pipe = BlockingReader::new(stdin());
        let first: Option<TaskCommand> = pipe.read().map_err(TaskError::while_doing("reading the start command"))?;
        let Some(TaskCommand { task, command: Some(Command::Start(start)) }) = first else {
            return Err(TaskError::input(
                "expected a start command on standard input: tasks are started by `vismae-worker agent`",
            ));
        };
        let id = task.parse().map_err(|error| TaskError::input(format!("{error}")))?;
        let control = Self { stop: CancellationToken::new(), ear: Arc::default() };
        let (ear, stop) = (Arc::clone(&control.ear), control.stop.clone());
        std::thread::spawn(move || listen(pipe, &ear, &stop));
        Ok((control, id, start))
    }

    /// Cancelled once the task should stop.
    pub(super) fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Whether the task should stop at the next boundary.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether the task should stop and the others of its gang, who would know by now, go on.
    pub(super) fn is_stopped_alone(&self) -> bool {
        self.ear.lock().stopped.is_some_and(|stopped| stopped.elapsed() > STOP_SPREAD)
    }

    /// All ranks have come to a boundary to stop there.
    pub(super) fn park(&self) {
        self.ear.lock().is_parking = true;
    }

    /// Whether there is a membership after a generation.
    pub(super) fn is_superseded(&self, generation: Generation) -> bool {
        self.ear.lock().is_newer_than(generation)
    }

    /// Waits for a membership after a generation, for as long as `patience`. None when it does not come, or the task is told to stop.
    pub(super) fn next_membership(&self, after: Generation, patience: Duration) -> Option<Membership> {
        let waits = |heard: &mut Heard| !self.is_stopped() && !heard.is_newer_than(after);
        let waited = self.ear.news.wait_timeout_while(self.ear.lock(), patience, waits);
        let (heard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_new = !self.is_stopped() && heard.is_newer_than(after);
        heard.membership.clone().filter(|_| is_new)
    }

    /// Lets the listening thread end what the group waits for when an urgent membership takes its place.
    pub(super) fn guard(&self, generation: Generation, group: AbortHandle) {
        let mut heard = self.ear.lock();
        heard.group = Some((generation, group));
        // It may have come between the joining and this word of it.
        heard.abort_if_broken();
    }
}

impl Ear {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    fn is_newer_than(&self, generation: Generation) -> bool {
        self.membership.as_ref().is_some_and(|membership| membership.generation > generation.0)
    }

    /// Ends the collectives of the group, if a membership after it says that it is broken, or nobody else comes to its next boundary.
    fn abort_if_broken(&self) {
        let is_overdue = self.stopped.is_some_and(|stopped| stopped.elapsed() >= BOUNDARY_PATIENCE) && !self.is_parking;
        if let Some((generation, group)) = &self.group
            && (self.urgent > generation.0 || is_overdue)
        {
            group.abort();
        }
    }
}

/// Listens until the pipe ends. An agent that is gone can't be told a result, so its end is a stop.
fn listen(mut pipe: BlockingReader<Stdin>, ear: &Arc<Ear>, stop: &CancellationToken) {
    loop {
        match pipe.read::<TaskCommand>() {
            Ok(Some(TaskCommand { command: Some(Command::Membership(membership)), .. })) => {
                let mut heard = ear.lock();
                // An agent says it again when it has found its coordinator again.
                if heard.membership.as_ref().is_none_or(|known| membership.generation > known.generation) {
                    if membership.urgent {
                        heard.urgent = membership.generation;
                    }
                    heard.membership = Some(membership);
                    heard.abort_if_broken();
                    ear.news.notify_all();
                }
            }
            Ok(Some(TaskCommand { command: Some(Command::Stop(command)), .. })) => {
                tracing::info!(reason = command.reason, "told to stop");
                end(ear, stop);
            }
            Ok(Some(_)) => tracing::warn!("a command that a running task can't obey is ignored"),
            Ok(None) => return abandon(ear, stop),
            Err(error) => {
                tracing::warn!(%error, "commands can't be read any more");
                return abandon(ear, stop);
            }
        }
    }
}

/// Ends the process soon after its agent: nobody may publish for an attempt that others believe to be over.
#[expect(clippy::disallowed_methods, reason = "the training thread may be inside a collective that nothing else ends")]
fn abandon(ear: &Arc<Ear>, stop: &CancellationToken) {
    end(ear, stop);
    std::thread::sleep(ABANDONED);
    tracing::error!("the agent is gone");
    std::process::exit(1);
}

fn end(ear: &Arc<Ear>, stop: &CancellationToken) {
    let later = Arc::clone(ear);
    std::thread::spawn(move || {
        std::thread::sleep(BOUNDARY_PATIENCE);
        later.lock().abort_if_broken();
    });
    // Under the lock, so that whoever is about to wait sees it.
    let mut heard = ear.lock();
    heard.stopped.get_or_insert_with(Instant::now);
    stop.cancel();
    ear.news.notify_all();
}
