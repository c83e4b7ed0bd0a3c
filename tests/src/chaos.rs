//! A pre-training under faults, beside one that nothing happens to: what was done to it, how soon it went on each time, what it kept of its
//! speed, and whether it came to the same.
//!
//! Everything is real: processes of the built binaries, killed, paused and slowed down; a folder as store, in which no checkpoint can be
//! written for a while. The faults are drawn from a seed. What is measured is read from the run's own record of steps, which says
//! when each was taken and by which group of ranks.

mod draw;
mod faults;
mod record;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::cluster::{binary, command, free_port, quick_job, succeed, vismae, wait_for};
use draw::Draw;
pub use faults::Fault;
use faults::{Injected, Site};
use record::{Step, distance, gap_after, next_of_another_group, steps};

/// What is done to a run, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Chaos {
    /// What the faults are drawn from.
    pub seed: u64,
    /// Passes over the phantom corpus, of 6 steps each.
    pub epochs: u32,
    /// Trainers, each on a node of its own.
    pub trainers: u32,
    /// From one fault to the next, on average.
    pub gap: Duration,
    /// Kinds of faults; each comes as often as any other.
    pub kinds: &'static [Fault],
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What the faults were drawn from.
    pub seed: u64,
    /// How often each kind came, and what it cost.
    pub faults: Vec<Cost>,
    /// Steps of the run.
    pub steps: u64,
    /// Groups of ranks that took them.
    pub groups: u64,
    /// Seconds from the first step to the last, of the run that nothing happened to.
    pub calm_seconds: f64,
    /// The same of the one under faults.
    pub wild_seconds: f64,
    /// Whether the audit of the run found it exact.
    pub is_exact: bool,
    /// Greatest relative difference of the losses of a step.
    pub loss_distance: f64,
    /// Norm of the difference of the weights, over that of the weights.
    pub weights_distance: f64,
}

/// What a kind of fault cost.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// The kind.
    pub fault: Fault,
    /// Seconds from each of them to the next step that was kept, sorted; where no rank was to be lost, the longest time between two steps
    /// after it.
    pub seconds: Vec<f64>,
}

impl Cost {
    /// The one in the middle.
    pub fn median(&self) -> f64 {
        self.share(0.5)
    }

    /// So many of hundred are not above it.
    pub fn share(&self, share: f64) -> f64 {
        let last = self.seconds.len().saturating_sub(1);
        self.seconds.get((last as f64 * share).ceil() as usize).copied().unwrap_or(f64::NAN)
    }
}

impl Report {
    /// How much of its speed the run kept.
    pub fn throughput_kept(&self) -> f64 {
        self.calm_seconds / self.wild_seconds
    }
}

impl Chaos {
    /// Runs both in a folder that is empty, and compares them.
    ///
    /// # Panics
    /// When something does not come within the patience of tests.
    pub fn run(&self, folder: &Path) -> Report {
        succeed(&["phantom", &folder.join("phantom").to_string_lossy(), "--size", "10"]);
        let calm = self.train(folder, "calm", false);
        let wild = self.train(folder, "wild", true);
        let (calm_steps, wild_steps) = (steps(folder, "calm"), steps(folder, "wild"));
        assert_eq!(calm_steps.len(), wild_steps.len(), "steps of both runs");
        let store = folder.join("wild").to_string_lossy().into_owned();
        let audit = vismae(&["audit", "wild.pretrain", "--store", &store, "-o", "json"]);
        let audit: Value = serde_json::from_slice(&audit.stdout).unwrap_or_default();
        assert!(calm.is_empty(), "faults in a calm run");
        let losses = wild_steps.iter().zip(&calm_steps).map(|(wild, calm)| ((wild.loss - calm.loss) / calm.loss).abs());
        let seconds =
            |steps: &[Step]| steps.last().map_or(0.0, |last| last.time) - steps.first().map_or(0.0, |first| first.time);
        Report {
            seed: self.seed,
            faults: costs(&wild, &wild_steps),
            steps: wild_steps.len() as u64,
            groups: audit["groups"].as_u64().unwrap_or(0),
            calm_seconds: seconds(&calm_steps),
            wild_seconds: seconds(&wild_steps),
            is_exact: audit["exact"] == true,
            loss_distance: losses.fold(0.0, f64::max),
            weights_distance: distance(folder, "wild", "calm"),
        }
    }

