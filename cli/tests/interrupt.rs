//! Ctrl-C during `vismae run`: the pipeline is cancelled, and nothing is left running.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const INTERRUPTED: i32 = 4;

/// A worker that never attaches, says its process id, and listens to its pipe alone.
const DEAF: &str = "echo $$; trap '' INT TERM; exec cat";
/// One that does not even listen to that.
const STUBBORN: &str = "echo $$; trap '' INT TERM; exec 0</dev/null; exec sleep 600";

struct Run {
    vismae: Child,
    said: BufReader<std::process::ChildStderr>,
    folder: tempfile::TempDir,
}

impl Run {
    /// Starts the demo on such workers, and waits until its pipeline is queued.
    fn start(worker: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("worker.sh");
        // Another process writes the program: see the tests of the workers.
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod +x \"$0\"";
        assert!(Command::new("sh").arg("-c").arg(write).arg(&program).arg(worker).status().unwrap().success());
        let demo: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "examples", "demo.toml"].iter().collect();
        let mut vismae = Command::new(env!("CARGO_BIN_EXE_vismae"))
            .arg("run")
            .arg(demo)
            .arg("--store")
            .arg(folder.path().join("store"))
            .arg("--input")
            .arg(folder.path())
            .env("VISMAE_WORKER", &program)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut run = Self { said: BufReader::new(vismae.stderr.take().unwrap()), vismae, folder };
        run.wait_for("ingest pending");
        run
    }

    fn wait_for(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "it ended without saying `{text}`");
        }
    }

    fn interrupt(&self) {
        assert!(Command::new("kill").arg("-INT").arg(self.vismae.id().to_string()).status().unwrap().success());
    }

    /// Waits for the end; the exit code, and what was said meanwhile.
    fn end(&mut self) -> (i32, String) {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (self.vismae.wait().unwrap().code().unwrap(), rest)
    }

    fn workers(&self) -> Vec<String> {
        let log = |number| self.folder.path().join(format!("store/logs/worker-{number}.log"));
        (1..=2).map(|number| fs::read_to_string(log(number)).unwrap().trim().to_owned()).collect()
    }
}

fn is_running(process: &str) -> bool {
    assert!(process.parse::<u32>().is_ok(), "`{process}` is a process id");
    Path::new("/proc").join(process).exists()
}

#[test]
fn one_interrupt_cancels_and_leaves_nothing_running() {
    let mut run = Run::start(DEAF);
    run.interrupt();
    let (code, said) = run.end();
    assert_eq!(code, INTERRUPTED, "{said}");
    assert!(said.contains("stopping at the next step"), "{said}");
    assert!(run.workers().iter().all(|worker| !is_running(worker)));
}

#[test]
fn a_second_interrupt_does_not_wait_for_workers_that_do_not_listen() {
    let mut run = Run::start(STUBBORN);
    run.interrupt();
    run.wait_for("pretrain cancelled");
    run.interrupt();
    let (code, said) = run.end();
    assert_eq!(code, INTERRUPTED, "{said}");
    assert!(run.workers().iter().all(|worker| !is_running(worker)));
}
