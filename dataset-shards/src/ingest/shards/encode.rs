//! Rows as the column chunks of a row group, encoded on the calling thread alone.

use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::schema::{FrameRow, record_batch};

/// Below 1 zstd leaves alone what packs badly, as noise does. Of real frames at 224 pixels, one core writes and reads, in thousands
/// a second, at level -1 17 and 75, at 1 11 and 24, at 3 3.6 and 18, at 9 0.9 and 17. The level -1 costs some 7 % more bytes than
/// 1, and a whole loader of two cores reads 32 instead of 22; a loader that nobody waits for is worth that.
const ZSTD_LEVEL: i32 = -1;
/// Rows that become arrays together: few enough that their pixels are still in the cache of the core when they are compressed.
const BATCH_ROWS: usize = 8;

/// Encodes row groups of one schema, from any number of threads.
pub(super) struct GroupEncoder {
    schema: SchemaRef,
    columns: ArrowRowGroupWriterFactory,
}

/// A row group that has no place in a file yet.
pub(super) struct EncodedGroup {
    pub(super) rows: u32,
    pub(super) columns: Vec<ArrowColumnChunk>,
}

impl GroupEncoder {
    pub(super) fn new(schema: SchemaRef) -> Result<Self> {
        let (_, columns) = ArrowWriter::try_new(Vec::new(), SchemaRef::clone(&schema), Some(properties()?))?
            .into_serialized_writer()?;
        Ok(Self { schema, columns })
    }

    /// An empty file for row groups of this schema.
    pub(super) fn file(&self) -> Result<SerializedFileWriter<Vec<u8>>> {
        let writer = ArrowWriter::try_new(Vec::new(), SchemaRef::clone(&self.schema), Some(properties()?))?;
        Ok(writer.into_serialized_writer()?.0)
    }

    pub(super) fn encode(&self, rows: &[FrameRow]) -> Result<EncodedGroup> {
        // The index of the row group matters to encrypted files alone.
        let mut writers = self.columns.create_column_writers(0)?;
        for rows in rows.chunks(BATCH_ROWS) {
            let batch = record_batch(&self.schema, rows)?;
            let mut columns = writers.iter_mut();
            for (field, array) in self.schema.fields().iter().zip(batch.columns()) {
                for leaf in compute_leaves(field, array)? {
                    let unlike = || ParquetError::General("a row has more columns than the schema".to_owned());
                    columns.next().ok_or_else(unlike)?.write(&leaf)?;
                }
            }
        }
        let columns = writers.into_iter().map(ArrowColumnWriter::close).collect::<Result<_>>()?;
        Ok(EncodedGroup { rows: rows.len() as u32, columns })
    }
}

fn properties() -> Result<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_created_by("vismae".to_owned());
    // Every image differs from the last: neither a dictionary nor a range of its bytes says anything.
    for column in ["image", "mask"] {
        let path = ColumnPath::new(vec![column.to_owned(), "bytes".to_owned()]);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    Ok(properties.build())
}
