//! One task process: started for a task, fed commands, heard, and always accounted for when it ends.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use vismae_proto::frames::{FrameReader, FrameWriter};
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{AgentMessage, Cause, Failed, LogLine, Silence, Stalled, Stopped, TaskCommand, TaskEvent};

use super::metrics;
use super::stalls::StallWatch;
use crate::cache::CacheOptions;

/// The running program, even when its file has been replaced by a newer build since.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// Commands waiting for a task: a start, a membership and a stop, with room to spare.
const COMMANDS: usize = 8;
/// Lines of a task's log that are quoted when it dies without a word.
const LAST_WORDS: usize = 2;
/// Longest log line passed on, in bytes.
const LINE_MAX: usize = 4096;
/// A process of which nothing was heard for so long does not run: it has a thread that does nothing but say each second that it does.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a task may take to stop after it was told to, and to keep what it has come to; then it is killed.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(40);
/// How long a process may take to end once it has had its last word, or has closed its pipes.
const EXIT_GRACE: Duration = Duration::from_secs(5);

/// What a task process is started with.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) slot: u32,
    pub(super) threads: u32,
    pub(super) host: IpAddr,
    pub(super) cache: CacheOptions,
}

/// The agent's end of a running task process.
#[derive(Debug)]
pub(super) struct TaskProcess {
    task: String,
    commands: mpsc::Sender<TaskCommand>,
    kill: CancellationToken,
}

/// What is left when a task process has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) slot: u32,
    /// How the task ended: what it said last, or what its process' end says. Told only now, because the coordinator
    /// takes it to mean that the slot is free.
    pub(super) last: TaskEvent,
}

impl TaskProcess {
    /// Starts the process and the future that serves it until it ends.
    ///
    /// # Errors
    /// Those of starting a process.
    pub(super) fn start(
        launch: &Launch,
        start: TaskCommand,
        outbound: mpsc::Sender<AgentMessage>,
        stall: watch::Receiver<Option<Duration>>,
    ) -> io::Result<(Self, impl Future<Output = Ended> + use<>)> {
        let mut child = Command::new(OWN_PROGRAM)
            .arg("task")
            .args(["--threads", &launch.threads.to_string()])
            .args(["--host", &launch.host.to_string()])
            .args(launch.cache.arguments())
            .envs(vismae_c10d::NCCL_ENVIRONMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C reaches the whole foreground group; only the agent may decide when a task ends.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pipes = Pipes::take(&mut child)?;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let kill = CancellationToken::new();
        let (slot, task) = (launch.slot, start.task.clone());
        let (last, said) = (Mutex::new(None), CancellationToken::new());
        let served = Served { task: task.clone(), slot, outbound, stall, kill: kill.clone(), last, said };
        let serve = async move {
            let last = served.run(child, pipes, start, inbox).await;
            Ended { slot, last }
        };
        Ok((Self { task, commands, kill }, serve))
    }

    pub(super) fn task(&self) -> &str {
        &self.task
    }

    /// Passes a command on. A process that no longer reads is about to be reported as ended.
    pub(super) fn command(&self, command: TaskCommand) {
        if self.commands.try_send(command).is_err() {
            tracing::debug!(task = self.task, "command for a task that no longer listens");
        }
    }

    /// Ends the process at once.
    pub(super) fn kill(&self) {
        self.kill.cancel();
    }
}

/// The three pipes of a child.
struct Pipes {
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl Pipes {
    fn take(child: &mut Child) -> io::Result<Self> {
        let missing = || io::Error::other("a task process came without its pipes");
        Ok(Self {
            stdin: child.stdin.take().ok_or_else(missing)?,
            stdout: child.stdout.take().ok_or_else(missing)?,
            stderr: child.stderr.take().ok_or_else(missing)?,
        })
    }
}

/// How a process ended, as its agent saw it.
enum End {
    /// With a last event.
    Said(TaskEvent),
    /// Without one; with the last lines of its log.
    Silent(VecDeque<String>),
    /// Killed, because it did not stop in time: stopped all the same.
    Overdue,
    /// Killed, because it is not wanted or can't be understood.
    Killed,
}

/// The supervising side of one process.
struct Served {
    task: String,
    slot: u32,
    outbound: mpsc::Sender<AgentMessage>,
    /// The shortest time in one place of a step that counts.
    stall: watch::Receiver<Option<Duration>>,
    kill: CancellationToken,
    /// The event that says how the task ended. It counts whatever becomes of the process after it.
    last: Mutex<Option<TaskEvent>>,
    /// Cancelled when there is one.
    said: CancellationToken,
}

impl Served {
    async fn run(
        self,
        mut child: Child,
        pipes: Pipes,
        start: TaskCommand,
        inbox: mpsc::Receiver<TaskCommand>,
    ) -> TaskEvent {
        let feed = self.feed(FrameWriter::new(pipes.stdin), start, inbox);
        let hear = async { tokio::join!(self.hear(FrameReader::new(pipes.stdout)), self.log(pipes.stderr)).1 };
        // Whoever has had its last word has nothing more to do: its pipes stay open only if it hangs while it ends.
        let hangs = async {
            self.said.cancelled().await;
            tokio::time::sleep(EXIT_GRACE).await;
        };
        let end = tokio::select! {
            last_words = hear => End::Silent(last_words),
            killed = feed => killed,
            () = hangs => End::Killed,
        };
        let said = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let end = said.map_or(end, End::Said);
        let lingers = self.kill.is_cancelled() || tokio::time::timeout(EXIT_GRACE, child.wait()).await.is_err();
        if lingers && let Err(error) = child.kill().await {
            tracing::warn!(task = self.task, %error, "task process could not be killed");
        }
        let event = match end {
            End::Said(event) => return event,
            End::Overdue => Event::Stopped(Stopped {}),
            End::Killed => crash("task process was killed by its agent".to_owned()),
            End::Silent(last_words) => silent_end(child.wait().await, &last_words),
        };
        TaskEvent { task: self.task.clone(), event: Some(event) }
    }

