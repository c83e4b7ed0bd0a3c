//! What can happen to a cluster.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;
use serde::Serialize;

use super::draw::Draw;
use super::lab::Cut;
use super::site::Site;
use super::storage::{Bucket, Storage, any};
use crate::cluster::{descendants, try_signal};
use crate::faults::{Fault as Spoiled, Rule, When};

/// How long a process is away before it is started again.
const AWAY: Duration = Duration::from_secs(1);
/// Longer than silence is taken for anything but an end.
const LONG: Duration = Duration::from_secs(8);
/// Shorter than that.
const SHORT: Duration = Duration::from_secs(3);
/// How long a store, or a node, is not what it should be: longer than from one checkpoint to the next.
const SPELL: Duration = Duration::from_secs(4);
/// How late a store answers that stalls.
const STALL: Duration = Duration::from_secs(5);

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
    /// All that a node sends or is sent is lost, for 8 s.
    CutOffNode,
    /// All that is sent to a node is lost, for 8 s.
    DeafenNode,
    /// All that a node sends is lost, for 8 s.
    MuteNode,
    /// No checkpoint can be written for 4 s, for its folder is none.
    RefuseCheckpoints,
    /// The disk of the store has no byte left, for 4 s.
    FillDisk,
    /// Of five requests to the store four get an error of the server, for 4 s.
    FailStore,
    /// The store answers 5 s late whatever it is asked for 4 s.
    StallStore,
    /// What is written to the store for 4 s breaks off half-way.
    TearUploads,
}

impl Fault {
    /// What can happen anywhere, by families: each comes as often as any other.
    pub const ANYWHERE: [&'static [Self]; 5] = [
        &[Self::KillTrainer],
        &[Self::KillAgent, Self::KillNode],
        &[Self::KillCoordinator],
        &[Self::HangTrainer, Self::HangNode, Self::PauseTrainer],
        &[Self::SlowNode],
    ];
    /// What can happen to nodes on a network of their own.
    pub const OF_NETWORKS: [&'static [Self]; 1] = [&[Self::CutOffNode, Self::DeafenNode, Self::MuteNode]];

    /// What can happen to a store.
    pub fn of_stores(storage: &Storage) -> &'static [&'static [Self]] {
        match storage {
            Storage::Folder(_, None) => &[&[Self::RefuseCheckpoints]],
            Storage::Folder(_, Some(_)) => &[&[Self::FillDisk]],
            Storage::Bucket(_) => &[&[Self::FailStore], &[Self::StallStore], &[Self::TearUploads]],
        }
    }

    /// Whether the group of ranks that it hits has to be replaced.
    pub fn breaks_groups(self) -> bool {
        self.is_loss() || self.is_silence()
    }

    /// Whether a process is gone for good: its connections tell of it at once.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::KillTrainer | Self::KillNode | Self::KillAgent)
    }

    /// Whether only a lease can tell of it.
    pub fn is_silence(self) -> bool {
        matches!(self, Self::HangTrainer | Self::HangNode | Self::CutOffNode | Self::DeafenNode | Self::MuteNode)
    }
}

/// A fault that was injected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Injected {
    pub(super) fault: Fault,
    /// When, in seconds since 1970.
    pub(super) time: f64,
}

impl Site<'_> {
    /// Lets a fault happen to a pipeline's run, and what follows from it; none where its victim is not there now.
    pub(super) fn inject(&mut self, fault: Fault, pipeline: &str, draw: &mut Draw) -> Option<Injected> {
        let node = draw.below(self.nodes.len());
        let agent = self.nodes[node].id();
        let trainer = descendants(agent).first().copied();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let (lab, storage) = (self.ground.lab, self.ground.storage);
        let cut = |cut| lab.map(|lab| lab.cut(node, cut, LONG));
        match (fault, trainer) {
            (Fault::KillCoordinator, _) => {
                self.coordinator.kill();
                std::thread::sleep(AWAY);
                self.restart_coordinator();
            }
            (Fault::RefuseCheckpoints, _) => refuse_checkpoints(&storage.folder(pipeline)?, pipeline)?,
            (Fault::FillDisk, _) => match storage {
                Storage::Folder(_, Some(disk)) => disk.fill(SPELL),
                _ => return None,
            },
            (Fault::FailStore, _) => {
                let errors = [500, 503].map(|status| any(When::Share(0.4), Spoiled::Status(status)));
                bucket(storage)?.spoil_for(errors.concat(), SPELL)?;
            }
            (Fault::StallStore, _) => {
                bucket(storage)?.spoil_for(any(When::Always, Spoiled::Late(STALL)).to_vec(), SPELL)?;
            }
            (Fault::TearUploads, _) => {
                let tear = Rule { method: Method::PUT, path: "/", when: When::Always, fault: Spoiled::TornUpload };
                bucket(storage)?.spoil_for(vec![tear], SPELL)?;
            }
            (_, None) => return None,
            (Fault::KillTrainer, Some(trainer)) => try_signal("KILL", trainer).then_some(())?,
            (Fault::KillNode, Some(trainer)) => {
                try_signal("KILL", trainer);
                self.nodes[node].kill();
                std::thread::sleep(AWAY);
                self.restart_node(node);
            }
            (Fault::KillAgent, Some(_)) => {
                self.nodes[node].kill();
                std::thread::sleep(AWAY);
                self.restart_node(node);
            }
            (Fault::HangTrainer, Some(trainer)) => hold(&[trainer], LONG),
            (Fault::HangNode, Some(trainer)) => hold(&[agent, trainer], LONG),
            (Fault::PauseTrainer, Some(trainer)) => hold(&[trainer], SHORT),
            (Fault::SlowNode, Some(trainer)) => {
                let began = Instant::now();
                while began.elapsed() < SPELL {
                    hold(&[trainer], Duration::from_millis(50));
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            (Fault::CutOffNode, Some(_)) => cut(Cut::Both)?,
            (Fault::DeafenNode, Some(_)) => cut(Cut::Into)?,
            (Fault::MuteNode, Some(_)) => cut(Cut::OutOf)?,
        }
        Some(Injected { fault, time })
    }
}

fn bucket(storage: &Storage) -> Option<&Bucket> {
    match storage {
        Storage::Bucket(bucket) => Some(bucket),
        Storage::Folder(..) => None,
    }
}

/// Puts a file where the folder of checkpoints was: whatever is written under it fails. A trainer that writes at this very moment may have
/// made the folder anew; then nothing comes of it.
fn refuse_checkpoints(store: &Path, pipeline: &str) -> Option<()> {
    let folder = store.join("runs").join(format!("{pipeline}.pretrain")).join("checkpoints");
    let aside = folder.with_extension("aside");
    std::fs::rename(&folder, &aside).ok()?;
    if std::fs::write(&folder, b"").is_ok() {
        std::thread::sleep(SPELL);
        std::fs::remove_file(&folder).ok();
    }
    if std::fs::rename(&aside, &folder).is_err() {
        std::fs::remove_dir_all(&folder).ok();
        std::fs::rename(&aside, &folder).expect("the folder comes back");
    }
    Some(())
}

/// Lets processes not run for a while. One may end by itself at any moment, which is as good as what it was meant for.
pub(super) fn hold(processes: &[u32], time: Duration) {
    let send = |name| processes.iter().filter(|process| try_signal(name, **process)).count();
    send("STOP");
    std::thread::sleep(time);
    send("CONT");
}
