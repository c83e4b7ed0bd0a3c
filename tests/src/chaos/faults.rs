//! What can happen to a cluster.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::Draw;
use crate::cluster::{Process, descendants, go_on, kill, pause};

/// How long a process is away before it is started again.
const AWAY: Duration = Duration::from_secs(1);
/// Longer than silence is taken for anything but an end.
const LONG: Duration = Duration::from_secs(8);
/// Shorter than that.
const SHORT: Duration = Duration::from_secs(3);

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A trainer is killed; its agent starts another.
    KillTrainer,
    /// An agent and its trainer are killed, and the agent started again.
    KillNode,
    /// An agent is killed, whose trainer finds itself alone, and started again.
    KillAgent,
    /// The coordinator is killed, and started again on its state.
    KillCoordinator,
    /// A trainer does not run for 8 s.
    HangTrainer,
    /// A whole node does not run for 8 s.
    HangNode,
    /// A trainer does not run for 3 s, which nobody is to take for an end.
    PauseTrainer,
    /// A node gets half of its time, for 4 s.
    SlowNode,
    /// No checkpoint can be written for 4 s.
    RefuseCheckpoints,
}

impl Fault {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::KillTrainer,
        Self::KillNode,
        Self::KillAgent,
        Self::KillCoordinator,
        Self::HangTrainer,
        Self::HangNode,
        Self::PauseTrainer,
        Self::SlowNode,
        Self::RefuseCheckpoints,
    ];

    /// Whether the group of ranks that it hits has to be replaced.
    pub fn breaks_groups(self) -> bool {
        matches!(self, Self::KillTrainer | Self::KillNode | Self::KillAgent | Self::HangTrainer | Self::HangNode)
    }

    /// Whether the connection of a dead process tells of it at once, and nobody has to wait for a silence to be long enough.
    pub fn is_seen_at_once(self) -> bool {
        matches!(self, Self::KillTrainer | Self::KillNode)
    }
}

/// A fault that was injected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Injected {
    pub(super) fault: Fault,
    /// When, in seconds since 1970.
    pub(super) time: f64,
}

/// The processes of a cluster, and what starts them again.
pub(super) struct Site<'a> {
    logs: PathBuf,
    starts: u32,
    up: Box<dyn Fn() -> Command + 'a>,
    agent: Box<dyn Fn(u32) -> Command + 'a>,
    coordinator: Process,
    nodes: Vec<Process>,
    runs: PathBuf,
}

impl<'a> Site<'a> {
    pub(super) fn new(
        logs: PathBuf,
        up: Box<dyn Fn() -> Command + 'a>,
        agent: Box<dyn Fn(u32) -> Command + 'a>,
        nodes: u32,
        runs: PathBuf,
    ) -> Self {
        let coordinator = Process::start_logged(up(), &logs.join("coordinator.log"));
        let nodes = (0..nodes).map(|node| Process::start_logged(agent(node), &logs.join(format!("node-{node}.log"))));
        Self { starts: 0, coordinator, nodes: nodes.collect(), logs, up, agent, runs }
    }

    /// Lets a fault happen, and what follows from it; none where its victim is not there now.
    pub(super) fn inject(&mut self, fault: Fault, draw: &mut Draw) -> Option<Injected> {
        let node = draw.below(self.nodes.len());
        let agent = self.nodes[node].id();
        let trainer = descendants(agent).first().copied();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        match (fault, trainer) {
            (Fault::KillTrainer, Some(trainer)) => kill(trainer),
            (Fault::KillNode, Some(trainer)) => {
                kill(trainer);
                self.nodes[node].kill();
                self.start_again(node);
            }
            (Fault::KillAgent, Some(_)) => {
                self.nodes[node].kill();
                self.start_again(node);
            }
            (Fault::KillCoordinator, _) => {
                self.coordinator.kill();
                std::thread::sleep(AWAY);
                self.starts += 1;
                let log = self.logs.join(format!("coordinator-{}.log", self.starts));
                self.coordinator = Process::start_logged((self.up)(), &log);
            }
            (Fault::HangTrainer, Some(trainer)) => hold(&[trainer], LONG),
            (Fault::HangNode, Some(trainer)) => hold(&[agent, trainer], LONG),
            (Fault::PauseTrainer, Some(trainer)) => hold(&[trainer], SHORT),
            (Fault::SlowNode, Some(trainer)) => {
                let began = Instant::now();
                while began.elapsed() < Duration::from_secs(4) {
                    hold(&[trainer], Duration::from_millis(50));
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            (Fault::RefuseCheckpoints, _) => {
                // A file where the folder was: whatever is written under it fails, as on a full disk. A trainer that writes at this
                // very moment may have made the folder anew; then nothing comes of it.
                let folder = self.runs.join("wild.pretrain").join("checkpoints");
                let aside = folder.with_extension("aside");
                std::fs::rename(&folder, &aside).ok()?;
                if std::fs::write(&folder, b"").is_ok() {
                    std::thread::sleep(Duration::from_secs(4));
                    std::fs::remove_file(&folder).ok();
                }
                if std::fs::rename(&aside, &folder).is_err() {
                    std::fs::remove_dir_all(&folder).ok();
                    std::fs::rename(&aside, &folder).expect("the folder comes back");
                }
            }
            (_, None) => return None,
        }
        Some(Injected { fault, time })
    }

    fn start_again(&mut self, node: usize) {
        std::thread::sleep(AWAY);
        self.starts += 1;
        let log = self.logs.join(format!("node-{node}-{}.log", self.starts));
        self.nodes[node] = Process::start_logged((self.agent)(node as u32), &log);
    }
}

/// Lets processes not run for a while.
fn hold(processes: &[u32], time: Duration) {
    let there = |process: &&u32| std::path::Path::new(&format!("/proc/{process}")).exists();
    let processes: Vec<u32> = processes.iter().filter(there).copied().collect();
    // One may end by itself at any moment, which is as good as what it was meant for.
    let send = |signal: fn(u32)| {
        processes.iter().filter(there).for_each(|&process| {
            std::panic::catch_unwind(|| signal(process)).ok();
        })
    };
    send(pause);
    std::thread::sleep(time);
    send(go_on);
}
