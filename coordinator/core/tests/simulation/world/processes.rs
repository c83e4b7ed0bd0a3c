//! What the processes of agents do.

use std::collections::BTreeMap;

use vismae_core::event::{Event, Progress, TaskReport};
use vismae_core::failure::Cause;
use vismae_core::ids::{TaskId, WorkerId};

use super::{Process, World, pick};

impl World {
    /// Some process does the next thing that a process does when all goes well.
    pub(super) fn live(&mut self, which: u16, ends: bool) {
        let Some((worker, slot, task, process)) = self.process(which) else { return };
        let agent = self.agents.get_mut(&worker).unwrap();
        let report = if process.told_to_stop {
            TaskReport::Stopped
        } else if !process.ready {
            agent.slots.get_mut(&slot).unwrap().1.ready = true;
            TaskReport::Ready { store_address: Some(format!("{task}:1")) }
        } else if !process.joined {
            return;
        } else if ends && process.generation.is_some_and(|known| self.generations.get(&task.job) != Some(&known.0)) {
            // Its group is over, and it can't do the rest alone.
            return;
        } else if ends && (process.generation.is_none() || which.is_multiple_of(3)) {
            // Trainings take longer than anything else.
            TaskReport::Succeeded { figures: BTreeMap::from([("loss".into(), f64::from(which))]) }
        } else {
            TaskReport::Progress(Progress { done: u64::from(which), ..Progress::default() })
        };
        self.tell(&worker, slot, task, report);
    }

    /// Some rank loses sight of its group, and says whom it has not met.
    pub(super) fn part(&mut self, which: u16) {
        let Some((worker, slot, task, process)) = self.process(which) else { return };
        let Some(generation) = process.generation else { return };
        if which.is_multiple_of(5) {
            return self.tell(&worker, slot, task, TaskReport::Silence { over: which.is_multiple_of(2) });
        }
        let met = which.is_multiple_of(3);
        let missing = TaskId { member: u32::from(which / 3 % 4), ..task.clone() };
        let missing = if met { Vec::new() } else { vec![missing] };
        self.tell(&worker, slot, task, TaskReport::Parted { generation, missing, reason: "no answer".into() });
    }

    pub(super) fn fail(&mut self, which: u16) {
        let Some((worker, slot, task, _)) = self.process(which) else { return };
        let report = match which % 8 {
            0 => TaskReport::Failed { cause: Cause::Input, message: "bad".into() },
            1..=3 => TaskReport::Failed { cause: Cause::Crash, message: "gone".into() },
            4 => TaskReport::Stopped,
            _ => TaskReport::Failed { cause: Cause::Environment, message: "net".into() },
        };
        self.tell(&worker, slot, task, report);
    }

    /// The agent of a process passes on what it says, and keeps its end until it is told that nobody needs it again.
    fn tell(&mut self, worker: &WorkerId, slot: u32, task: TaskId, report: TaskReport) {
        if matches!(report, TaskReport::Succeeded { .. }) {
            self.done.insert(task.job.clone());
        }
        let agent = self.agents.get_mut(worker).unwrap();
        if matches!(report, TaskReport::Succeeded { .. } | TaskReport::Failed { .. } | TaskReport::Stopped) {
            agent.slots.remove(&slot);
            agent.unsettled.insert(task.clone(), (slot, report.clone()));
        }
        if let Some(from) = agent.lease.clone() {
            self.say(Event::Task { from, task, report });
        }
    }

    /// A process of an agent that speaks.
    fn process(&self, which: u16) -> Option<(WorkerId, u32, TaskId, Process)> {
        let all: Vec<_> = self
            .agents
            .iter()
            .filter(|(_, agent)| agent.speaks)
            .flat_map(|(worker, agent)| agent.slots.iter().map(move |(slot, held)| (worker, *slot, held)))
            .collect();
        pick(&all, which).map(|&(worker, slot, (task, process))| (worker.clone(), slot, task.clone(), process.clone()))
    }
}
