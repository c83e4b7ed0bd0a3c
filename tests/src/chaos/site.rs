//! The processes of one run: a coordinator, agents and what these start.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::lab::Lab;
use super::storage::Storage;
use crate::cluster::{Process, binary, command, free_port, scrape, succeed, vismae, wait_for};

/// What the processes stand on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The network of the nodes; without one, all are on the loopback of this machine.
    pub lab: Option<&'a Lab>,
    /// Where the runs are kept.
    pub storage: &'a Storage,
    /// Trainers, each on a node of its own.
    pub trainers: u32,
}

/// The processes of a run, and what starts them again.
pub(super) struct Site<'a> {
    pub(super) ground: Ground<'a>,
    pub(super) coordinator: Process,
    pub(super) nodes: Vec<Process>,
    folder: PathBuf,
    port: u16,
    admin: u16,
    starts: u32,
}

impl<'a> Site<'a> {
    /// Starts a coordinator, and agents when it answers.
    pub(super) fn start(folder: PathBuf, ground: Ground<'a>) -> Self {
        std::fs::create_dir_all(folder.join("logs")).expect("a new folder");
        if ground.lab.is_some() {
            introduce(&folder, ground.trainers);
        }
        let (port, admin) = (free_port(), free_port());
        let up = up(&folder, ground, (port, admin));
        let coordinator = Process::start_logged(up, &log(&folder, "coordinator", 0));
        let mut site = Self { ground, coordinator, nodes: Vec::new(), folder, port, admin, starts: 0 };
        wait_for("the coordinator", || site.ask(&["jobs"]).status.success());
        for node in 0..ground.trainers as usize {
            let agent = Process::start_logged(site.agent(node), &log(&site.folder, &format!("node-{node}"), 0));
            site.nodes.push(agent);
        }
        wait_for("every agent", || site.json(&["workers"]).as_array().map_or(0, Vec::len) == ground.trainers as usize);
        site
    }

    /// A command to the coordinator.
    pub(super) fn ask(&self, arguments: &[&str]) -> Output {
        let url = url(self.ground.lab, self.port);
        let (ca, token) = (self.path("certs/ca.pem"), self.path("token"));
        let known: &[&str] = if self.ground.lab.is_some() { &["--ca", &ca, "--token-file", &token] } else { &[] };
        vismae(&[arguments, &["--coordinator", &url], known].concat())
    }

    /// The answer to a command; null where the coordinator is away.
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.ask(&[arguments, &["-o", "json"]].concat()).stdout).unwrap_or_default()
    }

    /// What the coordinator has counted since it was started.
    pub(super) fn metrics(&self) -> String {
        scrape(self.admin, "/metrics")
    }

    /// Everything that the processes have logged so far.
    pub(super) fn logs(&self) -> String {
        let entries = std::fs::read_dir(self.folder.join("logs")).expect("the folder of logs");
        let files = entries.map(|entry| entry.expect("a file").path());
        files.map(|file| String::from_utf8_lossy(&std::fs::read(file).expect("a log")).into_owned()).collect()
    }

    /// Starts the coordinator again on what the last one has kept.
    pub(super) fn restart_coordinator(&mut self) {
        self.starts += 1;
        let up = up(&self.folder, self.ground, (self.port, self.admin));
        self.coordinator = Process::start_logged(up, &log(&self.folder, "coordinator", self.starts));
    }

    /// Starts the agent of a node again.
    pub(super) fn restart_node(&mut self, node: usize) {
        self.starts += 1;
        let log = log(&self.folder, &format!("node-{node}"), self.starts);
        self.nodes[node] = Process::start_logged(self.agent(node), &log);
    }

    fn agent(&self, node: usize) -> Command {
        let Ground { lab, storage, .. } = self.ground;
        let name = format!("node-{node}");
        let mut agent = Command::new(binary("vismae-worker"));
        agent.args(["agent", "--name", &name, "--threads", "1", "--device", "cpu", "--slots", "1"]);
        agent.args(["--coordinator", &url(lab, self.port)]);
        agent.args(storage.cache(&self.folder.join(format!("{name}-cache"))));
        agent.env("RUST_LOG", "info,vismae_worker=debug").env("NO_COLOR", "1");
        let Some(lab) = lab else { return agent };
        agent.args(["--host", &Lab::host(node).to_string(), "--ca", &self.path("certs/ca.pem")]);
        agent.args(["--cert", &self.path(&format!("certs/{name}.pem"))]);
        agent.args(["--key", &self.path(&format!("certs/{name}.key"))]);
        lab.within(node, &agent)
    }

    fn path(&self, name: &str) -> String {
        path(&self.folder, name)
    }
}

/// Makes what the parties on a network know each other by.
fn introduce(folder: &Path, trainers: u32) {
    let (certs, hub) = (path(folder, "certs"), Lab::hub().to_string());
    let workers: Vec<String> = (0..trainers).map(|node| format!("node-{node}")).collect();
    let workers = workers.iter().flat_map(|worker| ["--worker", worker]);
    let arguments: Vec<&str> = ["certs", "--dir", &certs, "--host", &hub].into_iter().chain(workers).collect();
    succeed(&arguments);
    let access = succeed(&["tokens", "new", "chaos", "--grant", "*:admin", "--token-file", &path(folder, "token")]);
    std::fs::write(folder.join("access.toml"), access).expect("an access file");
}

fn up(folder: &Path, Ground { lab, .. }: Ground<'_>, (port, admin): (u16, u16)) -> Command {
    let host = lab.map_or(IpAddr::from([127, 0, 0, 1]), |_| Lab::hub());
    let mut up = command(&["up", "--listen", &format!("{host}:{port}"), "--admin", &format!("127.0.0.1:{admin}")]);
    up.args(["--state", &path(folder, "state")]).env("NO_COLOR", "1");
    if lab.is_some() {
        up.args(["--tls-cert", &path(folder, "certs/coordinator.pem")]);
        up.args(["--tls-key", &path(folder, "certs/coordinator.key")]);
        up.args(["--client-ca", &path(folder, "certs/ca.pem"), "--access", &path(folder, "access.toml")]);
    }
    up
}

fn url(lab: Option<&Lab>, port: u16) -> String {
    match lab {
        Some(_) => format!("https://{}:{port}", Lab::hub()),
        None => format!("http://127.0.0.1:{port}"),
    }
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

fn log(folder: &Path, name: &str, start: u32) -> PathBuf {
    folder.join("logs").join(format!("{name}-{start}.log"))
}
