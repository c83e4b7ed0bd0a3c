//! A pre-training under faults, beside one that nothing happens to: what was done to it, how soon it went on each time, what it kept of its
//! speed, and whether it came to the same.
//!
//! Everything is real: processes of the built binaries, killed, paused and slowed down; nodes on a network that loses what they send; a disk
//! that is full; a server of S3 that fails, stalls and gets half of what it is told to expect. The faults are drawn from a seed. What is
//! measured is read from the run's own record of steps, which says when each was taken and by which group of ranks.

mod draw;
mod faults;
mod lab;
mod record;
mod site;
mod soak;
mod storage;

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::cluster::{quick_job, succeed, vismae, wait_for};
use draw::Draw;
pub use faults::Fault;
use faults::Injected;
pub use lab::{Disk, Lab};
use record::{Aftermath, Step, aborted, aftermath, distance, gap_after, restored, steps};
pub use site::Ground;
use site::Site;
pub use soak::{Soak, Soaked};
pub use storage::{Bucket, Storage};

/// Steps of a pass over the phantom corpus.
pub const STEPS: u32 = 6;
/// Passes of a run that shows how quick the machine is.
const GAUGED: u32 = 40;

/// What is done to a run, and for how long.
#[derive(Debug, Clone)]
pub struct Chaos {
    /// What the faults are drawn from.
    pub seed: u64,
    /// Passes over the phantom corpus, of [`STEPS`] steps each.
    pub epochs: u32,
    /// From the beginning of one fault to that of the next, on average; what takes longer is followed by the next one soon.
    pub gap: Duration,
    /// Families of kinds of faults; each comes as often as any other.
    pub families: Vec<&'static [Fault]>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What the faults were drawn from.
    pub seed: u64,
    /// What the runs were kept in.
    pub store: &'static str,
    /// How often each kind came, and what it cost.
    pub faults: Vec<Cost>,
    /// Steps of the run.
    pub steps: u64,
    /// Steps that were begun twice, for the group that began them broke.
    pub steps_repeated: u64,
    /// Times that a checkpoint had to be read.
    pub restores: u64,
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
    /// Whether a process was gone for good.
    pub is_loss: bool,
    /// Whether only a lease could tell of it.
    pub is_silence: bool,
    /// Seconds from each of them to the next step that was kept, sorted; where no rank was to be lost, the longest time between two steps
    /// after it.
    pub seconds: Vec<f64>,
    /// How often it came besides to a node of which no rank was in the group, so that there was nothing to recover from.
    pub spared: u64,
}

/// Steps a second of a short run that nothing happens to, in a folder that holds the phantoms.
///
/// # Panics
/// As [`Chaos::run`].
pub fn gauge(folder: &Path, ground: Ground<'_>) -> f64 {
    let calm = Chaos { seed: 0, epochs: GAUGED, gap: Duration::ZERO, families: Vec::new() };
    calm.train(folder, ground, ("gauge", false));
    let steps = steps(ground.storage, "gauge");
    (steps.len() - 1) as f64 / lasted(&steps)
}

impl Chaos {
    /// Runs both in a folder that holds the phantoms, and compares them.
    ///
    /// # Panics
    /// When something does not come within the patience of tests.
    pub fn run(&self, folder: &Path, ground: Ground<'_>) -> Report {
        let storage = ground.storage;
        let (calm, _) = self.train(folder, ground, ("calm", false));
        let (wild, logs) = self.train(folder, ground, ("wild", true));
        let (calm_steps, wild_steps) = (steps(storage, "calm"), steps(storage, "wild"));
        assert_eq!(calm_steps.len(), wild_steps.len(), "steps of both runs");
        let audit = audit(storage, "wild");
        assert!(calm.is_empty(), "faults in a calm run");
        let losses = wild_steps.iter().zip(&calm_steps).map(|(wild, calm)| ((wild.loss - calm.loss) / calm.loss).abs());
        Report {
            seed: self.seed,
            store: storage.word(),
            faults: costs(&wild, &wild_steps),
            steps: wild_steps.len() as u64,
            steps_repeated: aborted(&logs),
            restores: restored(&logs),
            groups: audit["groups"].as_u64().unwrap_or(0),
            calm_seconds: lasted(&calm_steps),
            wild_seconds: lasted(&wild_steps),
            is_exact: audit["exact"] == true,
            loss_distance: losses.fold(0.0, f64::max),
            weights_distance: distance(storage, "wild", "calm"),
        }
    }

