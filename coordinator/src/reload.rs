//! What is made of files, and made again when they change: certificates are renewed and people come and go without a restart.

use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// How often the files are looked at. Their content is compared and nothing else, because a mounted secret is replaced by a link.
const EVERY: Duration = Duration::from_secs(2);
/// The most bytes of one file.
const SIZE_MAX: u64 = 4 << 20;

/// A file can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{what} `{}` can't be used: {problem}", path.display())]
pub struct FileError {
    what: &'static str,
    path: PathBuf,
    problem: String,
}

/// Makes a value of the contents, in place of an earlier one if there was any.
type Make<T> = dyn Fn(&[Vec<u8>], Option<&T>) -> Result<T, String> + Send + Sync;

/// Files, and what was last made of them.
pub(crate) struct Followed<T> {
    what: &'static str,
    paths: Vec<PathBuf>,
    make: Box<Make<T>>,
    seen: Vec<Vec<u8>>,
    current: watch::Sender<Arc<T>>,
}

impl<T> Followed<T> {
    /// Reads the files and makes the first value of their contents.
    ///
    /// # Errors
    /// The file that can't be read; the first of them when the contents can't be used.
    pub(crate) fn open(
        what: &'static str,
        paths: Vec<PathBuf>,
        make: impl Fn(&[Vec<u8>], Option<&T>) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<(Self, watch::Receiver<Arc<T>>), FileError> {
        let seen = read(what, &paths)?;
        let path = paths.first().cloned().unwrap_or_default();
        let first = make(&seen, None).map_err(|problem| FileError { what, path, problem })?;
        let (current, receiver) = watch::channel(Arc::new(first));
        Ok((Self { what, paths, make: Box::new(make), seen, current }, receiver))
    }

    /// Follows the files until the token is cancelled. Contents that can't be used change nothing, and are told once.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut due = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = due.tick() => {}
            }
            let (what, paths) = (self.what, self.paths.clone());
            let contents = match tokio::task::spawn_blocking(move || read(what, &paths)).await {
                Ok(Ok(contents)) => contents,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the last one is used on");
                    metrics::reload_failed(what);
                    continue;
                }
                Err(_) => return,
            };
            if contents == self.seen {
                continue;
            }
            let last = Arc::clone(&self.current.borrow());
            match (self.make)(&contents, Some(&last)) {
                Ok(value) => {
                    tracing::info!(what, "changed, and used from now on");
                    self.current.send_replace(Arc::new(value));
                }
                Err(problem) => {
                    tracing::warn!(what, problem, "changed, and can't be used: the last one is used on");
                    metrics::reload_failed(what);
                }
            }
            self.seen = contents;
        }
    }
}

fn read(what: &'static str, paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, FileError> {
    let one = |path: &PathBuf| {
        let failed = |problem: &dyn Display| FileError { what, path: path.clone(), problem: problem.to_string() };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|error| failed(&error))?;
        file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
        match bytes.len() as u64 > SIZE_MAX {
            true => Err(failed(&format!("it is larger than {SIZE_MAX} bytes"))),
            false => Ok(bytes),
        }
    };
    paths.iter().map(one).collect()
}
