//! The members of a zip file, by its central directory.

use std::fs::File;

use rawzip::{CompressionMethod, FileReader, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ZipArchive, ZipFileHeaderRecord};

use super::error::{ArchiveError, Damage, MemberFault};
use super::member::{Member, Packing};
use super::name::Name;
use super::{Index, MEMBERS_MAX, check_unpacked};

/// Goes through the central directory, and looks up where each member's bytes begin.
pub(super) fn index(file: File, len: u64) -> Result<Index, ArchiveError> {
    let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(|_| ArchiveError::Malformed("zip"))?;
    let (mut members, mut damage, mut seen, mut unpacked) = (Vec::new(), None, 0_u64, 0_u64);
    let mut taken = Vec::new();
    let mut entries = archive.entries(&mut buffer);
    loop {
        let entry = match entries.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) if seen >= archive.entries_hint() => break,
            Ok(None) | Err(_) if seen == 0 => return Err(ArchiveError::Malformed("zip")),
            Ok(None) | Err(_) => {
                damage = Some(Damage::Cut { members: members.len() });
                break;
            }
        };
        seen += 1;
        if seen > MEMBERS_MAX {
            return Err(ArchiveError::TooManyMembers);
        }
        if entry.is_dir() || entry.mode().value() & FILE_TYPE == FOLDER {
            continue;
        }
        let (member, range) = member(&archive, &entry, len);
        if member.fault.is_none() {
            unpacked = unpacked.saturating_add(member.size);
            taken.push(range);
        }
        members.push(member);
    }
    check_unpacked(unpacked, len)?;
    taken.sort_unstable();
    if taken.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(ArchiveError::Overlap);
    }
    Ok(Index { members, damage })
}

/// Bits of a mode that say what a file is, and what they are for files and folders: inode(7).
const FILE_TYPE: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// A member, and what it takes of the archive from its own header on.
fn member(archive: &ZipArchive<FileReader>, entry: &ZipFileHeaderRecord<'_>, len: u64) -> (Member, (u64, u64)) {
    let (size, packed, crc) = (entry.uncompressed_size_hint(), entry.compressed_size_hint(), entry.crc32());
    let range = archive.get_entry(entry.wayfinder()).map(|found| found.compressed_data_range()).ok();
    let packing = match entry.compression_method() {
        CompressionMethod::STORE => Some(Packing::Stored { crc }),
        CompressionMethod::DEFLATE => Some(Packing::Deflated { crc }),
        _ => None,
    };
    let mode = entry.mode().value() & FILE_TYPE;
    let fault = match (packing, range) {
        _ if entry.flags().is_encrypted() || entry.flags().is_masked() => Some(MemberFault::Encrypted),
        _ if !matches!(mode, 0 | FILE) => Some(MemberFault::NotAFile),
        (None, _) => Some(MemberFault::Method(entry.compression_method().as_u16())),
        (Some(Packing::Stored { .. }), _) if size != packed => Some(MemberFault::Truncated),
        (Some(_), Some((_, end))) if end <= len => None,
        _ => Some(MemberFault::Truncated),
    };
    let (at, end) = range.unwrap_or_default();
    // Some programs write the separators of Windows.
    let name: Vec<u8> =
        entry.file_path().as_bytes().iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect();
    let packing = packing.unwrap_or(Packing::Plain);
    let member = Member { at, packed, packing, mark: crc.into(), ..Member::new(Name::new(&name), size, fault) };
    (member, (entry.local_header_offset(), end))
}
