//! The slots of this worker and the task processes in them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use vismae_proto::v1::agent_message::Message;
use vismae_proto::v1::task_command::Command;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{AgentMessage, Cause, Failed, HeldTask, Silence, StopTask, TaskCommand, TaskEvent};

use super::metrics;
use super::process::{Ended, Launch, TaskProcess};
use crate::cache::CacheOptions;

/// Messages of all tasks that wait to be looked at: a burst of log lines from every slot, bounded in memory.
const RELAYED: usize = 1024;

/// All slots; owns every task process of the agent, and what the coordinator must be told of them, whether or not there is one
/// to tell.
#[derive(Debug)]
pub(super) struct Slots {
    total: usize,
    threads: u32,
    host: IpAddr,
    cache: CacheOptions,
    busy: BTreeMap<u32, TaskProcess>,
    serving: JoinSet<Ended>,
    relay: mpsc::Sender<AgentMessage>,
    relayed: mpsc::Receiver<AgentMessage>,
    /// Ends that have not been passed on.
    ended: VecDeque<TaskEvent>,
    /// What a coordinator that has missed it must be told again, by task: that it is up, or how it ended.
    unsettled: BTreeMap<String, Unsettled>,
    /// Tasks of which nothing is heard.
    silent: BTreeSet<String>,
    /// The shortest time in one place of a step that counts; none where nobody asks.
    stall: watch::Sender<Option<Duration>>,
}

/// The last word of a task that counts.
#[derive(Debug)]
struct Unsettled {
    slot: u32,
    word: TaskEvent,
}

impl Slots {
    pub(super) fn new(total: usize, threads: u32, host: IpAddr, cache: CacheOptions) -> Self {
        let (relay, relayed) = mpsc::channel(RELAYED);
        Self {
            total,
            threads,
            host,
            cache,
            busy: BTreeMap::new(),
            serving: JoinSet::new(),
            relay,
            relayed,
            ended: VecDeque::new(),
            unsettled: BTreeMap::new(),
            silent: BTreeSet::new(),
            stall: watch::Sender::new(None),
        }
    }

    /// How long a task may be in one place of a step before the coordinator hears of it.
    pub(super) fn watch_for(&self, stall: Option<Duration>) {
        self.stall.send_replace(stall);
    }

