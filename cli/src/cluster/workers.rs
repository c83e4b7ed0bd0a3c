//! Worker processes that belong to this process, and end with it whatever happens.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, ChildStdin, Command};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// A worker that ends sooner than this will not do better when started again.
const SHORTEST_LIFE: Duration = Duration::from_secs(5);
/// How often a worker that dies is replaced.
const RESTARTS: u32 = 3;
/// How long a worker may take to end once it is told to: longer than it gives its own tasks.
const GRACE: Duration = Duration::from_secs(45);
/// Lines of a log that are shown when its worker fails.
const TAIL: usize = 5;

/// What is started.
#[derive(Debug, Clone)]
pub(crate) struct WorkerPlan {
    /// The program.
    pub(crate) binary: PathBuf,
    /// How many processes, each with one slot or one for each GPU.
    pub(crate) count: u32,
    /// CPU threads of each slot.
    pub(crate) threads: u32,
    /// Where `worker-N.log` are written.
    pub(crate) logs: PathBuf,
}

/// Why the workers cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    /// A log cannot be written.
    #[error("log `{}` cannot be written", path.display())]
    Log { path: PathBuf, source: io::Error },
    /// The program cannot be started.
    #[error("worker program `{}` cannot be started", path.display())]
    Start { path: PathBuf, source: io::Error },
    /// A process ended by itself, too soon or too often.
    #[error("worker `{name}` ended by itself ({status}); its log is `{}`{tail}{}", log.display(), advice(*status))]
    Ended { name: String, status: ExitStatus, log: PathBuf, tail: String },
    /// Its supervisor died, which only a fault in this program can cause.
    #[error("the supervisor of a worker ended early")]
    Supervisor(#[source] JoinError),
}

/// The exit code of a program whose libraries the system's loader did not find.
const LIBRARY_MISSING: i32 = 127;

/// What to do about an end whose cause is known.
fn advice(status: ExitStatus) -> &'static str {
    if status.code() == Some(LIBRARY_MISSING) {
        "\n  libtorch 2.11.0 is expected where it was when the worker was built: `cargo xtask setup` fetches it, \
         `cargo xtask doctor` says what else is missing"
    } else {
        ""
    }
}

/// The processes, each with a task that watches over it. Dropping it kills them.
#[derive(Debug)]
pub(crate) struct Workers {
    supervisors: JoinSet<Result<(), WorkerError>>,
    drain: CancellationToken,
    kill: CancellationToken,
}

impl Workers {
    /// Starts all of them.
    pub(crate) fn start(plan: &WorkerPlan, coordinator: &str) -> Result<Self, WorkerError> {
        let log_failed = |source| WorkerError::Log { path: plan.logs.clone(), source };
        fs::create_dir_all(&plan.logs).map_err(log_failed)?;
        let (drain, kill) = (CancellationToken::new(), CancellationToken::new());
        let mut supervisors = JoinSet::new();
        for number in 1..=plan.count {
            let supervisor = Supervisor {
                name: format!("worker-{number}"),
                log: plan.logs.join(format!("worker-{number}.log")),
                plan: plan.clone(),
                coordinator: coordinator.to_owned(),
                drain: drain.clone(),
                kill: kill.clone(),
            };
            supervisors.spawn(supervisor.run());
        }
        Ok(Self { supervisors, drain, kill })
    }

