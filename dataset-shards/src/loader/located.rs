//! A row group by its place in a corpus, and what is said when it is not as it should be.

use std::sync::Arc;

use parquet::errors::ParquetError;

use super::LoadError;
use crate::manifest::{RowGroup, Shard};

/// One row group of one shard.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub(super) shard: Arc<Shard>,
    /// Index in the shard; it has one of that index.
    pub(super) row_group: usize,
}

impl Located {
    /// Its entry in the manifest.
    pub(super) fn entry(&self) -> &RowGroup {
        &self.shard.row_groups[self.row_group]
    }

    pub(super) fn undecodable(&self, source: ParquetError) -> LoadError {
        LoadError::Undecodable { shard: self.shard.path.clone(), row_group: self.row_group, source }
    }

    pub(super) fn unlike(&self, column: &str) -> LoadError {
        LoadError::Changed {
            shard: self.shard.path.clone(),
            found: format!("no column `{column}` of the expected type"),
            expected: "the columns of a vismae shard".to_owned(),
        }
    }

    pub(super) fn damaged(&self, row: u32, fault: String) -> LoadError {
        LoadError::Row { shard: self.shard.path.clone(), row_group: self.row_group, row, fault }
    }
}
