//! Column chunks in memory, read by what the manifest says of them and not by a footer.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use bytes::{Buf, Bytes};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowSchemaConverter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, RowGroupMetaData,
};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::SchemaDescPtr;

use crate::manifest::RowGroup;
use crate::schema::shard_schema;

/// The columns of every shard: their form in Parquet, and the one they are read into.
pub(super) struct Columns {
    parquet: SchemaDescPtr,
    arrow: SchemaRef,
}

/// Some bytes of a file, and where they begin in it.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) bytes: Bytes,
}

impl Columns {
    pub(super) fn new() -> Result<Self> {
        let schema = shard_schema(&[]);
        let parquet = Arc::new(ArrowSchemaConverter::new().convert(&schema)?);
        let fields: Fields = schema.fields().iter().map(lend_bytes).collect();
        Ok(Self { parquet, arrow: Arc::new(Schema::new(fields)) })
    }

    /// How many column chunks a row group has.
    pub(super) fn count(&self) -> usize {
        self.parquet.num_columns()
    }

    /// Reads some leaf columns, named as `mask.path`, of a row group whose chunks of them lie in `piece`.
    pub(super) fn read(&self, group: &RowGroup, piece: Piece, names: &[&str]) -> Result<RecordBatch> {
        let metadata = ArrowReaderMetadata::try_new(
            Arc::new(self.metadata(group)?),
            ArrowReaderOptions::new().with_schema(Arc::clone(&self.arrow)),
        )?;
        let projection = ProjectionMask::columns(&self.parquet, names.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(piece, metadata)
            .with_projection(projection)
            .with_batch_size(group.rows as usize);
        let batch = reader.build()?.next().transpose()?;
        let rows = batch.as_ref().map_or(0, RecordBatch::num_rows);
        let short = || ParquetError::General(format!("it holds {rows} rows, expected {}", group.rows));
        batch.filter(|_| rows == group.rows as usize).ok_or_else(short)
    }

    /// What the footer says of this row group, as far as a reader asks.
    fn metadata(&self, group: &RowGroup) -> Result<ParquetMetaData> {
        let rows = i64::from(group.rows);
        let mut start = group.offset;
        let columns = self.parquet.columns().iter().zip(&group.columns).map(|(column, &bytes)| {
            let offset = i64::try_from(start).map_err(|error| ParquetError::External(Box::new(error)))?;
            let length = i64::try_from(bytes).map_err(|error| ParquetError::External(Box::new(error)))?;
            start = start.saturating_add(bytes);
            ColumnChunkMetaData::builder(Arc::clone(column))
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .set_num_values(rows)
                .set_total_compressed_size(length)
                .set_total_uncompressed_size(length)
                // A chunk begins with its dictionary where it has one; the pages say which they are.
                .set_data_page_offset(offset)
                .build()
        });
        let row_group = RowGroupMetaData::builder(Arc::clone(&self.parquet))
            .set_num_rows(rows)
            .set_column_metadata(columns.collect::<Result<_>>()?)
            .build()?;
        let file = FileMetaData::new(2, rows, None, None, Arc::clone(&self.parquet), None);
        Ok(ParquetMetaDataBuilder::new(file).add_row_group(row_group).build())
    }
}

/// The same field, but for encoded images: those are read as views of the decompressed pages instead of being copied together.
fn lend_bytes(field: &FieldRef) -> FieldRef {
    let DataType::Struct(inner) = field.data_type() else { return Arc::clone(field) };
    let inner = inner.iter().map(|field| match field.data_type() {
        DataType::Binary => Arc::new(Field::new(field.name(), DataType::BinaryView, field.is_nullable())),
        _ => Arc::clone(field),
    });
    Arc::new(Field::new(field.name(), DataType::Struct(inner.collect()), field.is_nullable()))
}

impl Piece {
    fn from(&self, start: u64) -> Result<Bytes> {
        let outside = || ParquetError::EOF(format!("byte {start} is outside the piece that was read"));
        let skipped = start.checked_sub(self.start).and_then(|skipped| usize::try_from(skipped).ok());
        let skipped = skipped.filter(|&skipped| skipped <= self.bytes.len()).ok_or_else(outside)?;
        Ok(self.bytes.slice(skipped..))
    }
}

impl Length for Piece {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Piece {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.from(start)?;
        let short = || ParquetError::EOF(format!("{length} bytes from byte {start} on are not all in the piece"));
        if bytes.len() < length { Err(short()) } else { Ok(bytes.slice(..length)) }
    }
}