    /// Waits until a worker fails for good; for ever while all is well.
    ///
    /// # Cancel safety
    /// No failure is lost.
    pub(crate) async fn failed(&mut self) -> WorkerError {
        loop {
            match self.supervisors.join_next().await {
                Some(Ok(Err(error))) => return error,
                Some(Err(error)) => return WorkerError::Supervisor(error),
                Some(Ok(Ok(()))) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Lets every worker finish what it must and end, and kills those that do not in time.
    pub(crate) async fn drain(mut self) {
        self.drain.cancel();
        while self.supervisors.join_next().await.is_some() {}
    }

    /// Cancelled, it ends every worker at once, also while a drain goes on.
    pub(crate) fn killer(&self) -> CancellationToken {
        self.kill.clone()
    }
}

struct Supervisor {
    name: String,
    log: PathBuf,
    plan: WorkerPlan,
    coordinator: String,
    drain: CancellationToken,
    kill: CancellationToken,
}

impl Supervisor {
    async fn run(self) -> Result<(), WorkerError> {
        let mut restarts = 0;
        loop {
            let start = Instant::now();
            let mut child = self.spawn(restarts > 0)?;
            // Waiting closes the pipe that a child still has: held here, it stays open for as long as the worker is wanted.
            let pipe = child.stdin.take();
            let status = tokio::select! {
                () = self.drain.cancelled() => return self.end(child, pipe).await,
                () = self.kill.cancelled() => return self.end(child, pipe).await,
                status = child.wait() => {
                    status.map_err(|source| WorkerError::Start { path: self.plan.binary.clone(), source })?
                }
            };
            if status.success() {
                // It was drained: whoever wanted that does not want it back.
                tracing::info!(worker = self.name, "worker has left");
                return Ok(());
            }
            if start.elapsed() < SHORTEST_LIFE || restarts == RESTARTS {
                let tail = tail(&self.log);
                return Err(WorkerError::Ended { name: self.name, status, log: self.log, tail });
            }
            restarts += 1;
            tracing::warn!(worker = self.name, %status, restarts, "worker ended by itself, starting it again");
        }
    }

    fn spawn(&self, again: bool) -> Result<Child, WorkerError> {
        let log_failed = |source| WorkerError::Log { path: self.log.clone(), source };
        let log = if again { File::options().append(true).open(&self.log) } else { File::create(&self.log) };
        let log = log.map_err(log_failed)?;
        Command::new(&self.plan.binary)
            .arg("agent")
            .args(["--coordinator", &self.coordinator])
            .args(["--name", &self.name])
            .args(["--threads", &self.plan.threads.to_string()])
            .arg("--exit-with-parent")
            // The agent ends when this pipe does, even if this process is killed and can say nothing.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(log_failed)?)
            .stderr(log)
            // The terminal's Ctrl-C goes to this process alone, which then ends its workers in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| WorkerError::Start { path: self.plan.binary.clone(), source })
    }

    /// Tells a worker to end by closing its pipe, and kills it when it does not in time.
    async fn end(&self, mut child: Child, pipe: Option<ChildStdin>) -> Result<(), WorkerError> {
        drop(pipe);
        let ended = tokio::select! {
            ended = timeout(GRACE, child.wait()) => ended.is_ok(),
            () = self.kill.cancelled() => false,
        };
        if !ended {
            tracing::warn!(worker = self.name, "worker did not end in time, killing it");
            // It has ended already when it cannot be killed.
            let _ = child.kill().await;
        }
        Ok(())
    }
}

/// The end of a log, as it is shown below an error.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(TAIL));
    last.map(|line| format!("\n  | {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers made of a shell script in place of the real program. The file is written by another process: one that this
    /// process had open for writing could not be started while a test beside this one starts a program too.
    fn plan(folder: &Path, script: &str) -> WorkerPlan {
        let binary = folder.join("worker.sh");
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod +x \"$0\"";
        let status = std::process::Command::new("sh").arg("-c").arg(write).arg(&binary).arg(script).status();
        assert!(status.unwrap().success());
        WorkerPlan { binary, count: 2, threads: 1, logs: folder.join("logs") }
    }

    #[tokio::test]
    async fn a_worker_ends_when_its_pipe_does() {
        let folder = tempfile::tempdir().unwrap();
        let workers = Workers::start(&plan(folder.path(), "echo \"$@\"; cat; echo over"), "http://here").unwrap();
        workers.drain().await;
        for number in [1, 2] {
            let log = fs::read_to_string(folder.path().join(format!("logs/worker-{number}.log"))).unwrap();
            let expected = format!(
                "agent --coordinator http://here --name worker-{number} --threads 1 --exit-with-parent\nover\n"
            );
            assert_eq!(log, expected);
        }
    }

    #[tokio::test]
    async fn a_worker_that_cannot_stay_up_is_told_with_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut workers =
            Workers::start(&plan(folder.path(), "echo cannot load libtorch; exit 3"), "http://here").unwrap();
        let message = workers.failed().await.to_string();
        assert!(message.contains("ended by itself (exit status: 3)"), "{message}");
        assert!(message.ends_with("\n  | cannot load libtorch"), "{message}");
        workers.drain().await;
    }

    #[tokio::test]
    async fn a_worker_without_its_libraries_is_told_how_to_get_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut workers = Workers::start(&plan(folder.path(), "exit 127"), "http://here").unwrap();
        let message = workers.failed().await.to_string();
        assert!(message.contains("`cargo xtask setup` fetches it"), "{message}");
        workers.drain().await;
    }

    #[tokio::test]
    async fn a_worker_that_does_not_listen_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let script = "exec 0</dev/null; echo up; exec sleep 600";
        let workers = Workers::start(&plan(folder.path(), script), "http://here").unwrap();
        workers.killer().cancel();
        // It ends long before the grace of a drain does.
        timeout(GRACE / 2, workers.drain()).await.unwrap();
    }
}
