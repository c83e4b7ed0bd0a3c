//! `cargo xtask setup`: everything that building needs and git does not hold.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::libtorch::{self, Libtorch};
use crate::places::Places;
use crate::settings;

/// What later tasks need to know.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The folders.
    pub(crate) places: Places,
    /// What is built against.
    pub(crate) libtorch: Libtorch,
}

/// Sets up, or finds that all is in place.
pub(crate) fn run() -> Result<Ready> {
    let places = Places::find()?;
    if compiler().is_none() {
        bail!("no C++ compiler: install one (`g++` or `clang++`), or set CXX to yours");
    }
    let libtorch = match libtorch::chosen_by_user(&places) {
        Some(folder) => {
            Libtorch::at(&folder).context("LIBTORCH is not usable; correct it, or unset it to fetch one")?
        }
        None => ours(&places)?,
    };
    if settings::write(&places.settings(), &libtorch.folder, &places.target())? {
        eprintln!("wrote {}", places.settings().display());
    }
    eprintln!("libtorch {} at {}", libtorch.version, libtorch.folder.display());
    Ok(Ready { places, libtorch })
}

/// The one that the settings name already, or the one in the cache.
fn ours(places: &Places) -> Result<Libtorch> {
    let named = settings::libtorch(&places.settings());
    match named.map(|folder| Libtorch::at(&folder)) {
        Some(Ok(found)) => Ok(found),
        _ => libtorch::install(places, libtorch::PIP),
    }
}

/// The C++ compiler that the build will use, with its version.
pub(crate) fn compiler() -> Option<String> {
    let named = std::env::var("CXX").ok().filter(|name| !name.is_empty());
    let candidates: Vec<String> =
        named.map_or_else(|| vec!["c++".into(), "g++".into(), "clang++".into()], |name| vec![name]);
    candidates.into_iter().find_map(|name| {
        let output = Command::new(&name).arg("--version").output().ok().filter(|output| output.status.success())?;
        let text = String::from_utf8_lossy(&output.stdout);
        Some(format!("{name}: {}", text.lines().next().unwrap_or_default()))
    })
}
