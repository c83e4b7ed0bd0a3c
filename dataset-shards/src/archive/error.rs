//! What is wrong with archives and their members.

use std::io;

use super::MEMBERS_MAX;
use crate::decode::FILE_BYTES_MAX;

/// Why an archive cannot be used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// It cannot be read.
    #[error("the archive cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// It is not one.
    #[error("the file is no {0} archive, or is cut: make it again")]
    Malformed(&'static str),
    /// It has too many members.
    #[error("the archive has more than {MEMBERS_MAX} members: split it")]
    TooManyMembers,
    /// It unpacks to more than its size justifies.
    #[error(
        "the archive unpacks to more than {limit} bytes, the most that one of its size may: split it, or unpack it"
    )]
    Bomb {
        /// The most that it may unpack to.
        limit: u64,
    },
    /// Members share bytes, which no program does that packs files.
    #[error("members of the archive lie over each other: make it again")]
    Overlap,
    /// A packed tar file has to be inflated, and cannot be.
    #[error("the archive cannot be inflated into `TMPDIR`: {0}; make room there, or use a zip or a plain tar file")]
    Spill(io::ErrorKind),
}

impl ArchiveError {
    /// The reason for programs; never changes.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "archive_unreadable",
            Self::Malformed(_) => "archive_malformed",
            Self::TooManyMembers => "archive_too_large",
            Self::Bomb { .. } | Self::Overlap => "archive_bomb",
            Self::Spill(_) => "archive_not_inflated",
        }
    }
}

/// What is wrong with an archive whose members are read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    /// What follows cannot be read.
    #[error("the archive ends or breaks behind its member {members}: what was to follow is lost, make it again")]
    Cut {
        /// Members found.
        members: usize,
    },
    /// Bytes follow the end.
    #[error(
        "bytes follow the end of the archive and were not read: archives that were put together must be unpacked apart"
    )]
    Trailing,
}

impl Damage {
    /// The reason for programs; never changes.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Cut { .. } => "archive_cut",
            Self::Trailing => "archive_trailing_bytes",
        }
    }
}

/// Why a member of an archive is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemberFault {
    /// Nobody has its key.
    #[error("the member of the archive is encrypted, expected one that is not")]
    Encrypted,
    /// It is packed in a way that is not read.
    #[error("the member of the archive is packed by method {0}, expected 0 or 8 (stored or deflated)")]
    Method(u16),
    /// Its name leads out of the archive.
    #[error("the name of the member leaves the archive, expected a relative path without `..`")]
    Outside,
    /// A later member has its name.
    #[error("a later member of the archive has the same name and is read in its stead")]
    Duplicate,
    /// It is a link, a device or the like.
    #[error("the member of the archive is a link, a device or the like, expected a file: links are not followed")]
    NotAFile,
    /// It has holes.
    #[error("the member of the archive is a sparse file, expected a whole one")]
    Sparse,
    /// It is an archive.
    #[error("an archive in an archive is not entered: unpack the outer one")]
    Nested,
    /// It is larger than a file may be.
    #[error("the member of the archive has {0} bytes, expected at most {FILE_BYTES_MAX}")]
    TooLarge(u64),
    /// The archive ends inside it.
    #[error("the archive ends inside the member, or does not hold it where it says")]
    Truncated,
}

impl MemberFault {
    /// The reason for programs; never changes.
    pub fn code(self) -> &'static str {
        match self {
            Self::Encrypted => "member_encrypted",
            Self::Method(_) => "member_packing",
            Self::Outside => "outside_folder",
            Self::Duplicate => "member_duplicate",
            Self::NotAFile => "member_not_a_file",
            Self::Sparse => "member_sparse",
            Self::Nested => "archive_nested",
            Self::TooLarge(_) => "too_large",
            Self::Truncated => "member_truncated",
        }
    }
}
