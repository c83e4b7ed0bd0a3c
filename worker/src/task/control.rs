//! The task's ear: commands from the agent, heard on a thread that never computes.

use std::io::{Stdin, stdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vismae_core::ids::TaskId;
use vismae_proto::frames::BlockingReader;
use vismae_proto::v1::task_command::Command;
use vismae_proto::v1::{Membership, StartTask, TaskCommand};

use super::error::TaskError;

/// Memberships not looked at yet: the computing thread takes each before the next can be formed.
const MEMBERSHIPS: usize = 4;
/// How often a wait for a membership looks whether it should go on.
const LOOK: Duration = Duration::from_millis(100);
/// How long a task may take to stop at a step boundary once its agent is gone.
const ABANDONED: Duration = Duration::from_secs(5);

/// What the agent has said so far.
pub(super) struct Control {
    stop: CancellationToken,
    memberships: Receiver<Membership>,
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
        let (found, memberships) = sync_channel(MEMBERSHIPS);
        let stop = CancellationToken::new();
        let heard = stop.clone();
        std::thread::spawn(move || listen(pipe, &found, &heard));
        Ok((Self { stop, memberships }, id, start))
    }

    /// Cancelled once the task should stop.
    pub(super) fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Whether the task should stop at the next boundary.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits for a membership; `None` when the task is told to stop instead.
    pub(super) fn next_membership(&self) -> Option<Membership> {
        while !self.is_stopped() {
            match self.memberships.recv_timeout(LOOK) {
                Ok(membership) => return Some(membership),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    }
}

/// Listens until the pipe ends. An agent that is gone can't be told a result, so its end is a stop.
fn listen(mut pipe: BlockingReader<Stdin>, memberships: &SyncSender<Membership>, stop: &CancellationToken) {
    loop {
        match pipe.read::<TaskCommand>() {
            Ok(Some(TaskCommand { command: Some(Command::Membership(membership)), .. })) => {
                match memberships.try_send(membership) {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => tracing::warn!("more memberships than a task can use"),
                    Err(TrySendError::Disconnected(_)) => return,
                }
            }
            Ok(Some(TaskCommand { command: Some(Command::Stop(command)), .. })) => {
                tracing::info!(reason = command.reason, "told to stop");
                stop.cancel();
            }
            Ok(Some(_)) => tracing::warn!("a command that a running task can't obey is ignored"),
            Ok(None) => return abandon(stop),
            Err(error) => {
                tracing::warn!(%error, "commands can't be read any more");
                return abandon(stop);
            }
        }
    }
}

/// Ends the process soon after its agent: nobody may publish for an attempt that others believe to be over.
#[expect(clippy::disallowed_methods, reason = "the training thread may be inside a collective that nothing else ends")]
fn abandon(stop: &CancellationToken) {
    stop.cancel();
    std::thread::sleep(ABANDONED);
    tracing::error!("the agent is gone");
    std::process::exit(1);
}
