//! Where the worker's program lies.

use std::env;
use std::path::{Path, PathBuf};

/// Names the program, for a layout that is not the usual one.
const VARIABLE: &str = "VISMAE_WORKER";

/// The worker's program is not where it should be.
#[derive(Debug, thiserror::Error)]
#[error("worker program `{}` does not exist", path.display())]
pub(crate) struct NoWorkerBinary {
    path: PathBuf,
}

/// What to do about a [`NoWorkerBinary`].
pub(crate) const HINT: &str = "put `vismae-worker` beside `vismae`, as `cargo build -p vismae-worker` does, or name it in \
                               VISMAE_WORKER";

/// Finds the worker's program: the one that `VISMAE_WORKER` names, or the one beside this program.
pub(crate) fn worker_binary() -> Result<PathBuf, NoWorkerBinary> {
    let named = env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    let own = env::current_exe().unwrap_or_default();
    let path = named.unwrap_or_else(|| beside(&own));
    if path.is_file() { Ok(path) } else { Err(NoWorkerBinary { path }) }
}

fn beside(own: &Path) -> PathBuf {
    own.with_file_name(format!("vismae-worker{}", env::consts::EXE_SUFFIX))
}
