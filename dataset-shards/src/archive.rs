//! Archives as folders: tar, plain or packed as a whole with gzip or zstd, and zip.
//!
//! An archive is indexed once; its members are then read in any order and on any thread, straight from where they lie. A zip file
//! and a plain tar file are not unpacked. A packed tar file can only be read from its beginning, and the slices of a series or the
//! masks of images are wanted in another order: it is inflated once into a nameless temporary file ([`Spill`]), which costs the
//! disk its inflated size and each process that lists it one pass, and leaves nothing behind however the process ends.
//!
//! Nothing in an archive is believed. Sizes, counts and ratios have limits, names stay inside, what is no file, is encrypted or
//! occurs twice is told by name, and archives in archives are not entered. Whatever lies before or behind a zip file's members and
//! is not named by its directory is not looked at.

mod error;
mod member;
mod name;
mod spill;
mod storage;
mod tar;
#[cfg(test)]
pub(crate) mod testing;
mod zip;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::decode::guarded;

pub use error::MemberFault;
pub(crate) use error::{ArchiveError, Damage};
pub(crate) use member::Member;
pub(crate) use name::{Kind, kind_of, stem};
pub(crate) use spill::Spill;
use storage::{Part, SharedFile, Storage};

/// Most members of an archive: each is kept account of.
pub const MEMBERS_MAX: u64 = 1 << 21;
/// Most bytes that an archive may unpack to.
pub const UNPACKED_BYTES_MAX: u64 = 64 << 30;
/// Most bytes that an archive may unpack to for each of its own, beyond [`UNPACKED_BYTES_FREE`]: images come nowhere near it.
pub const UNPACKED_RATIO_MAX: u64 = 100;
/// Bytes that an archive may unpack to whatever its own size.
pub const UNPACKED_BYTES_FREE: u64 = 1 << 30;

/// An archive and where its members lie.
#[derive(Debug)]
pub(crate) struct Archive {
    storage: Storage,
    /// Sorted as a walk through folders of these names would come by them; no two of a name but for faulty ones.
    members: Vec<Member>,
    /// What is wrong with the archive as a whole, when its members could be listed all the same.
    damage: Option<Damage>,
    /// Size and time of modification of the file.
    state: String,
}

/// What an index found.
struct Index {
    members: Vec<Member>,
    damage: Option<Damage>,
}

impl Archive {
    /// Indexes an archive. What kind it is its first bytes say, not its name.
    pub(crate) fn open(path: &Path, spill: &Spill) -> Result<Self, ArchiveError> {
        let failed = |error: io::Error| ArchiveError::Unreadable(error.kind());
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let state = crate::place::state(&metadata).map_err(failed)?;
        let mut start = [0; 4];
        let read = (&file).read(&mut start).map_err(failed)?;
        let packing = match &start[..read] {
            [b'P', b'K', ..] => {
                let index = index("zip", || zip::index(file, metadata.len()))?;
                return Ok(Self::new(Storage::disk(path), index, state));
            }
            [0x1f, 0x8b, ..] => spill::Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => spill::Packing::Zstd,
            _ if kind_of(path) == Some(Kind::Zip) => return Err(ArchiveError::Malformed("zip")),
            _ => {
                let whole = Part::new(SharedFile::new(file), 0, metadata.len());
                let index = index("tar", || tar::index(whole))?;
                return Ok(Self::new(Storage::disk(path), index, state));
            }
        };
        let file = File::open(path).map_err(failed)?;
        let spilled = spill.add(file, packing, metadata.len())?;
        let mut index = index("tar", || tar::index(spilled.part()))?;
        if spilled.cut && index.damage.is_none() {
            index.damage = Some(Damage::Cut { members: index.members.len() });
        }
        Ok(Self::new(Storage::Spilled { file: spilled.file, start: spilled.start }, index, state))
    }

    fn new(storage: Storage, index: Index, state: String) -> Self {
        let Index { mut members, damage } = index;
        members.sort_by(|one, other| name::order(&one.name, &other.name));
        // Of files of one name the last one counts, as when they are unpacked one after the other.
        for at in 1..members.len() {
            let (before, from) = members.split_at_mut(at);
            if before[at - 1].name == from[0].name && before[at - 1].fault.is_none() {
                before[at - 1].fault = Some(MemberFault::Duplicate);
            }
        }
        Self { storage, members, damage, state }
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn damage(&self) -> Option<Damage> {
        self.damage
    }

    /// The member of a name: of several the one that counts.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let behind = self.members.partition_point(|member| name::order(&member.name, name).is_le());
        let at = behind.checked_sub(1)?;
        (*self.members[at].name == *name).then_some(at)
    }

    /// A member's bytes, and how many it says they are. What it holds is checked against its size and its checksum on the way.
    pub(crate) fn open_member(self: &Arc<Self>, at: usize) -> Result<(Box<dyn Read + Send>, u64), MemberError> {
        let member = self.members.get(at).ok_or(MemberError::Io(io::ErrorKind::NotFound.into()))?;
        if let Some(fault) = member.fault {
            return Err(MemberError::Fault(fault));
        }
        let range = self.storage.range(member.at, member.packed).map_err(MemberError::Io)?;
        Ok((member.unpack(range), member.size))
    }

    /// What is known of a member without reading it: size, checksum or time, and the same of the archive.
    pub(crate) fn member_state(&self, at: usize) -> Option<String> {
        let member = self.members.get(at)?;
        Some(format!("{} bytes, {:x}, in {}", member.size, member.mark, self.state))
    }
}

/// Why a member cannot be opened.
#[derive(Debug)]
pub(crate) enum MemberError {
    Fault(MemberFault),
    Io(io::Error),
}

/// Runs an indexer, of which a panic costs the archive and not the process.
fn index(kind: &'static str, indexer: impl FnOnce() -> Result<Index, ArchiveError>) -> Result<Index, ArchiveError> {
    guarded(kind, || Ok(indexer())).unwrap_or(Err(ArchiveError::Malformed(kind)))
}

/// Refuses what unpacks to more than its size justifies.
fn check_unpacked(unpacked: u64, packed: u64) -> Result<(), ArchiveError> {
    let by_ratio = packed.saturating_mul(UNPACKED_RATIO_MAX).max(UNPACKED_BYTES_FREE);
    let limit = by_ratio.min(UNPACKED_BYTES_MAX);
    if unpacked > limit { Err(ArchiveError::Bomb { limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
