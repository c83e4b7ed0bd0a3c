//! The programs that ours is measured against, in Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::pip::{self, List, PYTHON};
use crate::setup::Ready;

const PEERS: List<'static> = List {
    requirements: "xtask/bench/requirements.txt",
    name: "peers",
    what: "the programs that ours is measured against",
    size: "150 MB",
    space: 2 << 30,
    // The list is whole, and leaves out what is only named.
    arguments: &["--no-deps"],
};

/// The folder of the Python package that libtorch is a part of; none where it is no part of one.
pub(crate) fn torch(ready: &Ready) -> Option<PathBuf> {
    let is_package = ready.libtorch.folder.join("__init__.py").is_file();
    ready.libtorch.folder.parent().filter(|_| is_package).map(Path::to_owned)
}

/// The installed peers.
#[derive(Debug)]
pub(crate) struct Peers {
    scripts: PathBuf,
    site: PathBuf,
    /// The Python package of libtorch, which some of them import; none where libtorch is no part of one.
    torch: Option<PathBuf>,
}

impl Peers {
    /// Installs what the list names, unless it is there.
    pub(crate) fn install(ready: &Ready) -> Result<Self> {
        let site = pip::install_list(&ready.places, &PEERS, PYTHON)?;
        Ok(Self { scripts: ready.places.checkout.join("xtask/bench"), site, torch: torch(ready) })
    }

    /// Whether those that import torch can be asked.
    pub(crate) fn have_torch(&self) -> bool {
        self.torch.is_some()
    }

    /// The command that starts one of `xtask/bench/peers`.
    pub(crate) fn command(&self, name: &str) -> Result<Command> {
        let folders = [Some(&self.scripts), Some(&self.site), self.torch.as_ref()];
        let path = std::env::join_paths(folders.into_iter().flatten()).context("a folder of the cache has a `:`")?;
        let mut command = Command::new(PYTHON);
        command.args(["-m", "peers", name]).env("PYTHONPATH", path);
        // What Python compiles is kept for the next start, and not in the checkout; nothing is asked of any hub.
        command.env("PYTHONPYCACHEPREFIX", self.site.join("pycache")).env("HF_HUB_OFFLINE", "1");
        Ok(command)
    }
}