    /// Whether nothing runs and nothing is left to tell: every end has been taken in.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_empty() && self.ended.is_empty() && self.relayed.is_empty() && self.unsettled.is_empty()
    }

    /// The tasks that a coordinator may not know of: those that run, and those whose end has not been settled.
    pub(super) fn held(&self) -> Vec<HeldTask> {
        let running = self.busy.iter().map(|(&slot, process)| HeldTask { task: process.task().to_owned(), slot });
        let over = self.unsettled.values().filter(|held| self.slot_of(&held.word.task).is_none());
        let over = over.map(|held| HeldTask { task: held.word.task.clone(), slot: held.slot });
        running.chain(over).collect()
    }

    /// What a coordinator that has just been found must be told again; of a task that is silent, that it is up, and that it is silent.
    pub(super) fn unsettled(&self) -> Vec<TaskEvent> {
        let words = self.unsettled.values().map(|held| held.word.clone());
        let silence = |task: &String| TaskEvent { task: task.clone(), event: Some(Event::Silence(Silence::default())) };
        words.chain(self.silent.iter().map(silence)).collect()
    }

    /// The next thing that the coordinator must be told. What a process says comes before its end.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next_message(&mut self) -> Message {
        loop {
            if let Ok(AgentMessage { message: Some(message) }) = self.relayed.try_recv() {
                self.note(&message);
                return message;
            }
            if let Some(last) = self.ended.pop_front() {
                return Message::Task(last);
            }
            tokio::select! {
                biased;
                Some(AgentMessage { message: Some(message) }) = self.relayed.recv() => {
                    self.note(&message);
                    return message;
                }
                last = Self::next_ended(&mut self.serving) => if let Some(ended) = last { self.take_end(ended) },
            }
        }
    }

    /// Looks after the tasks while there is no coordinator: what counts is kept, the rest is dropped.
    pub(super) async fn tend(&mut self) -> std::convert::Infallible {
        loop {
            self.next_message().await;
        }
    }

    fn note(&mut self, message: &Message) {
        let Message::Task(event) = message else { return };
        let Some(slot) = self.slot_of(&event.task) else { return };
        match &event.event {
            Some(Event::Ready(_)) => {
                self.unsettled.insert(event.task.clone(), Unsettled { slot, word: event.clone() });
            }
            Some(Event::Progress(progress)) => metrics::progress(slot, progress),
            Some(Event::Silence(Silence { over: false })) => drop(self.silent.insert(event.task.clone())),
            Some(Event::Silence(Silence { over: true })) => drop(self.silent.remove(&event.task)),
            _ => {}
        }
    }

    /// Obeys the coordinator; a start that can't be obeyed comes back as the event that says so.
    /// A command for a task that is no longer here is stale, and ignored.
    pub(super) fn command(&mut self, command: TaskCommand) -> Option<TaskEvent> {
        if let Some(Command::Settle(_)) = &command.command {
            self.unsettled.remove(&command.task);
            return None;
        }
        if let Some(Command::Start(start)) = &command.command {
            let (slot, task) = (start.slot, command.task.clone());
            let refusal = self.start(slot, command).err()?;
            let failed = Failed { cause: Cause::Environment.into(), message: refusal };
            return Some(TaskEvent { task, event: Some(Event::Failed(failed)) });
        }
        match self.busy.values().find(|process| process.task() == command.task) {
            Some(process) => process.command(command),
            None => tracing::debug!(task = command.task, "command for a task that is not here"),
        }
        None
    }

    fn start(&mut self, slot: u32, command: TaskCommand) -> Result<(), String> {
        if slot as usize >= self.total {
            return Err(format!("slot {slot} does not exist, expected one of {}", self.total));
        }
        if let Some(process) = self.busy.get(&slot) {
            return Err(format!("slot {slot} still holds task `{}`", process.task()));
        }
        let launch = Launch { slot, threads: self.threads, host: self.host, cache: self.cache.clone() };
        tracing::info!(task = command.task, slot, "task starts");
        let (process, serve) = TaskProcess::start(&launch, command, self.relay.clone(), self.stall.subscribe())
            .map_err(|error| format!("task process could not be started: {error}"))?;
        self.busy.insert(slot, process);
        self.serving.spawn(serve);
        metrics::slots_changed(self.busy.len(), self.total);
        Ok(())
    }

    /// The next process to end; never resolves while none runs.
    async fn next_ended(serving: &mut JoinSet<Ended>) -> Option<Ended> {
        match serving.join_next().await {
            Some(Ok(ended)) => Some(ended),
            Some(Err(error)) => {
                tracing::error!(%error, "the supervisor of a task process failed");
                None
            }
            None => std::future::pending().await,
        }
    }

    /// Frees the slot of a process that has ended, and keeps how the task ended until that is settled.
    fn take_end(&mut self, Ended { slot, last }: Ended) {
        tracing::info!(task = last.task, slot, "task process ended");
        self.busy.remove(&slot);
        self.silent.remove(&last.task);
        metrics::task_ended(slot, &last);
        metrics::slots_changed(self.busy.len(), self.total);
        self.unsettled.insert(last.task.clone(), Unsettled { slot, word: last.clone() });
        self.ended.push_back(last);
    }

    /// Tells every task to stop at its next step boundary.
    pub(super) fn stop_all(&self, reason: &str) {
        for process in self.busy.values() {
            let stop = StopTask { reason: reason.to_owned() };
            process.command(TaskCommand { task: process.task().to_owned(), command: Some(Command::Stop(stop)) });
        }
    }

    /// Ends every process now and waits until none is left.
    pub(super) async fn kill_all(&mut self) {
        for process in self.busy.values() {
            process.kill();
        }
        while !self.serving.is_empty() {
            if let Some(ended) = Self::next_ended(&mut self.serving).await {
                self.take_end(ended);
            }
        }
        self.busy.clear();
        metrics::slots_changed(0, self.total);
    }

    /// The slot that holds a task.
    fn slot_of(&self, task: &str) -> Option<u32> {
        self.busy.iter().find(|(_, process)| process.task() == task).map(|(slot, _)| *slot)
    }
}
