//! What every contender finds: our program, the images, the frames made of them and a corpus of these.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Options;
use crate::bench::{built, once};
use crate::cargo;
use crate::setup::Ready;

/// Keeps a process on one core.
const PIN: [&str; 3] = ["taskset", "--cpu-list", "0"];

/// The ground that all contend on.
#[derive(Debug)]
pub(super) struct Field {
    program: PathBuf,
    folder: PathBuf,
    /// Folders or sets that are ingested.
    pub(super) data: PathBuf,
    real: bool,
    frames: usize,
    distinct: u64,
    cores: usize,
    pinning: bool,
}

impl Field {
    /// Builds our program and makes frames and shards.
    pub(super) fn prepare(ready: &Ready, options: &Options) -> Result<Self> {
        let [program] = built(ready, &["--package", "vismae-shards", "--bench", "corpus"], ["corpus"])?;
        let folder = match &options.out {
            Some(out) => std::path::absolute(out).with_context(|| format!("`{}` is no usable path", out.display()))?,
            None => cargo::target_folder(ready)?.join("bench-corpus"),
        };
        // A run that was ended half-way may have left anything.
        let folder = folder.join("run");
        remove(&folder)?;
        fs::create_dir_all(folder.join("logs")).with_context(|| format!("`{}` cannot be made", folder.display()))?;
        let shared = ready.places.checkout.join("../shared/data");
        let data = options.data.clone().or_else(|| shared.is_dir().then_some(shared));
        let real = data.is_some();
        let data = match data {
            Some(data) => data.canonicalize().with_context(|| format!("`{}` cannot be found", data.display()))?,
            None => folder.join("phantom"),
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let pinning = cores > 1 && Command::new(PIN[0]).args(&PIN[1..]).arg("true").status().is_ok_and(|s| s.success());
        let mut field = Self { program, folder, data, real, frames: options.frames, distinct: 0, cores, pinning };
        if !real {
            eprintln!("no `../shared/data`: phantoms stand in");
            let data = field.data.clone();
            field.once("phantom", &[&data])?;
        }
        eprintln!("making {} frames of {}", field.frames, field.data.display());
        let count = field.frames.to_string();
        let (file, data) = (field.frames_file(), field.data.clone());
        let flags = ["--count".as_ref(), count.as_ref(), "--input".as_ref(), data.as_path()];
        let made = field.once("frames", &[&[file.as_path()], &flags[..]].concat())?;
        field.distinct = made["distinct"].as_u64().unwrap_or_default();
        field.once("shards", &[&file, &field.shards()])?;
        Ok(field)
    }

    /// The frames end to end.
    pub(super) fn frames_file(&self) -> PathBuf {
        self.folder.join("frames.bin")
    }

    /// The frames as a corpus.
    pub(super) fn shards(&self) -> PathBuf {
        self.folder.join("shards")
    }

    /// A folder for one contender.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What contenders say besides their answers.
    pub(super) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Our program as one contender.
    pub(super) fn ours(&self, name: &str, arguments: &[&Path]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name).args(arguments);
        command
    }

    /// Runs our program or a peer's to its end; gives its one line of answer.
    pub(super) fn once(&self, name: &str, arguments: &[&Path]) -> Result<Value> {
        once(self.ours(name, arguments))
    }

    /// Whether processes can be kept on one core.
    pub(super) fn can_pin(&self) -> bool {
        self.pinning
    }

    /// The same command, on one core.
    pub(super) fn pinned(&self, command: &Command) -> Command {
        let mut pinned = Command::new(PIN[0]);
        pinned.args(&PIN[1..]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        // The name that pyarrow takes the size of its pool from: it does not ask which cores it may use.
        pinned.env("OMP_NUM_THREADS", "1");
        pinned
    }

    /// What was measured, in a sentence.
    pub(super) fn describe(&self) -> String {
        let images = if self.real { "real images" } else { "phantoms" };
        format!(
            "{} frames of 224 x 224 pixels, {} of them distinct, made of {images}; {} cores; files in the page cache for all; \
             each contender is one process, measured after its start and a pass to warm up; medians with least and most",
            self.frames, self.distinct, self.cores
        )
    }

    pub(super) fn json(&self) -> Value {
        json!({ "frames": self.frames, "distinct": self.distinct, "real_images": self.real, "cores": self.cores })
    }

    /// Whether the images are real ones.
    pub(super) fn is_real(&self) -> bool {
        self.real
    }

    /// Removes all of it: what is measured is in the tables.
    pub(super) fn clear(&self) -> Result<()> {
        remove(&self.folder)
    }
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("`{}` cannot be removed", folder.display()))?;
    }
    Ok(())
}
