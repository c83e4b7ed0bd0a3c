//! Fetching libtorch through pip.

use std::path::Path;

use anyhow::Result;

use super::Libtorch;
use crate::pip::{self, PYTHON, Site, Source};
use crate::places::{LIBTORCH_VERSION, Places};

/// The Python on the path.
pub(crate) const PIP: Source<'static> = Source { python: PYTHON, space: 9 << 30 };

/// CUDA headers that the torch package lacks and that NCCL's bindings include.
const HEADERS: [&str; 2] = ["nvidia-cuda-crt==13.0.*", "nvidia-cuda-cccl==13.0.*"];

/// Fetches libtorch into the cache, unless another set-up has done so by the time it is this one's turn.
pub(crate) fn install(places: &Places, source: Source<'_>) -> Result<Libtorch> {
    let torch = format!("torch=={LIBTORCH_VERSION}");
    let arguments = ["--no-compile", &torch].into_iter().chain(HEADERS).map(Into::into).collect();
    let site = Site {
        folder: &places.site(),
        what: &format!("libtorch {LIBTORCH_VERSION}"),
        size: "2.5 GB",
        arguments,
        hint: "torch has packages for 64-bit Linux and Python 3.10 to 3.14",
    };
    pip::install(&site, source, |folder: &Path| Libtorch::at(&folder.join("torch")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;

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
            ("mkdir -p $site/torch; exit 7", "pip could not fetch libtorch 2.11.0 (exit status: 7)"),
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
