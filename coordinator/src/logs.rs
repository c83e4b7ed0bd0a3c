//! The last lines that the tasks of each job wrote.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use vismae_core::ids::{JobId, PipelineId, TaskId};
use vismae_proto::v1::LogLine;

/// Lines kept of a job.
const LINES_MAX: usize = 2000;
/// Bytes of text kept of a job, so that the logs of all pipelines that are remembered fit into memory.
const BYTES_MAX: usize = 512 << 10;
/// Bytes kept of a line.
const LINE_MAX: usize = 8 << 10;

/// The logs of all jobs that are known; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs {
    jobs: Arc<Mutex<BTreeMap<JobId, Ring>>>,
}

/// The last lines of one job.
#[derive(Debug)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// How many lines were ever written: the position that the next one will have.
    written: watch::Sender<u64>,
}

/// A reader's place in a log.
#[derive(Debug)]
pub(crate) struct Cursor {
    job: JobId,
    /// Position of the next line to read.
    next: u64,
    written: watch::Receiver<u64>,
}

impl Logs {
    /// Begins the log of a job.
    pub(crate) fn open(&self, job: JobId) {
        let ring = Ring { lines: VecDeque::new(), bytes: 0, written: watch::Sender::new(0) };
        self.lock().entry(job).or_insert(ring);
    }

    /// Drops the logs of a pipeline.
    pub(crate) fn forget(&self, pipeline: &PipelineId) {
        self.lock().retain(|job, _| job.pipeline != *pipeline);
    }

    /// Adds a line of a task; one of a job that is not known is dropped.
    pub(crate) fn append(&self, task: &TaskId, mut line: LogLine) {
        line.text.truncate(line.text.floor_char_boundary(LINE_MAX));
        if let Some(ring) = self.lock().get_mut(&task.job) {
            ring.push(line);
        }
    }

    /// A place before the first line that is kept; `None` when the job is not known.
    pub(crate) fn read(&self, job: &JobId) -> Option<Cursor> {
        let written = self.lock().get(job)?.written.subscribe();
        Some(Cursor { job: job.clone(), next: 0, written })
    }

    /// The lines after the cursor, which moves behind them. Lines that were dropped before they were read are left out.
    pub(crate) fn next_lines(&self, cursor: &mut Cursor) -> Vec<LogLine> {
        let jobs = self.lock();
        let Some(ring) = jobs.get(&cursor.job) else { return Vec::new() };
        let written = *ring.written.borrow();
        let first = written - ring.lines.len() as u64;
        let skipped = cursor.next.saturating_sub(first) as usize;
        cursor.next = written;
        ring.lines.iter().skip(skipped).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Ring>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, line: LogLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some(dropped) = self.lines.pop_front() else { break };
            self.bytes -= dropped.text.len();
        }
        self.written.send_modify(|written| *written += 1);
    }
}

impl Cursor {
    /// Waits until there are lines after the cursor; `false` when there will be none because the log was dropped.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn more(&mut self) -> bool {
        let next = self.next;
        self.written.wait_for(|written| *written > next).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskId {
        "demo.ingest/0/0".parse().unwrap()
    }

    fn line(text: impl Into<String>) -> LogLine {
        LogLine { time: None, task: task().to_string(), text: text.into() }
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let logs = Logs::default();
        logs.open(task().job);
        for number in 0..LINES_MAX + 3 {
            logs.append(&task(), line(number.to_string()));
        }
        let mut cursor = logs.read(&task().job).unwrap();
        let kept = logs.next_lines(&mut cursor);
        assert_eq!((kept.len(), kept[0].text.as_str()), (LINES_MAX, "3"));
        assert!(logs.next_lines(&mut cursor).is_empty());
        logs.append(&task(), line("new"));
        assert_eq!(texts(&logs.next_lines(&mut cursor)), ["new"]);
    }

    #[test]
    fn long_lines_are_cut_and_their_bytes_bounded() {
        let logs = Logs::default();
        logs.open(task().job);
        for _ in 0..100 {
            logs.append(&task(), line("é".repeat(LINE_MAX)));
        }
        let kept = logs.next_lines(&mut logs.read(&task().job).unwrap());
        assert_eq!(kept.len(), BYTES_MAX / LINE_MAX);
        assert!(kept.iter().all(|line| line.text.len() <= LINE_MAX));
    }

    #[tokio::test]
    async fn a_follower_hears_of_new_lines_and_of_the_end() {
        let logs = Logs::default();
        assert!(logs.read(&task().job).is_none());
        logs.append(&task(), line("nobody knows this job"));
        logs.open(task().job);
        let mut cursor = logs.read(&task().job).unwrap();
        logs.append(&task(), line("one"));
        assert!(cursor.more().await);
        assert_eq!(texts(&logs.next_lines(&mut cursor)), ["one"]);
        logs.forget(&task().job.pipeline);
        assert!(!cursor.more().await);
    }
}
