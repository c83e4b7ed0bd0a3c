//! Nodes on a network of their own, which can be cut, and a disk that can be full: network namespaces on a bridge, and a few megabytes of
//! memory.
//!
//! All of it lies in the namespaces of the process that makes it, for which `unshare` has to have made new ones: whatever becomes of
//! that process, the kernel takes everything back with it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cluster::{Process, wait_for};

/// The network of the bridge; its first address is the bridge's own.
const NETWORK: [u8; 3] = [10, 213, 0];
/// The first address of a node.
const FIRST: u8 = 10;
/// Of a disk: what a run of quick steps leaves in its store, many times.
const DISK_BYTES: u64 = 64 << 20;

/// What of the traffic of a node is lost, without a word to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// All of it.
    Both,
    /// What is sent to it.
    Into,
    /// What it sends.
    OutOf,
}

/// The nodes' network. Dropping it ends the namespaces of the nodes.
#[derive(Debug)]
pub struct Lab {
    /// A process in the namespace of each node, which keeps it.
    nodes: Vec<Process>,
}

impl Lab {
    /// Makes a network with some nodes, in the network namespace of this process.
    ///
    /// # Errors
    /// What the machine has not, or does not allow.
    pub fn build(nodes: u8) -> Result<Self, String> {
        run(&["ip", "link", "set", "lo", "up"])?;
        run(&["ip", "link", "add", "hub", "type", "bridge"])?;
        run(&["ip", "address", "add", &format!("{}/24", address(1)), "dev", "hub"])?;
        run(&["ip", "link", "set", "hub", "up"])?;
        let mut lab = Self { nodes: Vec::new() };
        for node in 0..nodes {
            lab.add(node)?;
        }
        Ok(lab)
    }

    fn add(&mut self, node: u8) -> Result<(), String> {
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sleep", "infinity"]);
        let holder = Process::start(holder);
        let namespace = |process: u32| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let (process, own) = (holder.id(), namespace(std::process::id()));
        self.nodes.push(holder);
        wait_for("a network namespace", || namespace(process).is_some_and(|found| Some(found) != own));
        let outer = port(node.into());
        let process = process.to_string();
        run(&["ip", "link", "add", &outer, "type", "veth", "peer", "name", "net", "netns", &process])?;
        run(&["ip", "link", "set", &outer, "master", "hub", "up"])?;
        self.run_within(node.into(), &["ip", "link", "set", "lo", "up"])?;
        let host = format!("{}/24", address(FIRST + node));
        self.run_within(node.into(), &["ip", "address", "add", &host, "dev", "net"])?;
        self.run_within(node.into(), &["ip", "link", "set", "net", "up"])
    }

    /// Where this process is reached by the nodes.
    pub(super) fn hub() -> IpAddr {
        address(1)
    }

    /// Where a node is reached.
    pub(super) fn host(node: usize) -> IpAddr {
        address(FIRST + node as u8)
    }

    /// The same command, on a node. Its process is the command's own.
    pub(super) fn within(&self, node: usize, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.arg(format!("--net=/proc/{}/ns/net", self.nodes[node].id()));
        entered.arg(command.get_program()).args(command.get_args());
        entered.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        entered
    }

    /// Lets what a node sends, or is sent, be lost for a while.
    ///
    /// # Panics
    /// When the network can't be changed: it could before.
    pub(super) fn cut(&self, node: usize, cut: Cut, time: Duration) {
        let change = |words: &[&str]| {
            if cut != Cut::OutOf {
                let device = port(node);
                run(&[&["tc", "qdisc", words[0], "dev", &device, "root"], &words[1..]].concat())
                    .expect("tc changes the way in");
            }
            if cut != Cut::Into {
                self.run_within(node, &[&["tc", "qdisc", words[0], "dev", "net", "root"], &words[1..]].concat())
                    .expect("tc changes the way out");
            }
        };
        change(&["replace", "blackhole"]);
        std::thread::sleep(time);
        change(&["del"]);
    }

    fn run_within(&self, node: usize, words: &[&str]) -> Result<(), String> {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        finish(self.within(node, &command))
    }
}

/// A disk of a few megabytes, which a folder is for as long as this is there.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Puts one in the place of a folder, in the mount namespace of this process.
    ///
    /// # Errors
    /// Why that can't be done.
    pub fn mount(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let size = format!("size={DISK_BYTES}");
        run(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs", &folder.to_string_lossy()])?;
        Ok(Self(folder.to_owned()))
    }

    /// Leaves no byte free on it for a while.
    ///
    /// # Panics
    /// When it does not become full.
    pub(super) fn fill(&self, time: Duration) {
        let filler = self.0.join("filler");
        let zeros = std::fs::File::open("/dev/zero").expect("Linux");
        let mut file = std::fs::File::create(&filler).expect("a new file");
        let copied = std::io::copy(&mut { zeros }, &mut file);
        let full = copied.expect_err("a disk of memory has an end").kind();
        assert_eq!(full, std::io::ErrorKind::StorageFull);
        std::thread::sleep(time);
        std::fs::remove_file(&filler).expect("the filler is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Where a process still has a file of it, it goes with the namespace.
        run(&["umount", "--lazy", &self.0.to_string_lossy()]).ok();
    }
}

fn address(last: u8) -> IpAddr {
    let [first, second, third] = NETWORK;
    Ipv4Addr::new(first, second, third, last).into()
}

/// The end of a node's cable that is at the bridge.
fn port(node: usize) -> String {
    format!("port-{node}")
}

fn run(words: &[&str]) -> Result<(), String> {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    finish(command)
}

fn finish(mut command: Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let line = format!("{command:?}").replace('"', "");
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`{line}`: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("`{line}`: {error}")),
    }
}
