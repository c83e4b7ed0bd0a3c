//! The list of files that an ingest refused: written by it, read by whoever asks what became of a file.

use arrow::array::{Array as _, ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use serde::Serialize;
use std::sync::Arc;

use crate::manifest::{ContentHash, Manifest};
use crate::store::{Store, StoreError};

/// One refused file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedFile {
    /// The set it came with.
    pub source: String,
    /// An alias of its path in that set, since names of files name patients: whoever has the files and the pseudonym key gets
    /// the path back ([`names_by_alias`](crate::ingest::names_by_alias)).
    pub file: String,
    /// The part of the ingest that refused: `list`, `decode`, `mask`, `normalise` or `split`.
    pub stage: String,
    /// Machine-readable, and never changed.
    pub reason: String,
    /// What was found and what was expected.
    pub message: String,
}

/// The list can't be had.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// It is not what an ingest writes.
    #[error("quarantine list `{path}` cannot be read")]
    Malformed {
        /// Path in the store.
        path: String,
        /// What is wrong with it.
        source: ParquetError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a list lies, by the hash of its bytes.
pub(crate) fn path(corpus: &str, list: &ContentHash) -> String {
    format!("corpora/{corpus}/quarantine/{:.16}.parquet", list.to_string())
}

/// The files that a version of a corpus was refused; none when it has no list.
///
/// # Errors
/// [`QuarantineError`], naming the list.
pub async fn read(store: &Store, manifest: &Manifest) -> Result<Vec<RefusedFile>, QuarantineError> {
    let Some(path) = manifest.quarantine.clone() else { return Ok(Vec::new()) };
    decode(store.get(&path).await?).map_err(|source| QuarantineError::Malformed { path, source })
}

/// The list as a Parquet file.
pub(crate) fn encode(refused: &[RefusedFile]) -> Result<Vec<u8>, ParquetError> {
    let column =
        |of: fn(&RefusedFile) -> &str| Arc::new(StringArray::from_iter_values(refused.iter().map(of))) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("source", column(|row| &row.source)),
        ("file", column(|row| &row.file)),
        ("stage", column(|row| &row.stage)),
        ("reason", column(|row| &row.reason)),
        ("message", column(|row| &row.message)),
    ])?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
    writer.write(&batch)?;
    writer.into_inner()
}

fn decode(bytes: bytes::Bytes) -> Result<Vec<RefusedFile>, ParquetError> {
    let mut refused = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
        let batch = batch?;
        let column = |name: &str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref::<StringArray>());
            column.ok_or_else(|| ParquetError::General(format!("no column `{name}` of strings, expected one")))
        };
        let [source, file, stage] = [column("source")?, column("file")?, column("stage")?];
        let [reason, message] = [column("reason")?, column("message")?];
        refused.extend((0..batch.num_rows()).map(|row| {
            let text = |column: &StringArray| column.value(row).to_owned();
            RefusedFile {
                source: text(source),
                file: text(file),
                stage: text(stage),
                reason: text(reason),
                message: text(message),
            }
        }));
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(file: &str) -> RefusedFile {
        let [source, stage, reason, message] = ["set", "decode", "truncated", "ends early"].map(str::to_owned);
        RefusedFile { source, file: file.to_owned(), stage, reason, message }
    }

    #[test]
    fn a_list_reads_back_as_it_was() {
        let list = [refused("a.dcm"), refused("b/c.png")];
        assert_eq!(decode(encode(&list).unwrap().into()).unwrap(), list);
        assert_eq!(decode(encode(&[]).unwrap().into()).unwrap(), []);
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        assert!(decode(bytes::Bytes::from_static(b"PAR1")).is_err());
        let other = RecordBatch::try_from_iter([("file", Arc::new(StringArray::from(vec!["a"])) as ArrayRef)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), other.schema(), None).unwrap();
        writer.write(&other).unwrap();
        let error = decode(writer.into_inner().unwrap().into()).unwrap_err().to_string();
        assert!(error.contains("no column `source`"), "{error}");
    }
}
