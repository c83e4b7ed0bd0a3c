//! `cargo xtask demo`: from nothing to a report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{cargo, setup};

/// What a demo may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder or CSV manifest of your own images, in place of phantoms
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many workers train
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Where phantoms, shards, models and the report go [default: vismae-data in the checkout]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Sets up, builds in release and runs `examples/demo.toml`.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(data) = options.data.as_ref().filter(|data| !data.exists()) {
        bail!("`--data {}` does not exist, expected a folder or a CSV manifest", data.display());
    }
    let ready = setup::run()?;
    cargo::run(cargo::command(
        &ready,
        ["build", "--release", "--locked", "--package", "vismae-cli", "--package", "vismae-worker"],
    ))?;

    let vismae = cargo::target_folder(&ready)?.join("release").join(format!("vismae{}", std::env::consts::EXE_SUFFIX));
    let out = options.out.clone().unwrap_or_else(|| ready.places.checkout.join("vismae-data"));
    let out = std::path::absolute(&out).with_context(|| format!("`{}` is no usable path", out.display()))?;
    let input = match &options.data {
        Some(data) => std::path::absolute(data)?,
        None => phantoms(&vismae, &out)?,
    };
    let mut pipeline = Command::new(&vismae);
    pipeline
        .arg("run")
        .arg(ready.places.checkout.join("examples/demo.toml"))
        .arg("--workers")
        .arg(options.workers.to_string())
        .arg("--store")
        .arg(&out)
        .arg("--input")
        .arg(input);
    cargo::run(pipeline)
}

/// The phantom images below `out`: those that are there, or new ones that get their name when they are whole.
fn phantoms(vismae: &Path, out: &Path) -> Result<PathBuf> {
    let (whole, partial) = (out.join("phantom"), out.join("phantom.partial"));
    if whole.is_dir() {
        return Ok(whole);
    }
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("leftover `{}` cannot be removed", partial.display()))?;
    }
    let mut make = Command::new(vismae);
    make.arg("phantom").arg(&partial);
    cargo::run(make)?;
    fs::rename(&partial, &whole).with_context(|| format!("`{}` cannot be put in place", whole.display()))?;
    Ok(whole)
}
