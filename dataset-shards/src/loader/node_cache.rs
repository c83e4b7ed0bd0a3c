//! Row groups on a disk of this machine, shared by its readers.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use tempfile::NamedTempFile;
use tracing::warn;

use crate::manifest::ContentHash;

/// The file that is locked while files come and go; it holds the sum of their sizes.
const LOCK: &str = "lock";
const ENTRY: &str = "group";
const PARTIAL: &str = "partial";
/// Parts in ten of the cap that are left when the cache is full: one look at the folder then makes room for many entries.
const KEPT_TENTHS: u64 = 9;

/// Why a folder can't hold a cache.
#[derive(Debug, thiserror::Error)]
#[error("folder `{folder}` can't hold a cache: expected one that can be written and locked")]
pub struct OpenCacheError {
    /// The folder.
    pub folder: String,
    /// Why.
    pub source: io::Error,
}

/// A folder of row groups, each under the hash of its bytes, that any number of processes of one machine read and fill at the
/// same time. Clones are one cache.
///
/// The files never take more than the cap together, those being written included; the least recently read leave first. What is
/// read has the hash it is asked by: a damaged file is removed, and its row group fetched again. A process that is killed leaves
/// at most a partial file, which nobody reads and the next one to clear the folder removes. Two readers that miss the same row
/// group both fetch it, and the second finds it there when it comes to keep it.
///
/// A folder that can't be written any more, as on a full disk, ends the keeping with one warning; the reading goes on.
#[derive(Debug, Clone)]
pub struct NodeCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    cap: u64,
    /// Whether a failure to write has been met, and told.
    given_up: AtomicBool,
}

impl NodeCache {
    /// Opens a folder, which is created where there is none, for at most `cap` bytes of row groups; clears what a killed process
    /// left, and what is over the cap.
    ///
    /// # Errors
    /// [`OpenCacheError`].
    pub fn open(folder: &Path, cap: u64) -> Result<Self, OpenCacheError> {
        let inner = Inner { folder: folder.to_owned(), cap, given_up: AtomicBool::new(false) };
        let open = || -> io::Result<()> {
            std::fs::create_dir_all(folder)?;
            let mut ledger = Ledger::lock(folder)?;
            let used = inner.clear(cap)?;
            ledger.write(used)
        };
        open().map_err(|source| OpenCacheError { folder: folder.display().to_string(), source })?;
        Ok(Self(Arc::new(inner)))
    }

    /// The bytes of this hash, when they are here. Blocks.
    pub(super) fn get(&self, hash: ContentHash) -> Option<Bytes> {
        let path = self.0.entry(hash);
        let mut file = File::open(&path).ok()?;
        let mut bytes = Vec::with_capacity(file.metadata().map_or(0, |metadata| metadata.len() as usize));
        let read = file.read_to_end(&mut bytes);
        if read.is_err() || ContentHash::of(&bytes) != hash {
            warn!(path = %path.display(), "removing a damaged file of the cache");
            // Its size stays in the ledger until the folder is next cleared: the sum is never too small. A file that can't be removed
            // is found damaged again.
            let _removed = remove(&path);
            return None;
        }
        // The age of an entry is the time since it was read. Where it can't be set, the entry only leaves earlier.
        let _aged = file.set_modified(SystemTime::now());
        Some(bytes.into())
    }

    /// Keeps bytes of this hash; does nothing where they do not fit or can't be written. Blocks.
    pub(super) fn put(&self, hash: ContentHash, bytes: &[u8]) {
        if self.0.given_up.load(Ordering::Relaxed) || bytes.len() as u64 > self.0.cap {
            return;
        }
        if let Err(error) = self.0.keep(hash, bytes)
            && !self.0.given_up.swap(true, Ordering::Relaxed)
        {
            let folder = self.0.folder.display();
            warn!(%folder, %error, "the cache can't be written: going on without keeping what is read");
        }
    }
}

impl Inner {
    fn entry(&self, hash: ContentHash) -> PathBuf {
        self.folder.join(format!("{hash}.{ENTRY}"))
    }

    fn keep(&self, hash: ContentHash, bytes: &[u8]) -> io::Result<()> {
        let path = self.entry(hash);
        let Some(mut partial) = self.reserve(&path, bytes.len() as u64)? else { return Ok(()) };
        partial.write_all(bytes)?;
        // A look at the folder meanwhile could find the file under both names, or under neither.
        let _folder = Ledger::lock(&self.folder)?;
        partial.persist(&path).map_err(|failed| failed.error)?;
        Ok(())
    }

    /// A file that has the size already and counts to the cap, locked as long as its writer lives; nothing when the entry is
    /// there.
    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<Option<NamedTempFile>> {
        let mut ledger = Ledger::lock(&self.folder)?;
        if path.try_exists()? {
            return Ok(None);
        }
        let used = match ledger.read()? {
            Some(used) if used.saturating_add(bytes) <= self.cap => used,
            _ => self.clear((self.cap / 10 * KEPT_TENTHS).min(self.cap - bytes))?,
        };
        // Partial files of others can't be cleared: with many of them, there may be no room yet.
        if used.saturating_add(bytes) > self.cap {
            return Ok(None);
        }
        let partial = tempfile::Builder::new().suffix(&format!(".{PARTIAL}")).tempfile_in(&self.folder)?;
        partial.as_file().lock()?;
        partial.as_file().set_len(bytes)?;
        ledger.write(used + bytes)?;
        Ok(Some(partial))
    }

    /// Removes what killed processes left, and the least recently read entries until at most `goal` bytes are left; gives what
    /// is. The folder must be locked.
    fn clear(&self, goal: u64) -> io::Result<u64> {
        let mut used = 0;
        let mut entries = Vec::new();
        for found in std::fs::read_dir(&self.folder)? {
            let path = found?.path();
            // A file that went away meanwhile takes no room.
            let Ok(metadata) = path.metadata() else { continue };
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(ENTRY) => entries.push((metadata.modified()?, metadata.len(), path)),
                Some(PARTIAL) if has_no_writer(&path) => {
                    remove(&path)?;
                    continue;
                }
                Some(PARTIAL) => {}
                _ => continue,
            }
            used += metadata.len();
        }
        entries.sort_unstable();
        for (_, bytes, path) in entries {
            if used <= goal {
                break;
            }
            remove(&path)?;
            used -= bytes;
        }
        Ok(used)
    }
}

/// Removes a file that a reader may have removed meanwhile.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the process that wrote a partial file is gone, and its lock with it.
fn has_no_writer(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_ok())
}

/// The lock on a folder, and the sum of sizes that is written in it; held until dropped.
struct Ledger(File);

impl Ledger {
    fn lock(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join(LOCK))?;
        file.lock()?;
        Ok(Self(file))
    }

    /// The sum; nothing where none was ever written whole.
    fn read(&mut self) -> io::Result<Option<u64>> {
        let mut text = String::new();
        self.0.seek(SeekFrom::Start(0))?;
        self.0.read_to_string(&mut text)?;
        Ok(text.strip_suffix('\n').and_then(|sum| sum.parse().ok()))
    }

    fn write(&mut self, sum: u64) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(0))?;
        // Always as long: what was there before is overwritten whole.
        self.0.write_all(format!("{sum:020}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests;