    /// Writes commands until the process is to be killed. A broken pipe is not an end: the process may still have words to say.
    async fn feed(
        &self,
        mut pipe: FrameWriter<ChildStdin>,
        start: TaskCommand,
        mut inbox: mpsc::Receiver<TaskCommand>,
    ) -> End {
        let stopping = CancellationToken::new();
        let write = async {
            let mut next = Some(start);
            while let Some(command) = next {
                if matches!(command.command, Some(vismae_proto::v1::task_command::Command::Stop(_))) {
                    stopping.cancel();
                }
                if pipe.write(&command).await.is_err() {
                    break;
                }
                next = inbox.recv().await;
            }
            std::future::pending().await
        };
        let overdue = async {
            stopping.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
            tracing::warn!(task = self.task, "task did not stop within {STOP_GRACE:?} and is killed");
            self.kill.cancel();
        };
        tokio::select! {
            end = write => end,
            () = overdue => End::Overdue,
            () = self.kill.cancelled() => End::Killed,
        }
    }

    /// Passes events on until the pipe ends, and keeps the one that says how the task ended.
    async fn hear(&self, mut pipe: FrameReader<ChildStdout>) {
        let mut is_silent = false;
        let (mut stalls, mut spent) = (StallWatch::default(), metrics::Spent::default());
        loop {
            // Reading can't be taken up again where it was dropped.
            let mut read = std::pin::pin!(pipe.read::<TaskEvent>());
            let event = loop {
                tokio::select! {
                    // After a pause of the agent itself, what was said meanwhile comes first.
                    biased;
                    event = &mut read => break event,
                    () = tokio::time::sleep(SILENCE), if !is_silent => {
                        tracing::warn!(task = self.task, "no pulse of the task for {SILENCE:?}");
                        is_silent = true;
                        self.pass(silence(false)).await;
                    }
                }
            };
            if std::mem::take(&mut is_silent) && matches!(event, Ok(Some(_))) {
                self.pass(silence(true)).await;
            }
            match event {
                Ok(Some(TaskEvent { event: Some(Event::Pulse(pulse)), .. })) => {
                    spent.count(self.slot, &pulse);
                    let shortest = *self.stall.borrow();
                    if let Some(stalled) = stalls.hear(Instant::now(), &pulse, shortest) {
                        let Stalled { over, step, collectives, millis, .. } = stalled;
                        let phase = stalled.phase().as_str_name();
                        tracing::warn!(
                            task = self.task,
                            over,
                            phase,
                            step,
                            collectives,
                            millis,
                            "no progress of the task"
                        );
                        let event = Some(Event::Stalled(stalled));
                        self.pass(TaskEvent { event, ..TaskEvent::default() }).await;
                    }
                }
                Ok(Some(TaskEvent { event: Some(Event::Checkpointed(checkpoint)), .. })) => {
                    metrics::checkpointed(&checkpoint);
                }
                Ok(Some(TaskEvent { event: Some(Event::CheckpointFailed(_)), .. })) => metrics::checkpoint_failed(),
                Ok(Some(mut event)) => {
                    event.task.clone_from(&self.task);
                    if matches!(event.event, Some(Event::Succeeded(_) | Event::Failed(_) | Event::Stopped(_))) {
                        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
                        self.said.cancel();
                    } else {
                        self.pass(event).await;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(task = self.task, %error, "unreadable event from a task process");
                    self.kill.cancel();
                    return;
                }
            }
        }
    }

    async fn pass(&self, event: TaskEvent) {
        let event = TaskEvent { task: self.task.clone(), ..event };
        if self.outbound.send(AgentMessage { message: Some(Message::Task(event)) }).await.is_err() {
            tracing::debug!(task = self.task, "event not sent: the coordinator's stream is gone");
        }
    }

    /// Passes log lines on, and keeps the last ones. Lines are dropped rather than let a full queue stop the task.
    async fn log(&self, pipe: ChildStderr) -> VecDeque<String> {
        let mut last = VecDeque::with_capacity(LAST_WORDS);
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(mut text)) = lines.next_line().await {
            text.truncate(text.floor_char_boundary(LINE_MAX));
            if last.len() == LAST_WORDS {
                last.pop_front();
            }
            last.push_back(text.clone());
            tracing::debug!(task = self.task, "{text}");
            let time = Some(SystemTime::now().into());
            let line = LogLine { time, task: self.task.clone(), text, ..LogLine::default() };
            if self.outbound.try_send(AgentMessage { message: Some(Message::Log(line)) }).is_err() {
                tracing::debug!(task = self.task, "log line dropped: the coordinator's stream is full or gone");
            }
        }
        last
    }
}

fn silence(over: bool) -> TaskEvent {
    TaskEvent { event: Some(Event::Silence(Silence { over })), ..TaskEvent::default() }
}

fn silent_end(status: io::Result<ExitStatus>, last_words: &VecDeque<String>) -> Event {
    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let quoted = Vec::from_iter(last_words.iter().map(String::as_str)).join(" | ");
    crash(format!("task process ended with `{how}` before it reported a result; its last words: {quoted}"))
}

fn crash(message: String) -> Event {
    Event::Failed(Failed { cause: Cause::Crash.into(), message })
}
