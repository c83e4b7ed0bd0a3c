//! One file in an archive.

use std::io::{self, BufReader, Read};

use flate2::CrcReader;
use flate2::read::DeflateDecoder;

use super::error::MemberFault;
use super::name::{self, Name};
use crate::decode::FILE_BYTES_MAX;

/// One file in an archive, by what the archive says of it.
#[derive(Debug)]
pub(crate) struct Member {
    /// Path in the archive, or the last part of it where it leads out of there.
    pub(crate) name: Box<str>,
    /// Where its bytes begin.
    pub(super) at: u64,
    /// How many they are as they lie there.
    pub(super) packed: u64,
    /// How many it unpacks to.
    pub(super) size: u64,
    pub(super) packing: Packing,
    /// Its checksum, or its time of modification where the format has none.
    pub(super) mark: u64,
    /// Why it is not read, if so.
    pub(crate) fault: Option<MemberFault>,
}

/// How the bytes of a member are packed and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// As they are.
    Plain,
    /// As they are, with a checksum.
    Stored {
        crc: u32,
    },
    Deflated {
        crc: u32,
    },
}

impl Member {
    /// A member of this name. A fault that it is given counts less than one of its name, since of a name that leads out of the
    /// archive the last part is all that may be shown.
    pub(super) fn new(name: Name, size: u64, fault: Option<MemberFault>) -> Self {
        let (name, of_name) = match name {
            Name::Inside(name) => (name, None),
            Name::Outside(last) => (last, Some(MemberFault::Outside)),
        };
        let nested = || name::kind_of(std::path::Path::new(&name)).map(|_| MemberFault::Nested);
        let large = || (size > FILE_BYTES_MAX).then_some(MemberFault::TooLarge(size));
        let fault = of_name.or(fault).or_else(nested).or_else(large);
        Self { name: name.into(), at: 0, packed: size, size, packing: Packing::Plain, mark: 0, fault }
    }

    /// The bytes of the member, unpacked from those in the archive.
    pub(super) fn unpack(&self, packed: impl Read + Send + 'static) -> Box<dyn Read + Send> {
        let (size, crc) = (self.size, self.packing.crc());
        match self.packing {
            Packing::Plain | Packing::Stored { .. } => Box::new(Checked::new(BufReader::new(packed), size, crc)),
            Packing::Deflated { .. } => Box::new(Checked::new(DeflateDecoder::new(packed), size, crc)),
        }
    }
}

impl Packing {
    fn crc(self) -> Option<u32> {
        match self {
            Self::Plain => None,
            Self::Stored { crc } | Self::Deflated { crc } => Some(crc),
        }
    }
}

/// Bytes that end where they should, with the checksum that they should have, or in an error.
struct Checked<R> {
    inner: CrcReader<R>,
    left: u64,
    crc: Option<u32>,
}

impl<R: Read> Checked<R> {
    fn new(inner: R, size: u64, crc: Option<u32>) -> Self {
        Self { inner: CrcReader::new(inner), left: size, crc }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left > 0 {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.inner.read(&mut buffer[..most])?;
            self.left -= read as u64;
            return if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) };
        }
        let sum = self.inner.crc().sum();
        if self.crc.is_some_and(|crc| crc != sum) || self.inner.read(&mut [0])? > 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(0)
    }
}
