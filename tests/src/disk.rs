//! Disks of a size, for processes that are to find them full.

use std::path::Path;
use std::process::Command;

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
