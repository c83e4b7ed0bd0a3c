//! A shard while it grows, in memory.

use std::ops::Range;

use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::writer::SerializedFileWriter;

use super::encode::{EncodedGroup, GroupEncoder};
use crate::manifest::{ContentHash, RowGroup};

/// A Parquet file without its footer.
pub(super) struct ShardFile {
    writer: SerializedFileWriter<Vec<u8>>,
    row_groups: Vec<RowGroup>,
}

impl ShardFile {
    pub(super) fn new(encoder: &GroupEncoder) -> Result<Self> {
        Ok(Self { writer: encoder.file()?, row_groups: Vec::new() })
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes_written()
    }

    pub(super) fn append(&mut self, group: EncodedGroup) -> Result<()> {
        let mut row_group = self.writer.next_row_group()?;
        for column in group.columns {
            column.append_to_row_group(&mut row_group)?;
        }
        let written = row_group.close()?;
        // What is still in the writer's buffer is not yet in the bytes that are hashed below.
        self.writer.flush()?;
        self.row_groups.push(self.locate(group.rows, &written)?);
        Ok(())
    }

    /// The whole file, and where its row groups lie in it.
    pub(super) fn finish(self) -> Result<(Vec<u8>, Vec<RowGroup>)> {
        Ok((self.writer.into_inner()?, self.row_groups))
    }

    /// The place and the hashes of a row group that has been written.
    fn locate(&self, rows: u32, written: &RowGroupMetaData) -> Result<RowGroup> {
        let chunks: Vec<(u64, u64)> = written.columns().iter().map(|column| column.byte_range()).collect();
        let misplaced = || ParquetError::General("the column chunks of a row group do not lie end to end".to_owned());
        if chunks.windows(2).any(|pair| pair[0].0 + pair[0].1 != pair[1].0) {
            return Err(misplaced());
        }
        let offset = chunks.first().ok_or_else(misplaced)?.0;
        let unknown = ContentHash::of(&[]);
        let columns = chunks.into_iter().map(|(_, bytes)| bytes).collect();
        let group = RowGroup { rows, offset, columns, blake3: unknown, index_blake3: unknown };
        let hash = |range: Range<u64>| {
            let bytes = self.writer.inner().get(range.start as usize..range.end as usize);
            bytes.map(ContentHash::of).ok_or_else(misplaced)
        };
        Ok(RowGroup { blake3: hash(group.range())?, index_blake3: hash(group.index_range())?, ..group })
    }
}
