//! Running the real binaries, as a user does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A built binary of the workspace, beside the running test.
///
/// # Panics
/// When it was not built.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("tests run from target/<profile>/deps");
    let binary = folder.join(name);
    assert!(
        binary.exists(),
        "`{}` is not built: run `cargo xtask test`, or `cargo build --bins` first",
        binary.display()
    );
    binary
}

/// `vismae` with these arguments, ended with the test.
///
/// # Panics
/// When it can't be started.
pub fn vismae(arguments: &[&str]) -> Output {
    command(arguments).output().expect("vismae starts")
}

/// `vismae` with these arguments, not started yet.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("vismae"));
    command.args(arguments).env("RUST_BACKTRACE", "0");
    command
}

/// Standard output of a command that must succeed.
///
/// # Panics
/// When it fails, with everything it said.
pub fn succeed(arguments: &[&str]) -> String {
    let output = vismae(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "`vismae {}` ended with {}\n--- stdout\n{}\n--- stderr\n{}",
        arguments.join(" "),
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Everything a store folder holds, as paths relative to it, sorted.
///
/// # Panics
/// When the folder can't be read.
pub fn files_under(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(folder).expect("under the folder");
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}
