//! Calling cargo in this checkout.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::setup::Ready;

/// A cargo command. Cargo reads its settings anew, and with them where libtorch lies.
pub(crate) fn command<S: AsRef<OsStr>>(ready: &Ready, arguments: impl IntoIterator<Item = S>) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // This process may have got LIBTORCH from settings that the set-up has replaced since.
    command.args(arguments).current_dir(&ready.places.checkout).env("LIBTORCH", &ready.libtorch.folder);
    command
}

/// Runs a command to its end with our own terminal.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let line = show(&command);
    let status = command.status().with_context(|| format!("`{line}` cannot be started"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// The folder that cargo builds into.
pub(crate) fn target_folder(ready: &Ready) -> Result<PathBuf> {
    let output = command(ready, ["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("`cargo metadata` cannot be started")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("`cargo metadata` gave no JSON")?;
    let folder = metadata.get("target_directory").and_then(|folder| folder.as_str());
    folder.map(PathBuf::from).context("`cargo metadata` names no target folder")
}

fn show(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}
