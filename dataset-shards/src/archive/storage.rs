//! Where the bytes of an archive lie.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use rawzip::{FileReader, RangeReader, ReaderAt};

/// Where the bytes of an archive lie.
#[derive(Debug, Clone)]
pub(super) enum Storage {
    /// In a file of their own, which is opened for each member: a folder may hold more archives than a process may hold files.
    Disk(Arc<Path>),
    /// In a part of the temporary file.
    Spilled { file: SharedFile, start: u64 },
}

impl Storage {
    pub(super) fn disk(path: &Path) -> Self {
        Self::Disk(path.into())
    }

    /// Some of the bytes, from a place on.
    pub(super) fn range(&self, at: u64, len: u64) -> io::Result<RangeReader<SharedFile>> {
        let (file, start) = match self {
            Self::Disk(path) => (SharedFile::new(File::open(path)?), 0),
            Self::Spilled { file, start } => (file.clone(), *start),
        };
        let at = start.saturating_add(at);
        Ok(RangeReader::new(file, at..at.saturating_add(len)))
    }
}

/// A file that is read at any place by many.
#[derive(Debug, Clone)]
pub(super) struct SharedFile(Arc<FileReader>);

impl SharedFile {
    pub(super) fn new(file: File) -> Self {
        Self(Arc::new(FileReader::from(file)))
    }
}

impl ReaderAt for SharedFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }
}

/// A part of a file as a file of its own.
pub(super) struct Part {
    file: SharedFile,
    start: u64,
    len: u64,
    at: u64,
}

impl Part {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn new(file: SharedFile, start: u64, len: u64) -> Self {
        Self { file, start, len, at: 0 }
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..most], self.start + self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Part {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(distance) => self.len.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.at.checked_add_signed(distance),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
