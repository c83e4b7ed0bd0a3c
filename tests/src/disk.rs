//! Disks of a size, for processes that are to find them full.

use std::path::Path;
use std::process::{Command, Stdio};

/// A command whose process sees a disk of its own in a folder, which goes with it; none where this machine does not let us.
pub fn with_disk(disk: &Path, size: &str, program: &Path) -> Option<Command> {
    let allows = |flags: &str| {
        let mut mount = Command::new("unshare");
        mount.args([flags, "sh", "-c", "mount -t tmpfs none \"$0\""]).arg(disk);
        mount.output().is_ok_and(|output| output.status.success())
    };
    let Some(flags) = ["-m", "-Urm"].into_iter().find(|flags| allows(flags)) else {
        eprintln!("left out: no file system can be mounted here, not even in a namespace of our own");
        return None;
    };
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-c", "mount -t tmpfs -o size=$0 none \"$1\" && shift && exec \"$@\"", size]);
    command.arg(disk).arg(program);
    Some(command)
}

/// A command whose process sees what another one sees that has such a disk. A path through `/proc` would not do: whoever looks for the real
/// name of what is there finds that of this side.
///
/// # Panics
/// When `nsenter` can't be started.
pub fn seen_by(process: u32, program: &Path) -> Command {
    let process = process.to_string();
    let enters = |flags: &[&str]| {
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &process, "--mount"]).args(flags);
        enter
    };
    let own = ["--user", "--preserve-credentials"];
    let as_root = enters(&[]).arg("true").stderr(Stdio::null()).status().expect("`nsenter` starts").success();
    let mut command = enters(if as_root { &[] } else { &own });
    command.arg(program);
    command
}
