//! The last lines that the tasks of each job wrote, and the places that readers come back to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use vismae_core::ids::{JobId, PipelineId, TaskId};
use vismae_proto::v1::{LogGap, LogLine};

/// Lines kept of a job.
const LINES_MAX: usize = 2000;
/// Bytes of text kept of a job, so that the logs of all pipelines that are remembered fit into memory.
const BYTES_MAX: usize = 512 << 10;
/// Bytes kept of a line.
const LINE_MAX: usize = 8 << 10;

/// The logs of all jobs that are known; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    rings: Arc<Mutex<Rings>>,
}

#[derive(Debug)]
struct Rings {
    jobs: BTreeMap<JobId, Ring>,
    /// The number of the ring that is opened next.
    next: u64,
}

/// The last lines of one job.
#[derive(Debug)]
struct Ring {
    /// Which log it is: a job of the same name, in this coordinator or in another, has another one.
    number: u64,
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// How many lines were ever written: the position that the next one will have.
    written: watch::Sender<u64>,
}

/// A place in a log, as a client keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the log.
    log: u64,
    /// Position of the next line to read.
    next: u64,
}

/// A reader and its place in a log.
#[derive(Debug)]
pub(crate) struct Cursor {
    job: JobId,
    at: Place,
    /// Lines that the client has not seen lie in a log that is gone.
    torn: bool,
    written: watch::Receiver<u64>,
}

impl Logs {
    /// No logs yet. The first one gets this number, which no log of an earlier coordinator may have.
    pub(crate) fn new(first: u64) -> Self {
        Self { rings: Arc::new(Mutex::new(Rings { jobs: BTreeMap::new(), next: first })) }
    }

    /// Begins the log of a job.
    pub(crate) fn open(&self, job: JobId) {
        let mut rings = self.lock();
        let number = rings.next;
        rings.next += 1;
        let ring = Ring { number, lines: VecDeque::new(), bytes: 0, written: watch::Sender::new(0) };
        rings.jobs.entry(job).or_insert(ring);
    }

    /// Drops the logs of a pipeline.
    pub(crate) fn forget(&self, pipeline: &PipelineId) {
        self.lock().jobs.retain(|job, _| job.pipeline != *pipeline);
    }

    /// Adds a line of a task; one of a job that is not known is dropped.
    pub(crate) fn append(&self, task: &TaskId, mut line: LogLine) {
        line.text.truncate(line.text.floor_char_boundary(LINE_MAX));
        // Whatever the agent says: where lines are missing is known here.
        line.gap = None;
        if let Some(ring) = self.lock().jobs.get_mut(&task.job) {
            ring.push(line);
        }
    }

    /// A reader that goes on at a place, or begins with the first line; `None` when the job is not known. From a place that lies in
    /// another log it begins with the first line too, and with word of the gap.
    pub(crate) fn read(&self, job: &JobId, from: Option<Place>) -> Option<Cursor> {
        let rings = self.lock();
        let ring = rings.jobs.get(job)?;
        let torn = from.is_some_and(|place| place.log != ring.number);
        let next = from.filter(|_| !torn).map_or(0, |place| place.next);
        let at = Place { log: ring.number, next };
        Some(Cursor { job: job.clone(), at, torn, written: ring.written.subscribe() })
    }

    /// The lines after the cursor, which moves behind them. Where lines were dropped before they were read, a gap says so.
    pub(crate) fn next_lines(&self, cursor: &mut Cursor) -> Vec<LogLine> {
        let rings = self.lock();
        let Some(ring) = rings.jobs.get(&cursor.job) else { return Vec::new() };
        let written = *ring.written.borrow();
        let first = written - ring.lines.len() as u64;
        let dropped = first.saturating_sub(cursor.at.next);
        let at = |next: u64| Place { log: ring.number, next }.to_string();
        let mut lines = Vec::new();
        let torn = std::mem::take(&mut cursor.torn) || cursor.at.log != ring.number;
        if torn || dropped > 0 {
            let gap = LogGap { lines: (!torn).then_some(dropped) };
            lines.push(LogLine { gap: Some(gap), cursor: at(first), ..LogLine::default() });
        }
        let unread = cursor.at.next.saturating_sub(first);
        let kept = (first + 1..).zip(&ring.lines).skip(unread as usize);
        lines.extend(kept.map(|(next, line)| LogLine { cursor: at(next), ..line.clone() }));
        cursor.at = Place { log: ring.number, next: written };
        lines
    }

