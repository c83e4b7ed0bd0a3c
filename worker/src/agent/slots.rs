//! The slots of this worker and the task processes in them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use vismae_proto::v1::task_command::Command;
use vismae_proto::v1::task_event::Event;
use vismae_proto::v1::{AgentMessage, Cause, Failed, StopTask, TaskCommand, TaskEvent};

use super::metrics;
use super::process::{Ended, Launch, TaskProcess};
use crate::cache::CacheOptions;

/// All slots; owns every task process of the agent.
#[derive(Debug)]
pub(super) struct Slots {
    total: usize,
    threads: u32,
    host: IpAddr,
    cache: CacheOptions,
    busy: BTreeMap<u32, TaskProcess>,
    serving: JoinSet<Ended>,
}

impl Slots {
    pub(super) fn new(total: usize, threads: u32, host: IpAddr, cache: CacheOptions) -> Self {
        Self { total, threads, host, cache, busy: BTreeMap::new(), serving: JoinSet::new() }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_empty()
    }

    /// Obeys the coordinator; a start that can't be obeyed comes back as the event that says so.
    /// A command for a task that is no longer here is stale, and ignored.
    pub(super) fn command(&mut self, command: TaskCommand, events: &mpsc::Sender<AgentMessage>) -> Option<TaskEvent> {
        if let Some(Command::Start(start)) = &command.command {
            let (slot, task) = (start.slot, command.task.clone());
            let refusal = self.start(slot, command, events).err()?;
            let failed = Failed { cause: Cause::Environment.into(), message: refusal };
            return Some(TaskEvent { task, event: Some(Event::Failed(failed)) });
        }
        match self.busy.values().find(|process| process.task() == command.task) {
            Some(process) => process.command(command),
            None => tracing::debug!(task = command.task, "command for a task that is not here"),
        }
        None
    }

    fn start(&mut self, slot: u32, command: TaskCommand, events: &mpsc::Sender<AgentMessage>) -> Result<(), String> {
        if slot as usize >= self.total {
            return Err(format!("slot {slot} does not exist, expected one of {}", self.total));
        }
        if let Some(process) = self.busy.get(&slot) {
            return Err(format!("slot {slot} still holds task `{}`", process.task()));
        }
        let launch = Launch { slot, threads: self.threads, host: self.host, cache: self.cache.clone() };
        tracing::info!(task = command.task, slot, "task starts");
        let (process, serve) = TaskProcess::start(&launch, command, events.clone())
            .map_err(|error| format!("task process could not be started: {error}"))?;
        self.busy.insert(slot, process);
        self.serving.spawn(serve);
        metrics::slots_changed(self.busy.len(), self.total);
        Ok(())
    }

    /// Waits for the next process to end, frees its slot, and says how the task ended; never resolves while none runs.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next_ended(&mut self) -> Option<TaskEvent> {
        match self.serving.join_next().await {
            Some(Ok(Ended { slot, last })) => {
                tracing::info!(task = last.task, slot, "task process ended");
                self.busy.remove(&slot);
                metrics::task_ended(slot, &last);
                metrics::slots_changed(self.busy.len(), self.total);
                Some(last)
            }
            Some(Err(error)) => {
                tracing::error!(%error, "the supervisor of a task process failed");
                None
            }
            None => std::future::pending().await,
        }
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
            self.next_ended().await;
        }
        self.busy.clear();
        metrics::slots_changed(0, self.total);
    }

    /// The slot that holds a task.
    pub(super) fn slot_of(&self, task: &str) -> Option<u32> {
        self.busy.iter().find(|(_, process)| process.task() == task).map(|(slot, _)| *slot)
    }
}
