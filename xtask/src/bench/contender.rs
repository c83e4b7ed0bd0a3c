//! Processes that take turns: each answers a line of its input with one pass, and measures that pass itself.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Freed memory is kept for the next allocation, as a worker keeps it: for every contender, so that none is charged for pages that
/// the system gives and takes.
const KEEP_MEMORY: &str =
    "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=2147483647:glibc.malloc.top_pad=67108864";

/// A process that is ready to be measured. Dropping it ends its input, and with it the process.
#[derive(Debug)]
pub(crate) struct Contender {
    /// As tables call it.
    pub(crate) name: String,
    /// What the process calls itself, with its version.
    pub(crate) version: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Contender {
    /// Starts a process and waits until it is ready. What it says besides its answers goes to a file in `logs`.
    pub(crate) fn start(name: &str, mut command: Command, logs: &Path) -> Result<Self> {
        let file: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let log = logs.join(format!("{file}.log"));
        let output = File::create(&log).with_context(|| format!("`{}` cannot be written", log.display()))?;
        let mut child = command
            .env("GLIBC_TUNABLES", KEEP_MEMORY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output)
            .spawn()
            .with_context(|| format!("`{}` cannot be started", command.get_program().to_string_lossy()))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("a process has no output")?);
        let mut contender = Self { name: name.to_owned(), version: String::new(), child, input, output, log };
        let ready = contender.answer()?;
        let version = ready.get("ready").and_then(Value::as_str);
        version.context("a contender did not say that it is ready")?.clone_into(&mut contender.version);
        Ok(contender)
    }

    /// One pass: what the process measured.
    pub(crate) fn pass(&mut self) -> Result<Value> {
        if let Some(input) = &mut self.input {
            // One that has ended says why in its answer.
            let _ = input.write_all(b"go\n").and_then(|()| input.flush());
        }
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line).with_context(|| format!("`{}` cannot be heard", self.name))?;
        if line.is_empty() {
            let status = self.child.wait().with_context(|| format!("`{}` cannot be waited for", self.name))?;
            bail!(
                "`{}` ended ({status}) where an answer was expected; its words are in `{}`",
                self.name,
                self.log.display()
            );
        }
        serde_json::from_str(&line)
            .with_context(|| format!("`{}` answered `{}`, expected JSON", self.name, line.trim()))
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        self.input = None;
        // It has nothing left to do; how it ends changes no figure.
        let _ = self.child.wait();
    }
}

/// Every contender once without a count, to warm up, and then `rounds` times in turns: the passes of each.
pub(crate) fn take_turns(contenders: &mut [Contender], rounds: usize) -> Result<Vec<Vec<Value>>> {
    for contender in contenders.iter_mut() {
        contender.pass()?;
    }
    let mut passes = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for (contender, passes) in contenders.iter_mut().zip(&mut passes) {
            passes.push(contender.pass()?);
        }
    }
    Ok(passes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn contenders_are_measured_in_turns_after_a_warm_up() {
        let logs = tempfile::tempdir().unwrap();
        let order = logs.path().join("order");
        let script = |name: &str| {
            let answer = format!("echo {name} >> {}; n=$((n + 1)); echo {{\\\"pass\\\": $n}}", order.display());
            shell(&format!("echo {{\\\"ready\\\": \\\"{name} 1\\\"}}; n=0; while read line; do {answer}; done"))
        };
        let start = |name: &str| Contender::start(name, script(name), logs.path()).unwrap();
        let mut contenders = [start("a"), start("b")];
        assert_eq!(contenders[1].version, "b 1");
        let passes = take_turns(&mut contenders, 2).unwrap();
        assert_eq!(passes[0].iter().map(|pass| pass["pass"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(std::fs::read_to_string(order).unwrap(), "a\nb\na\nb\na\nb\n");
    }

    #[test]
    fn one_that_fails_is_told_with_where_its_words_are() {
        let logs = tempfile::tempdir().unwrap();
        let failing = shell("echo '{\"ready\": \"a 1\"}'; read line; echo no room >&2; exit 3");
        let mut contender = Contender::start("a / b", failing, logs.path()).unwrap();
        let message = contender.pass().unwrap_err().to_string();
        assert!(message.starts_with("`a / b` ended (exit status: 3)") && message.contains("a---b.log"), "{message}");
        assert_eq!(std::fs::read_to_string(logs.path().join("a---b.log")).unwrap(), "no room\n");
        assert!(Contender::start("c", shell("echo hello"), logs.path()).unwrap_err().to_string().contains("`hello`"));
    }
}
