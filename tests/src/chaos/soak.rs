//! Workers that are slow and healthy: nobody is to be given up.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::draw::Draw;
use super::faults::hold;
use super::site::{Ground, Site};
use super::storage::{Storage, any};
use super::{audit, is_over, pretrain, submit};
use crate::cluster::{Process, descendants};
use crate::faults::{Fault as Spoiled, When};

/// Seconds that something stands still: never as long as a lease, which is 5 s, less what it may have been silent for before.
const PAUSES: (f64, f64) = (0.3, 3.0);
/// Seconds from one pause to the next.
const BREATHS: (f64, f64) = (0.5, 2.5);
/// Passes over the phantom corpus by each of the trainings, of 6 steps each.
const EPOCHS: u32 = 60;

/// How long, and what the pauses are drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Soak {
    /// What the pauses are drawn from.
    pub seed: u64,
    /// How long trainings are begun and disturbed.
    pub time: Duration,
}

/// What it came to.
#[derive(Debug, Serialize)]
pub struct Soaked {
    /// What the pauses were drawn from.
    pub seed: u64,
    /// What the runs were kept in.
    pub store: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// Processes that took every core as well.
    pub loads: usize,
    /// Trainings, one after the other.
    pub runs: u64,
    /// Steps of all of them.
    pub steps: u64,
    /// How often each stood still: `trainer`, `agent`, `node` or `coordinator`.
    pub pauses: BTreeMap<&'static str, u64>,
    /// The longest pause, in seconds.
    pub longest: f64,
    /// Requests to the store that were slow, or failed.
    pub slow_requests: u64,
    /// Groups of ranks, by what made them necessary; all but the first of each training are too many.
    pub groups: BTreeMap<String, u64>,
    /// Workers that were given up.
    pub workers_lost: u64,
    /// Times that an agent heard no pulse of a task, whether or not anything came of it.
    pub silences: u64,
    /// Tasks that failed.
    pub tasks_failed: u64,
    /// Trainings that did not succeed in their first attempt, or whose audit is not exact.
    pub runs_spoiled: u64,
}

impl Soak {
    /// Trains in a folder that holds the phantoms for as long as is asked for, and to the end of the last training.
    ///
    /// # Panics
    /// When something does not come within the patience of tests.
    pub fn run(&self, folder: &Path, ground: Ground<'_>) -> Soaked {
        let site = Site::start(folder.join("soak"), ground);
        let loads: Vec<Process> = (0..cores()).map(|_| load()).collect();
        if let Storage::Bucket(bucket) = ground.storage {
            let late = any(When::Share(0.5), Spoiled::Late(Duration::from_millis(400)));
            let failing = any(When::Share(0.05), Spoiled::Status(503));
            bucket.spoil([late, any(When::Share(0.2), Spoiled::Trickle), failing].concat());
        }
        let mut draw = Draw::new(self.seed);
        let began = Instant::now();
        let (mut runs, mut steps, mut runs_spoiled) = (0, 0, 0);
        let (mut pauses, mut longest) = (BTreeMap::new(), 0.0_f64);
        while began.elapsed() < self.time {
            runs += 1;
            let name = format!("soak-{runs}");
            let rest = format!(
                "epochs = {EPOCHS}\nlanes = 12\nslots = {}\nmin_slots = 1\ncheckpoints = {{ every = 20 }}",
                ground.trainers
            );
            submit(&site, folder, &name, &rest);
            while !is_over(&pretrain(&site, &name)) {
                let (what, processes) = victim(&site, &mut draw);
                let pause = draw.between(PAUSES.0, PAUSES.1);
                hold(&processes, Duration::from_secs_f64(pause));
                *pauses.entry(what).or_default() += 1;
                longest = longest.max(pause);
                std::thread::sleep(Duration::from_secs_f64(draw.between(BREATHS.0, BREATHS.1)));
            }
            let job = pretrain(&site, &name);
            let audit = audit(ground.storage, &name);
            steps += audit["steps"].as_u64().unwrap_or(0);
            let is_whole = job["state"] == "succeeded" && job["attempt"] == 0 && audit["exact"] == true;
            runs_spoiled += u64::from(!is_whole);
        }
        let seconds = began.elapsed().as_secs_f64();
        let loads = loads.len();
        let (logs, metrics) = (site.logs(), site.metrics());
        let lines = |words: &str| logs.lines().filter(|line| line.contains(words)).count() as u64;
        Soaked {
            seed: self.seed,
            store: ground.storage.word(),
            seconds,
            loads,
            runs,
            steps,
            pauses,
            longest,
            slow_requests: ground.storage.spoiled(),
            groups: counted(&metrics, "vismae_membership_changes_total"),
            workers_lost: lines("worker lost"),
            silences: lines("no pulse of the task"),
            tasks_failed: counted(&metrics, "vismae_tasks_failed_total").values().sum(),
            runs_spoiled,
        }
    }
}

/// What is to stand still, and its processes.
fn victim(site: &Site<'_>, draw: &mut Draw) -> (&'static str, Vec<u32>) {
    let agent = site.nodes[draw.below(site.nodes.len())].id();
    let tasks = descendants(agent);
    match draw.below(4) {
        0 => ("agent", vec![agent]),
        1 => ("coordinator", vec![site.coordinator.id()]),
        2 => ("node", [vec![agent], tasks].concat()),
        _ => ("trainer", tasks),
    }
}

/// A process that takes all of a core.
fn load() -> Process {
    let mut shell = Command::new("sh");
    shell.args(["-c", "while :; do :; done"]);
    Process::start(shell)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The values of a counter, by its only label.
fn counted(metrics: &str, counter: &str) -> BTreeMap<String, u64> {
    let series = metrics.lines().filter_map(|line| line.strip_prefix(counter)?.strip_prefix('{'));
    let value = |series: &str| {
        let (labels, value) = series.split_once("} ")?;
        Some((labels.split('"').nth(1)?.to_owned(), value.parse().ok()?))
    };
    series.filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_read_by_its_label() {
        let metrics = "# TYPE a counter\na{reason=\"lost\"} 3\na{reason=\"start\"} 1\nab{reason=\"lost\"} 7\n";
        assert_eq!(counted(metrics, "a"), BTreeMap::from([("lost".to_owned(), 3), ("start".to_owned(), 1)]));
    }
}
