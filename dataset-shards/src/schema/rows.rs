//! From a batch of a shard back to the rows that it was made from.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use vismae_core::spec::Modality;

use super::FrameRow;
use crate::split::Split;

/// The rows of a batch of a whole shard.
///
/// # Errors
/// [`ArrowError::SchemaError`] when a column is missing or of another type, [`ArrowError::InvalidArgumentError`] when a value is
/// none that [`record_batch`](super::record_batch) writes.
pub fn frame_rows(batch: &RecordBatch) -> Result<Vec<FrameRow>, ArrowError> {
    let text = |name: &str| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let text = |name: &str| -> Result<&StringArray, ArrowError> { text(name).ok_or_else(|| missing(name)) };
    let [ids, modalities] = [text("sample_id")?, text("modality")?];
    let [groups, sources, splits] = [text("group_id")?, text("source")?, text("split")?];
    let [images, masks] = [images(batch, "image")?, images(batch, "mask")?];
    let width = batch.column_by_name("width").and_then(|column| column.as_primitive_opt::<Int32Type>());
    let width = width.ok_or_else(|| missing("width"))?;
    let label = batch.column_by_name("label").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let label = label.ok_or_else(|| missing("label"))?;
    let spacing = batch.column_by_name("spacing_mm").and_then(|column| column.as_list_opt::<i32>());
    let spacing = spacing.ok_or_else(|| missing("spacing_mm"))?;
    let row = |at: usize| -> Result<FrameRow, ArrowError> {
        let spacing_mm = spacing.is_valid(at).then(|| spacing.value(at));
        let spacing_mm =
            spacing_mm.map(|pair| match pair.as_primitive_opt::<Float32Type>().map(|pair| pair.values()) {
                Some(pair) if pair.len() == 2 => Ok([pair[0], pair[1]]),
                _ => Err(unusable("spacing_mm")),
            });
        Ok(FrameRow {
            image: bytes(images, at).ok_or_else(|| unusable("image"))?,
            mask: bytes(masks, at),
            sample_id: ids.value(at).parse().map_err(|_| unusable("sample_id"))?,
            modality: Modality::from_code(modalities.value(at)).ok_or_else(|| unusable("modality"))?,
            group_id: groups.value(at).to_owned(),
            source: Arc::from(sources.value(at)),
            side: u32::try_from(width.value(at)).map_err(|_| unusable("width"))?,
            spacing_mm: spacing_mm.transpose()?,
            split: Split::from_word(splits.value(at)).ok_or_else(|| unusable("split"))?,
            label: label.is_valid(at).then(|| label.value(at)),
        })
    };
    (0..batch.num_rows()).map(row).collect()
}

fn images<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StructArray, ArrowError> {
    let images = batch.column_by_name(name).and_then(|column| column.as_struct_opt());
    let is_binary =
        |images: &&StructArray| images.column_by_name("bytes").is_some_and(|c| c.as_binary_opt::<i32>().is_some());
    images.filter(is_binary).ok_or_else(|| missing(name))
}

fn bytes(images: &StructArray, at: usize) -> Option<Vec<u8>> {
    let bytes = images.column_by_name("bytes")?.as_binary_opt::<i32>()?;
    (images.is_valid(at) && bytes.is_valid(at)).then(|| bytes.value(at).to_vec())
}

fn missing(column: &str) -> ArrowError {
    ArrowError::SchemaError(format!("no column `{column}` of the expected type"))
}

fn unusable(column: &str) -> ArrowError {
    ArrowError::InvalidArgumentError(format!("a value of column `{column}` is none that an ingest writes"))
}

#[cfg(test)]
mod tests {
    use super::super::{record_batch, shard_schema};
    use super::*;
    use crate::frame::Frame;
    use crate::frame::pgm;
    use crate::sample::SampleId;

    fn row(label: Option<i64>, mask: Option<Vec<u8>>, spacing_mm: Option<[f32; 2]>) -> FrameRow {
        let image = pgm::encode(&Frame::gray8(2, 2, vec![1, 2, 3, 4]).unwrap());
        FrameRow {
            sample_id: SampleId::of_pgm(&image),
            image,
            mask,
            modality: Modality::Pet,
            group_id: "g".to_owned(),
            source: "s".into(),
            side: 2,
            spacing_mm,
            split: Split::Val,
            label,
        }
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let rows = [row(Some(1), None, Some([0.5, 0.25])), row(None, Some(vec![7]), None)];
        let batch = record_batch(&shard_schema(&["a".to_owned(), "b".to_owned()]), &rows).unwrap();
        assert_eq!(frame_rows(&batch).unwrap(), rows);
    }

    #[test]
    fn a_column_that_is_missing_is_named() {
        let batch = record_batch(&shard_schema(&[]), &[row(None, None, None)]).unwrap();
        let error = frame_rows(&batch.project(&[0, 1]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("`modality`"), "{error}");
    }
}
