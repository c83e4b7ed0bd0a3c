//! Running the real binaries, as a user does.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before the test gives it up.
pub const PATIENCE: Duration = Duration::from_secs(180);

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

/// Writes the file of a job that ingests phantoms and pre-trains a network that takes milliseconds for a step; `pretrain` is the rest of
/// that table. The store is a folder of the job's name. Gives the path of the file.
///
/// # Panics
/// When it can't be written.
pub fn quick_job(folder: &Path, name: &str, pretrain: &str) -> String {
    let text = format!(
        r#"
name = "{name}"
store = "{name}"

[corpus]
name = "phantom"
inputs = ["phantom"]
image_size = 32

[model]
size = "tiny"
image_size = 32
embed_dim = 24
depths = [1, 2]
heads = [2, 4]

[pretrain]
global_batch = 24
learning_rate = 1e-3
{pretrain}
"#
    );
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).expect("a job file is written");
    path.to_string_lossy().into_owned()
}

/// What a command says with `-o json`, whatever its exit code; nothing where it says nothing yet.
///
/// # Panics
/// When it can't be started.
pub fn says(arguments: &[&str]) -> Value {
    let output = vismae(&[arguments, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// A coordinator that answers, with its log in a folder, and its URL. Its ports are its own, unless the options name another `--admin`.
///
/// # Panics
/// When it does not come up.
pub fn coordinator(folder: &Path, options: &[&str]) -> (Process, String) {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut up = command(&["up", "--listen", &listen]);
    let admin = if options.contains(&"--admin") { &[][..] } else { &["--admin", "127.0.0.1:0"] };
    up.args(admin).args(options);
    let up = Process::start_logged(up, &folder.join("up.log"));
    let url = format!("http://{listen}");
    wait_for("the coordinator", || vismae(&["jobs", "--coordinator", &url]).status.success());
    (up, url)
}

/// A node with one slot of one thread, with its log in a folder.
///
/// # Panics
/// When it can't be started.
pub fn agent(folder: &Path, name: &str, url: &str) -> Process {
    let mut agent = Command::new(binary("vismae-worker"));
    agent.args(["agent", "--name", name, "--threads", "1", "--device", "cpu", "--coordinator", url, "--slots", "1"]);
    agent.env("RUST_LOG", "info,vismae_worker=debug");
    Process::start_logged(agent, &folder.join(format!("{name}.log")))
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

/// A process that ends with the test, whatever becomes of the test.
#[derive(Debug)]
pub struct Process(Child, Option<PathBuf>);

/// Lines of a log that a failed test shows.
const LAST_LINES: usize = 60;

impl Process {
    /// Starts it, silently.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("a built binary starts"), None)
    }

    /// Starts it, with its log going to a file, the end of which a failed test shows.
    ///
    /// # Panics
    /// As [`Process::start_into`].
    pub fn start_logged(mut command: Command, log: &Path) -> Self {
        let file = std::fs::File::create(log).expect("a new file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        Self(command.spawn().expect("a built binary starts"), Some(log.to_owned()))
    }

    /// Starts it, with standard output going to a file.
    ///
    /// # Panics
    /// When it can't be started, or the file not be made.
    pub fn start_into(mut command: Command, file: &Path) -> Self {
        let file = std::fs::File::create(file).expect("a new file");
        command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null());
        Self(command.spawn().expect("a built binary starts"), None)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The exit code once it has ended; none when a signal ended it.
    ///
    /// # Panics
    /// When it does not end within [`PATIENCE`].
    pub fn wait(&mut self) -> Option<i32> {
        let mut status = None;
        wait_for("the end of a process", || {
            status = self.0.try_wait().expect("the child of this process");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Ends it as a power cut does.
    ///
    /// # Panics
    /// As [`Process::wait`].
    pub fn kill(&mut self) {
        signal("KILL", self.id());
        self.wait();
    }

    /// Asks it to end as Kubernetes does, and gives the exit code.
    ///
    /// # Panics
    /// As [`Process::wait`].
    pub fn end_gently(&mut self) -> Option<i32> {
        signal("TERM", self.id());
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended, which is all that is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
        let log =
            self.1.as_ref().filter(|_| std::thread::panicking()).and_then(|log| std::fs::read_to_string(log).ok());
        if let Some(log) = log {
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            eprintln!("--- the end of its log\n{}", last.join("\n"));
        }
    }
}

/// Interrupts a process as Ctrl-C does.
///
/// # Panics
/// When there is no such process.
pub fn interrupt(process: u32) {
    signal("INT", process);
}

/// Ends a process as a power cut does.
///
/// # Panics
/// When there is no such process.
pub fn kill(process: u32) {
    signal("KILL", process);
}

/// Stops a process where it stands, as a node does that is out of memory or of power to spare.
///
/// # Panics
/// When there is no such process.
pub fn pause(process: u32) {
    signal("STOP", process);
}

/// Lets a paused process go on.
///
/// # Panics
/// When there is no such process.
pub fn go_on(process: u32) {
    signal("CONT", process);
}

fn signal(name: &str, process: u32) {
    assert!(try_signal(name, process), "process {process} can't be signalled");
}

/// Signals a process, if it is there.
pub(crate) fn try_signal(name: &str, process: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &process.to_string()]).stderr(Stdio::null());
    kill.status().expect("`kill` starts").success()
}

/// Children of a process, their children, and so on.
///
/// # Panics
/// When /proc can't be read.
pub fn descendants(process: u32) -> Vec<u32> {
    let children = std::fs::read_dir("/proc").expect("Linux").filter_map(|entry| {
        let child: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        (parent.trim().parse() == Ok(process)).then_some(child)
    });
    children.flat_map(|child| std::iter::once(child).chain(descendants(child))).collect()
}

/// A port that nobody listened on a moment ago.
///
/// # Panics
/// When the machine has none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

/// The answer of an HTTP server on this machine, head and body.
///
/// # Panics
/// When nobody answers.
pub fn scrape(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a server");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("a request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in text");
    answer
}

/// Asks again until the answer is yes.
///
/// # Panics
/// When it is not within [`PATIENCE`].
pub fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let began = Instant::now();
    while !ready() {
        assert!(began.elapsed() < PATIENCE, "no sign of {what} in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