    fn lock(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.log, self.next)
    }
}

/// Why a text is no place of any log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is `{0}`, expected the `cursor` of a line that was read before")]
pub(crate) struct NoPlace(String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        let parts = text.split_once('-').and_then(|(log, next)| Some((number(log)?, number(next)?)));
        parts.map(|(log, next)| Self { log, next }).ok_or_else(|| NoPlace(text.to_owned()))
    }
}

impl Cursor {
    /// Waits until there are lines after the cursor; `false` when there will be none because the log was dropped.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn more(&mut self) -> bool {
        let next = self.at.next;
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
        LogLine { task: task().to_string(), text: text.into(), ..LogLine::default() }
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let logs = Logs::new(1);
        logs.open(task().job);
        for number in 0..LINES_MAX + 3 {
            logs.append(&task(), line(number.to_string()));
        }
        let mut cursor = logs.read(&task().job, None).unwrap();
        let kept = logs.next_lines(&mut cursor);
        assert_eq!(kept[0].gap, Some(LogGap { lines: Some(3) }));
        assert_eq!((kept.len(), kept[1].text.as_str()), (LINES_MAX + 1, "3"));
        assert!(logs.next_lines(&mut cursor).is_empty());
        logs.append(&task(), line("new"));
        assert_eq!(texts(&logs.next_lines(&mut cursor)), ["new"]);
    }

    #[test]
    fn long_lines_are_cut_and_their_bytes_bounded() {
        let logs = Logs::new(1);
        logs.open(task().job);
        for _ in 0..100 {
            logs.append(&task(), line("é".repeat(LINE_MAX)));
        }
        let kept = logs.next_lines(&mut logs.read(&task().job, None).unwrap());
        assert_eq!(kept[0].gap, Some(LogGap { lines: Some(100 - (BYTES_MAX / LINE_MAX) as u64) }));
        assert_eq!(kept.len(), BYTES_MAX / LINE_MAX + 1);
        assert!(kept.iter().all(|line| line.text.len() <= LINE_MAX));
    }

    #[test]
    fn a_reader_goes_on_behind_what_it_has_read_and_hears_of_what_it_has_missed() {
        let logs = Logs::new(1);
        logs.open(task().job);
        let read = |from: Option<&str>| {
            let place = from.map(|cursor| cursor.parse().unwrap());
            logs.next_lines(&mut logs.read(&task().job, place).unwrap())
        };
        for text in ["one", "two", "three"] {
            logs.append(&task(), line(text));
        }
        let lines = read(None);
        assert_eq!(texts(&lines), ["one", "two", "three"]);
        assert_eq!(texts(&read(Some(&lines[0].cursor))), ["two", "three"]);
        assert!(read(Some(&lines[2].cursor)).is_empty());
        for number in 0..LINES_MAX {
            logs.append(&task(), line(number.to_string()));
        }
        // `two` and `three` were dropped before they were read.
        let rest = read(Some(&lines[0].cursor));
        assert_eq!((rest[0].gap, rest.len()), (Some(LogGap { lines: Some(2) }), LINES_MAX + 1));
        assert_eq!(texts(&read(Some(&rest[0].cursor)))[..2], ["0", "1"]);

        let later = Logs::new(1000);
        later.open(task().job);
        later.append(&task(), line("again"));
        let mut cursor = later.read(&task().job, Some(lines[2].cursor.parse().unwrap())).unwrap();
        let after = later.next_lines(&mut cursor);
        assert_eq!((after[0].gap, texts(&after)), (Some(LogGap { lines: None }), vec!["", "again"]));
        for wrong in ["", "x", "1", "1-", "1-g", "-1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_follower_hears_of_new_lines_and_of_the_end() {
        let logs = Logs::new(1);
        assert!(logs.read(&task().job, None).is_none());
        logs.append(&task(), line("nobody knows this job"));
        logs.open(task().job);
        let mut cursor = logs.read(&task().job, None).unwrap();
        logs.append(&task(), line("one"));
        assert!(cursor.more().await);
        assert_eq!(texts(&logs.next_lines(&mut cursor)), ["one"]);
        logs.forget(&task().job.pipeline);
        assert!(!cursor.more().await);
    }
}
