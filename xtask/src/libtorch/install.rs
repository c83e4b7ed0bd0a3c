//! Fetching libtorch through pip.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Libtorch;
use crate::places::{LIBTORCH_VERSION, Places};

/// Where packages come from, and how much room they take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'p> {
    /// The Python whose pip is asked.
    pub(crate) python: &'p str,
    /// Bytes for the packages and, while pip unpacks them, for their archives.
    pub(crate) space: u64,
}

/// The Python on the path.
pub(crate) const PIP: Source<'static> = Source { python: "python3", space: 9 << 30 };

/// CUDA headers that the torch package lacks and that NCCL's bindings include.
const HEADERS: [&str; 2] = ["nvidia-cuda-crt==13.0.*", "nvidia-cuda-cccl==13.0.*"];

/// Fetches libtorch into the cache, unless another set-up has done so by the time it is this one's turn.
pub(crate) fn install(places: &Places, source: Source<'_>) -> Result<Libtorch> {
    let site = places.site();
    fs::create_dir_all(&places.cache)
        .with_context(|| format!("cache folder `{}` cannot be made", places.cache.display()))?;
    let _lock = take_turn(&places.cache)?;
    if let Ok(found) = Libtorch::at(&site.join("torch")) {
        return Ok(found);
    }
    check_pip(source.python)?;
    check_space(&places.cache, source.space)?;
    remove_leftovers(places)?;

    let partial = PathBuf::from(format!("{}.partial-{}", site.display(), std::process::id()));
    println!("fetching libtorch {LIBTORCH_VERSION} through pip into {} (about 2.5 GB, once)", site.display());
    let fetched = fetch(source.python, &partial).and_then(|()| Libtorch::at(&partial.join("torch")));
    if let Err(error) = fetched {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    if site.exists() {
        fs::remove_dir_all(&site).with_context(|| format!("unusable `{}` cannot be removed", site.display()))?;
    }
    fs::rename(&partial, &site).with_context(|| format!("`{}` cannot be put in place", site.display()))?;
    Libtorch::at(&site.join("torch"))
}

/// Waits until no other process sets up the same cache. The lock ends with the file's handle.
fn take_turn(cache: &Path) -> Result<File> {
    let path = cache.join(format!("libtorch-{LIBTORCH_VERSION}.lock"));
    let file = File::create(&path).with_context(|| format!("lock `{}` cannot be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => println!("waiting for another set-up that holds {}", path.display()),
        Err(TryLockError::Error(error)) => return Err(error).context(format!("`{}` cannot be locked", path.display())),
    }
    file.lock().with_context(|| format!("`{}` cannot be locked", path.display()))?;
    Ok(file)
}

/// Checks that Python and pip are there.
pub(crate) fn check_pip(python: &str) -> Result<String> {
    let Ok(output) = Command::new(python).args(["-m", "pip", "--version"]).output() else {
        bail!(
            "`python3` is not installed; install Python 3.10 or newer with pip, or set LIBTORCH to a libtorch you have"
        );
    };
    if !output.status.success() {
        bail!(
            "`python3` has no pip; install it with your package manager (`python3-pip`) or with `python3 -m ensurepip`, \
             or set LIBTORCH to a libtorch you have"
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn check_space(cache: &Path, needed: u64) -> Result<()> {
    let free = fs4::available_space(cache).context("free disk space cannot be read")?;
    if free < needed {
        bail!(
            "`{}` has {:.1} GB free, expected {:.0} GB; make room, or set VISMAE_CACHE to a folder on another disk",
            cache.display(),
            free as f64 / 1e9,
            needed as f64 / 1e9
        );
    }
    Ok(())
}

/// Whoever holds the lock is alone: what others left half done will never be finished.
fn remove_leftovers(places: &Places) -> Result<()> {
    let prefix = format!("libtorch-{LIBTORCH_VERSION}.partial-");
    for entry in fs::read_dir(&places.cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("leftover `{}` cannot be removed", entry.path().display()))?;
        }
    }
    Ok(())
}

fn fetch(python: &str, partial: &Path) -> Result<()> {
    // pip unpacks in its temporary folder and then moves: on the same disk that costs nothing.
    let temporary = partial.join("tmp");
    fs::create_dir_all(&temporary).with_context(|| format!("`{}` cannot be made", temporary.display()))?;
    let status = Command::new(python)
        .args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-compile", "--target"])
        .arg(partial)
        .arg(format!("torch=={LIBTORCH_VERSION}"))
        .args(HEADERS)
        .env("TMPDIR", &temporary)
        .status()
        .context("`python3` cannot be started")?;
    if !status.success() {
        bail!(
            "pip could not fetch torch {LIBTORCH_VERSION} ({status}): its own message is above; torch has packages for \
             64-bit Linux and Python 3.10 to 3.14; behind a proxy or a mirror set PIP_INDEX_URL"
        );
    }
    fs::remove_dir_all(&temporary).with_context(|| format!("`{}` cannot be removed", temporary.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Python whose pip does what the script says; `$site` is the folder it was told to install into.
    fn python(folder: &Path, pip: &str) -> String {
        let version = "[ \"$3\" = --version ] && { echo pip 99; exit 0; }";
        let site = "while [ \"$1\" != --target ]; do shift; done; site=$2";
        program(folder, &format!("{version}\n{site}\n{pip}"))
    }

    /// The file is written by another process: one that this process had open for writing could not be started while a
    /// test beside this one starts a program too.
    fn program(folder: &Path, script: &str) -> String {
        let path = folder.join("python3");
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod +x \"$0\"";
        assert!(Command::new("sh").arg("-c").arg(write).arg(&path).arg(script).status().unwrap().success());
        path.to_string_lossy().into_owned()
    }

    fn source(python: &str) -> Source<'_> {
        Source { python, space: 1 }
    }

    const GOOD: &str = "mkdir -p $site/torch/lib $site/torch/include/torch/csrc/distributed/c10d\n\
                        touch $site/torch/include/torch/csrc/distributed/c10d/ProcessGroupGloo.hpp\n\
                        echo \"__version__ = '2.11.0+cpu'\" > $site/torch/version.py";

    fn places(folder: &Path) -> Places {
        Places { checkout: folder.join("checkout"), cache: folder.join("cache/vismae") }
    }

    fn cached(places: &Places) -> Vec<String> {
        let entries = fs::read_dir(&places.cache).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_pip_fetches_gets_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let left_over = PathBuf::from(format!("{}.partial-1", places.site().display()));
        fs::create_dir_all(left_over).unwrap();
        fs::create_dir_all(places.site().join("torch")).unwrap();

        let found = install(&places, source(&python(folder.path(), GOOD))).unwrap();
        assert_eq!(found.folder, places.site().join("torch"));
        assert_eq!(cached(&places), ["libtorch-2.11.0", "libtorch-2.11.0.lock"]);
        assert!(!places.site().join("tmp").exists());

        let again = install(&places, source(&python(folder.path(), "exit 1"))).unwrap();
        assert_eq!(again, found, "what is whole is not fetched again");
    }

    #[test]
    fn what_pip_could_not_fetch_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        for (pip, expected) in [
            ("mkdir -p $site/torch; exit 7", "pip could not fetch torch 2.11.0 (exit status: 7)"),
            ("mkdir -p $site/torch", "holds no libtorch"),
        ] {
            let message = install(&places, source(&python(folder.path(), pip))).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert_eq!(cached(&places), ["libtorch-2.11.0.lock"]);
        }
    }

    #[test]
    fn a_missing_python_and_a_missing_pip_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let refusal = |python: &str| install(&places, source(python)).unwrap_err().to_string();
        assert!(refusal("/no/such/python3").starts_with("`python3` is not installed"));
        assert!(refusal(&program(folder.path(), "exit 1")).starts_with("`python3` has no pip"));
    }

    #[test]
    fn a_full_disk_is_told_before_anything_is_fetched() {
        let folder = tempfile::tempdir().unwrap();
        let python = python(folder.path(), "exit 7");
        let source = Source { python: &python, space: u64::MAX };
        let message = install(&places(folder.path()), source).unwrap_err().to_string();
        assert!(message.contains("GB free, expected") && message.contains("VISMAE_CACHE"), "{message}");
    }
}
