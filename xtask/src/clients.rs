//! The clients of the tests, in Python: installed once into the cache.

use std::path::PathBuf;

use anyhow::Result;

use crate::pip::{self, List, PYTHON};
use crate::places::Places;

/// Programs that nobody here wrote.
const CLIENTS: List<'static> = List {
    requirements: "tests/clients/requirements.txt",
    name: "clients",
    what: "the clients of the tests",
    size: "450 MB",
    space: 2 << 30,
    arguments: &[],
};

/// Installs them, unless they are there, and gives the folder.
pub(crate) fn install(places: &Places) -> Result<PathBuf> {
    pip::install_list(places, &CLIENTS, PYTHON)
}
