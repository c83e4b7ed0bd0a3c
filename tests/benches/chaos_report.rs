//! `cargo xtask chaos`: pre-trainings under faults for as long as is asked for, and what they cost; or under nothing but slowness.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures are what it is for")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use vismae_tests::chaos::{
    Bucket, Chaos, Disk, Fault, Ground, Lab, Report, STEPS, Soak, Storage, gauge, write_phantoms,
};

/// What a run keeps of its speed, about.
const KEPT: f64 = 0.85;

#[derive(Debug, Parser)]
struct Options {
    /// What the faults are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the runs under faults are to take together, about
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Trainers
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    trainers: u8,
    /// Seconds from one fault to the next, on average
    #[arg(long, default_value_t = 10.0)]
    gap: f64,
    /// Slowness for so long, and no fault
    #[arg(long)]
    soak: bool,
    /// An empty folder
    #[arg(long)]
    folder: PathBuf,
    /// Whether this process has a network and mounts of its own, in which it may do as it likes
    #[arg(long)]
    apart: bool,
    /// As `cargo bench` calls it
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn ground<'a>(&self, lab: Option<&'a Lab>, storage: &'a Storage) -> Ground<'a> {
        Ground { lab, storage, trainers: self.trainers.into() }
    }
}

fn main() {
    let options = Options::parse();
    let mut left_out = Vec::new();
    let lab = lab(&options, &mut left_out);
    write_phantoms(&options.folder);
    let value = if options.soak {
        let soak = Soak { seed: options.seed, time: Duration::from_secs(options.seconds.into()) };
        let storage = bucket(lab.as_ref(), &mut left_out).unwrap_or_else(|| folder(&options, &mut left_out));
        let soaked = soak.run(&options.folder, options.ground(lab.as_ref(), &storage));
        json!({ "soak": soaked, "left_out": left_out })
    } else {
        let storage = folder(&options, &mut left_out);
        let ground = options.ground(lab.as_ref(), &storage);
        // Half of the time in each store.
        let steps = gauge(&options.folder, ground) * f64::from(options.seconds) / 2.0 * KEPT;
        let epochs = (steps / f64::from(STEPS)).ceil() as u32;
        let mut runs = vec![chaos(&options, epochs, ground)];
        // The disk goes with it.
        drop(storage);
        if let Some(storage) = bucket(lab.as_ref(), &mut left_out) {
            runs.push(chaos(&options, epochs, options.ground(lab.as_ref(), &storage)));
        }
        json!({ "runs": runs, "left_out": left_out })
    };
    println!("{value}");
}

fn chaos(options: &Options, epochs: u32, ground: Ground<'_>) -> Report {
    let Options { seed, gap, ref folder, .. } = *options;
    let mut families = Fault::ANYWHERE.to_vec();
    families.extend(Fault::of_stores(ground.storage));
    if ground.lab.is_some() {
        families.extend(Fault::OF_NETWORKS);
    }
    let report = Chaos { seed, epochs, gap: Duration::from_secs_f64(gap), families }.run(folder, ground);
    eprintln!(
        "{}: {} steps, {:.0} s without faults, {:.0} s under them",
        report.store, report.steps, report.calm_seconds, report.wild_seconds
    );
    report
}

/// The network of the nodes; where there can be none, what is left out for it is said.
fn lab(options: &Options, left_out: &mut Vec<Value>) -> Option<Lab> {
    let built = match options.apart {
        true => Lab::build(options.trainers),
        false => Err("no network namespaces are allowed here".to_owned()),
    };
    built.inspect_err(|reason| left_out.push(absent("partitions", reason))).ok()
}

/// A folder, on a disk that can become full where mounts are allowed.
fn folder(options: &Options, left_out: &mut Vec<Value>) -> Storage {
    let folder: PathBuf = Path::new(&options.folder).join("store");
    let disk = match options.apart {
        true => Disk::mount(&folder),
        false => Err("no mounts are allowed here".to_owned()),
    };
    let disk = disk.inspect_err(|reason| left_out.push(absent("full disks", reason))).ok();
    Storage::Folder(folder, disk)
}

fn bucket(lab: Option<&Lab>, left_out: &mut Vec<Value>) -> Option<Storage> {
    let bucket = Bucket::start(lab);
    if bucket.is_none() {
        left_out.push(absent("a store that fails, stalls and gets half", "no S3 server is installed"));
    }
    bucket.map(Storage::Bucket)
}

fn absent(what: &str, why: &str) -> Value {
    json!({ "what": what, "why": why })
}
