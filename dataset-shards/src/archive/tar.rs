//! The members of a tar file, by its headers alone.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use ::tar::{Archive, Entry, EntryType};

use super::error::{ArchiveError, Damage, MemberFault};
use super::member::Member;
use super::name::Name;
use super::storage::Part;
use super::{Index, MEMBERS_MAX};

/// Headers and what they are padded to.
const BLOCK: u64 = 512;
/// Bytes of the headers of one member, at most: long names and attributes are held in memory.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// Zeros behind the end that are taken for padding.
const PADDING_MAX: u64 = 1 << 20;

/// What the headers say.
struct Walk {
    members: Vec<Member>,
    damage: Option<Damage>,
    entries: u64,
    /// Behind the last one.
    end: u64,
}

pub(super) fn index(mut part: Part) -> Result<Index, ArchiveError> {
    let len = part.len();
    let Walk { members, mut damage, entries, end } = walk(&mut part)?;
    if entries == 0 && (damage.is_some() || len < BLOCK) {
        return Err(ArchiveError::Malformed("tar"));
    }
    if damage.is_none() && end > len {
        damage = Some(Damage::Cut { members: members.len() });
    }
    if damage.is_none() && is_followed(&mut part, end).map_err(|error| ArchiveError::Unreadable(error.kind()))? {
        damage = Some(Damage::Trailing);
    }
    Ok(Index { members, damage })
}

/// Goes from header to header; what lies between is passed over.
fn walk(part: &mut Part) -> Result<Walk, ArchiveError> {
    let (len, allowance) = (part.len(), Rc::new(Cell::new(0)));
    let mut archive = Archive::new(Metered { part, allowance: Rc::clone(&allowance) });
    let mut walk = Walk { members: Vec::new(), damage: None, entries: 0, end: 0 };
    let mut entries = archive.entries_with_seek().map_err(|error| ArchiveError::Unreadable(error.kind()))?;
    loop {
        allowance.set(HEADER_BYTES_MAX);
        let mut entry = match entries.next() {
            Some(Ok(entry)) => entry,
            Some(Err(_)) => {
                walk.damage = Some(Damage::Cut { members: walk.members.len() });
                return Ok(walk);
            }
            None => return Ok(walk),
        };
        walk.entries += 1;
        if walk.entries > MEMBERS_MAX {
            return Err(ArchiveError::TooManyMembers);
        }
        let behind = entry.raw_file_position().saturating_add(entry.size());
        walk.end = behind.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        walk.members.extend(member(&mut entry, len));
    }
}

/// None for what is neither a file nor looks like one.
fn member(entry: &mut Entry<'_, impl Read>, len: u64) -> Option<Member> {
    let (at, size, kind) = (entry.raw_file_position(), entry.size(), entry.header().entry_type());
    let name = entry.path_bytes().into_owned();
    // Headers of before 1988 tell a folder by its name.
    if matches!(kind, EntryType::Directory | EntryType::XGlobalHeader) || name.ends_with(b"/") {
        return None;
    }
    let fault = match kind {
        EntryType::GNUSparse => Some(MemberFault::Sparse),
        EntryType::Regular | EntryType::Continuous if is_sparse(entry) => Some(MemberFault::Sparse),
        EntryType::Regular | EntryType::Continuous if at.checked_add(size).is_none_or(|end| end > len) => {
            Some(MemberFault::Truncated)
        }
        EntryType::Regular | EntryType::Continuous => None,
        _ => Some(MemberFault::NotAFile),
    };
    let mark = entry.header().mtime().unwrap_or_default();
    Some(Member { at, mark, ..Member::new(Name::new(&name), size, fault) })
}

/// Whether attributes say that the bytes in the archive are those of a file with holes.
fn is_sparse(entry: &mut Entry<'_, impl Read>) -> bool {
    let Ok(Some(attributes)) = entry.pax_extensions() else { return false };
    attributes.flatten().any(|attribute| attribute.key_bytes().starts_with(b"GNU.sparse."))
}

/// Whether anything but zeros of an end follows.
fn is_followed(part: &mut Part, end: u64) -> io::Result<bool> {
    let len = part.len();
    if len.saturating_sub(end) > PADDING_MAX {
        return Ok(true);
    }
    part.seek(SeekFrom::Start(end))?;
    let mut rest = Vec::new();
    part.take(PADDING_MAX).read_to_end(&mut rest)?;
    Ok(rest.iter().any(|&byte| byte != 0))
}

/// A part of which no more than an allowance is read before it is renewed. The reader of tar files reads headers, and seeks over
/// contents; attributes it takes into memory, however long a header says that they are.
struct Metered<'a> {
    part: &'a mut Part,
    allowance: Rc<Cell<u64>>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.get();
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let read = self.part.read(&mut buffer[..most])?;
        self.allowance.set(left - read as u64);
        Ok(read)
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.part.seek(to)
    }
}
