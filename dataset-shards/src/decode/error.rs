//! Why a file gives no image.

use std::io;

use crate::archive::MemberFault;

/// Why a file gives no image. No message holds a value of the file that could name a patient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is no such file.
    #[error("the file does not exist, expected one where the list says")]
    Missing,
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// It has no bytes.
    #[error("the file is empty")]
    Empty,
    /// It lies in an archive that does not give it away.
    #[error(transparent)]
    Member(MemberFault),
    /// It is, or claims to be, larger than an ingest accepts.
    #[error("{found} {what}, expected at most {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How many there are, or are claimed.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// It is a valid file of a kind that holds no image, or no image file at all. Not a fault.
    #[error("the file holds no image: {kind}")]
    NotAnImage {
        /// What it is.
        kind: &'static str,
    },
    /// It is named like an image, and its bytes are of no known format.
    #[error("the bytes are of no known format, expected DICOM, NIfTI, PNG, JPEG, TIFF or BMP")]
    UnknownFormat,
    /// It is valid, and of a kind that is not read.
    #[error("{what} is not supported, expected {expected}")]
    Unsupported {
        /// What was found.
        what: String,
        /// What is read instead.
        expected: &'static str,
    },
    /// It breaks its format.
    #[error("malformed {format}: {fault}")]
    Malformed {
        /// The format.
        format: &'static str,
        /// How.
        fault: String,
    },
    /// It ends early.
    #[error("truncated {format}: {fault}")]
    Truncated {
        /// The format.
        format: &'static str,
        /// What is missing.
        fault: String,
    },
    /// Its decoder panicked on it.
    #[error("the {format} decoder gave up on the file")]
    Panicked {
        /// The format.
        format: &'static str,
    },
}

impl DecodeError {
    /// The reason for programs; never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing_file",
            Self::Unreadable(_) => "unreadable",
            Self::Empty => "empty_file",
            Self::Member(fault) => fault.code(),
            Self::TooLarge { .. } => "too_large",
            Self::NotAnImage { .. } => "not_an_image",
            Self::UnknownFormat => "unknown_format",
            Self::Unsupported { .. } => "unsupported",
            Self::Malformed { .. } => "malformed",
            Self::Truncated { .. } => "truncated",
            Self::Panicked { .. } => "decoder_failed",
        }
    }

    pub(crate) fn from_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            // What a packed file says of itself is not so.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Malformed { format: "archive", fault: "the member is not what the archive says of it".to_owned() }
            }
            io::ErrorKind::UnexpectedEof => {
                Self::Truncated { format: "archive", fault: "the member is shorter than the archive says".to_owned() }
            }
            kind => Self::Unreadable(kind),
        }
    }
}
