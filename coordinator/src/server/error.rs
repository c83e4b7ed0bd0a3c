//! Why a coordinator can't start, and why one ends.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::journal::JournalError;
use crate::reload::FileError;

/// Why a coordinator did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Someone else listens there.
    #[error(
        "address `{address}` is in use, expected a free one: stop what listens there (another coordinator?), or choose another with `{option}`"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The option that changes it.
        option: &'static str,
    },
    /// It can't be listened on.
    #[error("address `{address}` can't be listened on: {problem}; choose one of this machine with `{option}`")]
    Unusable {
        /// The address.
        address: SocketAddr,
        /// The option that changes it.
        option: &'static str,
        /// The operating system's words.
        problem: io::Error,
    },
    /// Strangers could reach it, and read along or do what they like.
    #[error(
        "address `{address}` is open to other machines, expected {missing}: add that, listen on `127.0.0.1`, or allow it with `--insecure` where the network keeps others out"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
        /// What keeps strangers out and is not there.
        missing: String,
    },
    /// Strangers could read the metrics.
    #[error(
        "admin address `{address}` is open to other machines, in plain text: serve it on `127.0.0.1`, or allow it with `--insecure-admin` where the network keeps others out; it shows names of jobs and counts, and changes nothing"
    )]
    ExposedAdmin {
        /// The address.
        address: SocketAddr,
    },
    /// A certificate, a key or an access file can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The audit log can't be opened.
    #[error("audit log `{}` can't be opened: {problem}", path.display())]
    Audit {
        /// The log.
        path: PathBuf,
        /// The operating system's words.
        problem: io::Error,
    },
    /// The protocol's description of itself is broken.
    #[error("reflection is not possible: {problem}")]
    Reflection {
        /// What is wrong with it.
        problem: String,
    },
}

impl ServeError {
    pub(super) fn bind(address: SocketAddr, option: &'static str, problem: io::Error) -> Self {
        match problem.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, option },
            _ => Self::Unusable { address, option, problem },
        }
    }

    pub(super) fn reflection(problem: impl Display) -> Self {
        Self::Reflection { problem: problem.to_string() }
    }
}

/// Why a coordinator ended although nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its records can't be kept any more.
    #[error(transparent)]
    Journal(JournalError),
    /// Something else broke.
    #[error("the coordinator's {part} failed: {problem}")]
    Part {
        /// What.
        part: &'static str,
        /// Why.
        problem: String,
    },
}

impl RunError {
    pub(super) fn part(part: &'static str, problem: impl Display) -> Self {
        Self::Part { part, problem: problem.to_string() }
    }
}
