//! `cargo xtask demo`: from nothing to a report.

mod own_images;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{cargo, setup};

/// What a demo may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder or CSV manifest of your own images, in place of phantoms
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where phantoms, shards, models and the report go [default: vismae-data in the checkout]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Sets up, builds in release and runs `examples/demo.toml`.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(data) = options.data.as_ref().filter(|data| !data.exists()) {
        bail!("`--data {}` does not exist, expected a folder, an archive or a CSV manifest", data.display());
    }
    let ready = setup::run()?;
    cargo::run(cargo::command(
        &ready,
        ["build", "--release", "--locked", "--package", "vismae-cli", "--package", "vismae-worker"],
    ))?;

    let programs = cargo::target_folder(&ready)?.join("release");
    let vismae = programs.join(format!("vismae{}", std::env::consts::EXE_SUFFIX));
    let out = options.out.clone().unwrap_or_else(|| ready.places.checkout.join("vismae-data"));
    let out = std::path::absolute(&out).with_context(|| format!("`{}` is no usable path", out.display()))?;
    let demo = ready.places.checkout.join("examples/demo.toml");
    let mut pipeline = Command::new(&vismae);
    pipeline.arg("run");
    match &options.data {
        Some(data) => pipeline.arg(own_images::job_file(&vismae, &demo, data, &out)?),
        None => pipeline.arg(&demo).arg("--input").arg(phantoms(&vismae, &out)?),
    };
    pipeline.arg("--store").arg(&out);
    println!("the programs are in {}", programs.display());
    cargo::run(pipeline)
}

/// Draws the phantom images below `out`. They get their name when they are whole, and take the place of those that an older
/// version of this program may have drawn.
fn phantoms(vismae: &Path, out: &Path) -> Result<PathBuf> {
    let (whole, partial) = (out.join("phantom"), out.join("phantom.partial"));
    // What is there under this name is replaced only if a demo drew it.
    let drawn = out.join("phantom.drawn");
    if whole.exists() && !drawn.exists() {
        bail!("`{}` was not drawn by a demo: move it away, or choose another `--out`", whole.display());
    }
    clear(&partial)?;
    let mut make = Command::new(vismae);
    // Its own words would name a folder that is gone when they are read.
    make.arg("phantom").arg(&partial).stdout(Stdio::null());
    cargo::run(make)?;
    clear(&whole)?;
    fs::write(&drawn, "The folder `phantom` beside this file is drawn anew by each demo.\n")
        .with_context(|| format!("`{}` cannot be written", drawn.display()))?;
    fs::rename(&partial, &whole).with_context(|| format!("`{}` cannot be put in place", whole.display()))?;
    println!("the phantoms are in {}", whole.display());
    Ok(whole)
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("`{}` cannot be removed", folder.display()))?;
    }
    Ok(())
}
