//! Where packed tar files are inflated to.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use flate2::read::MultiGzDecoder;

use super::check_unpacked;
use super::error::ArchiveError;
use super::storage::{Part, SharedFile};

/// Bytes inflated at a time.
const CHUNK: usize = 1 << 18;

/// How a tar file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

/// One temporary file without a name, in the folder that `TMPDIR` says, for all packed archives of one listing: it is there when
/// the first of them is added, and gone when the last that lies in it is let go of, or the process ends.
#[derive(Debug, Default)]
pub(crate) struct Spill(Mutex<Option<Open>>);

#[derive(Debug)]
struct Open {
    writer: File,
    reader: SharedFile,
    end: u64,
}

/// An inflated archive.
pub(super) struct Spilled {
    pub(super) file: SharedFile,
    pub(super) start: u64,
    len: u64,
    /// The packing breaks off; what came before is there.
    pub(super) cut: bool,
}

impl Spilled {
    pub(super) fn part(&self) -> Part {
        Part::new(self.file.clone(), self.start, self.len)
    }
}

impl Spill {
    /// Inflates a file of a size.
    pub(super) fn add(&self, file: File, packing: Packing, size: u64) -> Result<Spilled, ArchiveError> {
        let file = BufReader::with_capacity(CHUNK, file);
        match packing {
            Packing::Gzip => self.copy(MultiGzDecoder::new(file), size),
            Packing::Zstd => {
                let decoder = ::zstd::Decoder::with_buffer(file).map_err(|_| ArchiveError::Malformed("zstd"))?;
                self.copy(decoder, size)
            }
        }
    }

    fn copy(&self, mut stream: impl Read, size: u64) -> Result<Spilled, ArchiveError> {
        let failed = |error: io::Error| ArchiveError::Spill(error.kind());
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match &mut *open {
            Some(open) => open,
            empty => empty.insert(Open::new().map_err(failed)?),
        };
        let (start, mut chunk) = (open.end, vec![0; CHUNK]);
        // Where reads move the place of writes, too.
        open.writer.seek(SeekFrom::Start(start)).map_err(failed)?;
        let cut = loop {
            let read = match stream.read(&mut chunk) {
                Ok(0) => break false,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break true,
            };
            check_unpacked(open.end - start + read as u64, size)?;
            open.writer.write_all(&chunk[..read]).map_err(failed)?;
            open.end += read as u64;
        };
        Ok(Spilled { file: open.reader.clone(), start, len: open.end - start, cut })
    }
}

impl Open {
    fn new() -> io::Result<Self> {
        let writer = tempfile::tempfile()?;
        let reader = SharedFile::new(writer.try_clone()?);
        Ok(Self { writer, reader, end: 0 })
    }
}
