//! Which libtorch is built against.

mod install;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

pub(crate) use install::{PIP, install};

use crate::places::{LIBTORCH_VERSION, Places};
use crate::settings;

/// A file that only a whole libtorch with its distributed headers has.
const WITNESS: &str = "include/torch/csrc/distributed/c10d/ProcessGroupGloo.hpp";

/// A usable libtorch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Libtorch {
    /// The folder with `include` and `lib`.
    pub(crate) folder: PathBuf,
    /// As `2.11.0+cu130`.
    pub(crate) version: String,
}

impl Libtorch {
    /// Looks at a folder: usable when it is whole and of the right version.
    pub(crate) fn at(folder: &Path) -> Result<Self> {
        if !folder.join(WITNESS).is_file() || !folder.join("lib").is_dir() {
            bail!("`{}` holds no libtorch with its headers", folder.display());
        }
        let Some(version) = version(folder) else {
            bail!("`{}` does not say which version it is", folder.display());
        };
        if version.split('+').next() != Some(LIBTORCH_VERSION) {
            bail!("`{}` is libtorch `{version}`, expected {LIBTORCH_VERSION}", folder.display());
        }
        Ok(Self { folder: folder.to_owned(), version })
    }

    /// Whether it can use NVIDIA devices.
    pub(crate) fn has_cuda(&self) -> bool {
        self.folder.join("lib/libtorch_cuda.so").is_file()
    }
}

/// What `LIBTORCH` in the environment says, unless it is only cargo that put it there from our own settings.
pub(crate) fn chosen_by_user(places: &Places) -> Option<PathBuf> {
    let named = env::var_os("LIBTORCH").filter(|value| !value.is_empty()).map(PathBuf::from)?;
    (settings::libtorch(&places.settings()).as_ref() != Some(&named)).then_some(named)
}

/// The version as the Python package or the plain archive tells it.
fn version(folder: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(folder.join("version.py")) {
        let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
        return Some(line.trim_matches(['\'', '"']).to_owned());
    }
    fs::read_to_string(folder.join("build-version")).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let witness = folder.path().join(WITNESS);
        fs::create_dir_all(witness.parent().unwrap()).unwrap();
        fs::create_dir_all(folder.path().join("lib")).unwrap();
        fs::write(witness, "").unwrap();
        fs::write(folder.path().join("version.py"), format!("__all__ = []\n__version__ = '{version}'\n")).unwrap();
        folder
    }

    #[test]
    fn a_whole_libtorch_of_the_right_version_is_usable() {
        let folder = fake("2.11.0+cpu");
        let found = Libtorch::at(folder.path()).unwrap();
        assert_eq!(found.version, "2.11.0+cpu");
        assert!(!found.has_cuda());
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let folder = fake("2.9.1");
        let message = Libtorch::at(folder.path()).unwrap_err().to_string();
        assert!(message.ends_with("is libtorch `2.9.1`, expected 2.11.0"), "{message}");
    }

    #[test]
    fn half_a_libtorch_is_refused() {
        let folder = fake("2.11.0");
        fs::remove_file(folder.path().join(WITNESS)).unwrap();
        assert!(Libtorch::at(folder.path()).is_err());
    }
}