    /// Trains from the first step to the last, on a cluster of its own; gives the faults that it was under.
    fn train(&self, folder: &Path, name: &str, is_wild: bool) -> Vec<Injected> {
        let file = self.job_file(folder, name);
        let address = format!("127.0.0.1:{}", free_port());
        let url = format!("http://{address}");
        let up = || {
            let mut up = command(&["up", "--listen", &address]);
            up.arg("--state").arg(folder.join(format!("{name}-state")));
            up
        };
        let agent = |number: u32| {
            let mut agent = Command::new(binary("vismae-worker"));
            agent.args([
                "agent",
                "--name",
                &format!("node-{number}"),
                "--threads",
                "1",
                "--device",
                "cpu",
                "--slots",
                "1",
            ]);
            agent.args(["--coordinator", &url]);
            agent
        };
        let logs = folder.join(format!("{name}-logs"));
        std::fs::create_dir_all(&logs).expect("a new folder");
        let mut site = Site::new(logs, Box::new(up), Box::new(agent), self.trainers, folder.join(name).join("runs"));
        let at = ["--coordinator", url.as_str()];
        wait_for("the coordinator", || vismae(&[&["jobs"][..], &at].concat()).status.success());
        succeed(&[&["submit", file.as_str()][..], &at].concat());
        let pretrain = || -> Value {
            let jobs = vismae(&[&["jobs", "-o", "json"][..], &at].concat());
            serde_json::from_slice::<Value>(&jobs.stdout).unwrap_or_default()[0]["jobs"][1].clone()
        };
        let is_over = |job: &Value| ["succeeded", "failed", "cancelled"].iter().any(|state| job["state"] == *state);
        wait_for("the first steps", || pretrain()["progress"]["done"].as_u64() > Some(6) || is_over(&pretrain()));
        let mut injected = Vec::new();
        let mut draw = Draw::new(self.seed);
        while is_wild && !is_over(&pretrain()) {
            let fault = draw.next_fault(self.kinds);
            injected.extend(site.inject(fault, &mut draw));
            std::thread::sleep(self.gap.mul_f64(draw.between(0.7, 1.3)));
        }
        let watched = vismae(&[&["watch", name][..], &at].concat());
        let said = String::from_utf8_lossy(&watched.stderr);
        assert_eq!(watched.status.code(), Some(0), "seed {}: {said}\n{injected:?}", self.seed);
        injected
    }

    fn job_file(&self, folder: &Path, name: &str) -> String {
        let Self { epochs, trainers, .. } = self;
        let rest =
            format!("epochs = {epochs}\nlanes = 12\nslots = {trainers}\nmin_slots = 1\ncheckpoints = {{ every = 50 }}");
        quick_job(folder, name, &rest)
    }
}

/// What each fault cost, by kind.
fn costs(injected: &[Injected], steps: &[Step]) -> Vec<Cost> {
    let mut costs: Vec<Cost> = Vec::new();
    for (number, Injected { fault, time }) in injected.iter().enumerate() {
        let until = injected.get(number + 1).map_or(f64::INFINITY, |next| next.time);
        let seconds = match fault.breaks_groups() {
            true => next_of_another_group(steps, *time),
            false => gap_after(steps, *time, until),
        };
        // Behind the last step nothing is left that could go on.
        let Some(seconds) = seconds else { continue };
        match costs.iter_mut().find(|cost| cost.fault == *fault) {
            Some(cost) => cost.seconds.push(seconds),
            None => costs.push(Cost { fault: *fault, seconds: vec![seconds] }),
        }
    }
    costs.iter_mut().for_each(|cost| cost.seconds.sort_by(f64::total_cmp));
    costs
}
