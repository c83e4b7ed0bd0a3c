//! Some rows of a row group.

use std::sync::Arc;

/// Which rows of a row group are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowSet {
    /// As many as there are.
    All(u32),
    /// These, ascending.
    Of(Arc<[u32]>),
}

impl RowSet {
    pub(super) fn len(&self) -> u32 {
        match self {
            Self::All(rows) => *rows,
            Self::Of(rows) => rows.len() as u32,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (all, some): (u32, &[u32]) = match self {
            Self::All(rows) => (*rows, &[]),
            Self::Of(rows) => (0, rows),
        };
        (0..all).chain(some.iter().copied())
    }

    /// Whether so few rows are meant that they are copied out of their pages rather than keep those in memory.
    pub(super) fn is_sparse(&self, of: u32) -> bool {
        self.len() < of / 2
    }
}
