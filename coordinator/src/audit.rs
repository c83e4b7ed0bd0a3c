//! Who did what: an append-only log, one JSON object to a line, written before the caller hears of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

/// The longest text of an entry, in bytes.
const LONGEST: usize = 256;
/// Entries waiting to be written.
const QUEUE: usize = 1024;

/// The audit log can't be written any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log can't be written")]
pub(crate) struct Lost;

/// What somebody did, or was not let do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Entry<'a> {
    /// `token:NAME`, `oidc:SUBJECT`, `agent:NAME`, `anyone`, or `unknown`.
    pub(crate) caller: &'a str,
    /// Where the connection came from.
    pub(crate) address: String,
    /// As `vismae.v1.JobService/CancelPipeline`.
    pub(crate) method: &'a str,
    /// What it was about, as `pipelines/demo`; absent where the request did not get that far.
    pub(crate) subject: Option<&'a str>,
    /// OK, or the status the request ended with.
    pub(crate) outcome: String,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Entry<'_> {
    /// The same with no text longer than so many bytes: callers choose them.
    fn within(&self, longest: usize) -> Self {
        let cut = |text: &str| text.floor_char_boundary(longest);
        let Self { caller, address, method, subject, outcome, reason } = self;
        Self {
            caller: &caller[..cut(caller)],
            address: address.clone(),
            method: &method[..cut(method)],
            subject: subject.map(|subject| &subject[..cut(subject)]),
            outcome: outcome.clone(),
            reason: reason.as_ref().map(|reason| reason[..cut(reason)].to_owned()),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
}

/// A way to the log. Without a log, whatever is written is dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audit(Option<mpsc::Sender<Waiting>>);

struct Waiting {
    line: Vec<u8>,
    written: oneshot::Sender<()>,
}

impl Audit {
    /// Keeps an entry. When this returns, it is on the disk.
    ///
    /// # Errors
    /// [`Lost`]; the coordinator ends then.
    pub(crate) async fn write(&self, entry: &Entry<'_>) -> Result<(), Lost> {
        let Some(log) = &self.0 else { return Ok(()) };
        let entry = &entry.within(LONGEST);
        let time = prost_types::Timestamp::from(SystemTime::now()).to_string();
        let mut line = serde_json::to_vec(&Line { time, entry }).map_err(|_| Lost)?;
        line.push(b'\n');
        let (written, kept) = oneshot::channel();
        log.send(Waiting { line, written }).await.map_err(|_| Lost)?;
        kept.await.map_err(|_| Lost)
    }
}

/// The log itself, to be run on a thread that may block.
pub(crate) struct AuditLog {
    path: PathBuf,
    file: File,
    entries: mpsc::Receiver<Waiting>,
}

impl AuditLog {
    /// Opens a log to append to it; one that is not there is made, for its owner's eyes only.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Audit)> {
        let (sender, entries) = mpsc::channel(QUEUE);
        Ok((Self { path: path.to_owned(), file: append_to(path)?, entries }, Audit(Some(sender))))
    }

    /// Writes entries until nobody can send any more: all that wait at once, and only then says so to their senders.
    ///
    /// # Errors
    /// Those of the file system, such as a full disk.
    pub(crate) fn run(mut self) -> io::Result<()> {
        while let Some(first) = self.entries.blocking_recv() {
            let mut together = vec![first];
            while let Ok(next) = self.entries.try_recv() {
                together.push(next);
            }
            self.follow_rotation()?;
            let bytes: Vec<u8> = together.iter().flat_map(|waiting| waiting.line.iter().copied()).collect();
            self.file.write_all(&bytes)?;
            self.file.sync_data()?;
            for waiting in together {
                waiting.written.send(()).ok();
            }
        }
        Ok(())
    }

    /// A log that was moved away is begun anew under its name, as programs that rotate logs expect.
    fn follow_rotation(&mut self) -> io::Result<()> {
        let is_same = match (std::fs::metadata(&self.path), self.file.metadata()?) {
            (Ok(named), open) => (named.dev(), named.ino()) == (open.dev(), open.ino()),
            (Err(_), _) => false,
        };
        if !is_same {
            self.file = append_to(&self.path)?;
        }
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn entries_are_appended_and_a_log_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "{\"from\":\"an earlier coordinator\"}\n").unwrap();
        let (log, audit) = AuditLog::open(&path).unwrap();
        let running = tokio::task::spawn_blocking(|| log.run());
        let entry = |subject| Entry {
            caller: "token:ci",
            address: "127.0.0.1:1".to_owned(),
            method: "vismae.v1.JobService/CancelPipeline",
            subject: Some(subject),
            outcome: "OK".to_owned(),
            reason: None,
        };
        audit.write(&entry("pipelines/a")).await.unwrap();
        std::fs::rename(&path, folder.path().join("audit.1")).unwrap();
        audit.write(&entry("pipelines/\"b\n")).await.unwrap();
        drop(audit);
        running.await.unwrap().unwrap();
        let earlier = std::fs::read_to_string(folder.path().join("audit.1")).unwrap();
        assert_eq!(earlier.lines().count(), 2, "{earlier}");
        let later = std::fs::read_to_string(&path).unwrap();
        let line: serde_json::Value = serde_json::from_str(&later).unwrap();
        assert_eq!(line["subject"], "pipelines/\"b\n");
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    }
}
