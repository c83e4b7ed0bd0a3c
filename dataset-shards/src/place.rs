//! Where the bytes of a file lie: in a file of their own, or in an archive.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::archive::{Archive, MemberError};
use crate::decode::DecodeError;

/// Where the bytes of a file lie.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In a file on disk.
    Disk(PathBuf),
    /// In the member of this number of an archive.
    Member(Arc<Archive>, usize),
    /// Nowhere: the archive that it should lie in has no such member.
    Nowhere,
}

impl Place {
    /// The name, of which the last part says what the file was meant to be.
    pub(crate) fn name(&self) -> &Path {
        match self {
            Self::Disk(path) => path,
            Self::Member(archive, at) => {
                archive.members().get(*at).map_or(Path::new(""), |member| Path::new(&*member.name))
            }
            Self::Nowhere => Path::new(""),
        }
    }

    /// The bytes, and how many they are said to be.
    pub(crate) fn open(&self) -> Result<(Box<dyn Read + Send>, u64), DecodeError> {
        match self {
            Self::Disk(path) => {
                let file = File::open(path).map_err(|error| DecodeError::from_io(&error))?;
                let size = file.metadata().map_err(|error| DecodeError::from_io(&error))?.len();
                Ok((Box::new(file), size))
            }
            Self::Member(archive, at) => archive.open_member(*at).map_err(|error| match error {
                MemberError::Fault(fault) => DecodeError::Member(fault),
                MemberError::Io(error) => DecodeError::from_io(&error),
            }),
            Self::Nowhere => Err(DecodeError::Missing),
        }
    }

    /// What is known of the file without reading it; none when it is not there.
    pub(crate) fn state(&self) -> Option<String> {
        match self {
            Self::Disk(path) => std::fs::metadata(path).and_then(|metadata| state(&metadata)).ok(),
            Self::Member(archive, at) => archive.member_state(*at),
            Self::Nowhere => None,
        }
    }
}

/// Size and time of modification.
pub(crate) fn state(metadata: &Metadata) -> io::Result<String> {
    let modified = metadata.modified()?;
    // Before 1970 the distance counts backwards, which is as good.
    let nanoseconds = modified.duration_since(UNIX_EPOCH).unwrap_or_else(|before| before.duration()).as_nanos();
    Ok(format!("{} bytes at {nanoseconds}", metadata.len()))
}