    /// Trains from the first step to the last, on a cluster of its own; gives the faults that it was under, and what was logged.
    fn train(&self, folder: &Path, ground: Ground<'_>, (name, is_wild): (&str, bool)) -> (Vec<Injected>, String) {
        let rest = format!(
            "epochs = {}\nlanes = 12\nslots = {}\nmin_slots = 1\ncheckpoints = {{ every = 50 }}",
            self.epochs, ground.trainers
        );
        let mut site = Site::start(folder.join(format!("{}-{name}", ground.storage.word().replace(' ', "-"))), ground);
        submit(&site, folder, name, &rest);
        wait_for("the first steps", || {
            let job = pretrain(&site, name);
            job["progress"]["done"].as_u64() > Some(6) || is_over(&job)
        });
        let mut injected = Vec::new();
        let mut draw = Draw::new(self.seed);
        while is_wild && !is_over(&pretrain(&site, name)) {
            let began = Instant::now();
            let fault = draw.next_fault(&self.families);
            injected.extend(site.inject(fault, name, &mut draw));
            let next = self.gap.mul_f64(draw.between(0.7, 1.3));
            std::thread::sleep(next.saturating_sub(began.elapsed()).max(self.gap / 5));
        }
        let watched = site.ask(&["watch", name]);
        let said = String::from_utf8_lossy(&watched.stderr);
        assert_eq!(watched.status.code(), Some(0), "seed {}: {said}\n{injected:?}", self.seed);
        (injected, site.logs())
    }
}

/// Writes the phantoms that jobs in this folder read.
///
/// # Panics
/// When they can't be written.
pub fn write_phantoms(folder: &Path) {
    succeed(&["phantom", &folder.join("phantom").to_string_lossy(), "--size", "10"]);
}

/// Submits a pipeline that ingests the phantoms and pre-trains.
fn submit(site: &Site<'_>, folder: &Path, name: &str, pretrain: &str) {
    let file = quick_job(folder, name, pretrain);
    let submitted = site.ask(&["submit", &file, "--store", &site.ground.storage.url(name)]);
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
}

/// The pre-training of a pipeline as the coordinator sees it.
fn pretrain(site: &Site<'_>, name: &str) -> Value {
    let pipelines = site.json(&["jobs"]);
    let mut ours = pipelines.as_array().into_iter().flatten().filter(|pipeline| pipeline["name"] == name);
    ours.next().map_or(Value::Null, |pipeline| pipeline["jobs"][1].clone())
}

fn is_over(job: &Value) -> bool {
    ["succeeded", "failed", "cancelled"].iter().any(|state| job["state"] == *state)
}

fn audit(storage: &Storage, name: &str) -> Value {
    let audit = vismae(&["audit", &format!("{name}.pretrain"), "--store", &storage.url(name), "-o", "json"]);
    serde_json::from_slice(&audit.stdout).unwrap_or_default()
}

/// Seconds from the end of the first step to that of the last.
fn lasted(steps: &[Step]) -> f64 {
    steps.last().map_or(0.0, |last| last.time) - steps.first().map_or(0.0, |first| first.time)
}

/// What each fault cost, by kind.
fn costs(injected: &[Injected], steps: &[Step]) -> Vec<Cost> {
    let mut costs: Vec<Cost> = Vec::new();
    for (number, &Injected { fault, time }) in injected.iter().enumerate() {
        let until = injected.get(number + 1).map_or(f64::INFINITY, |next| next.time);
        let of_calm = || gap_after(steps, time, until).map(Aftermath::Replaced);
        let aftermath = if fault.breaks_groups() { aftermath(steps, time) } else { of_calm() };
        // Behind the last step nothing is left that could go on.
        let Some(aftermath) = aftermath else { continue };
        let at = costs.iter().position(|cost| cost.fault == fault).unwrap_or(costs.len());
        if at == costs.len() {
            let (is_loss, is_silence) = (fault.is_loss(), fault.is_silence());
            costs.push(Cost { fault, is_loss, is_silence, seconds: Vec::new(), spared: 0 });
        }
        match aftermath {
            Aftermath::Replaced(seconds) => costs[at].seconds.push(seconds),
            Aftermath::Spared => costs[at].spared += 1,
        }
    }
    costs.iter_mut().for_each(|cost| cost.seconds.sort_by(f64::total_cmp));
    costs
}
