//! The clients of the tests, in Python: installed once into the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::libtorch;
use crate::places::Places;

/// Installs what `tests/clients/requirements.txt` names, unless it is there, and gives the folder.
pub(crate) fn install(places: &Places) -> Result<PathBuf> {
    let requirements = places.checkout.join("tests/clients/requirements.txt");
    let folder = places.clients(&requirements)?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let python = libtorch::PIP.python;
    libtorch::check_pip(python)?;
    let partial = PathBuf::from(format!("{}.partial-{}", folder.display(), std::process::id()));
    println!("fetching the clients of the tests through pip into {} (about 400 MB, once)", folder.display());
    let fetched = fetch(python, &requirements, &partial);
    if let Err(error) = fetched {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    // Another set-up may have been faster.
    match fs::rename(&partial, &folder) {
        Ok(()) => {}
        Err(_) if folder.is_dir() => fs::remove_dir_all(&partial)?,
        Err(error) => return Err(error).context(format!("`{}` cannot be put in place", folder.display())),
    }
    Ok(folder)
}

fn fetch(python: &str, requirements: &Path, partial: &Path) -> Result<()> {
    let status = Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--target"])
        .arg(partial)
        .arg("--requirement")
        .arg(requirements)
        .status()
        .context("pip cannot be started")?;
    if !status.success() {
        bail!("pip could not install `{}` ({status}); its own words are above", requirements.display());
    }
    Ok(())
}
