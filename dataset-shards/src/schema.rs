//! The columns of a shard, and the note that lets Hugging Face `datasets` read images and labels as such.

mod rows;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Float32Builder, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StructArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use serde_json::{Map, Value, json};
use vismae_core::spec::Modality;

use crate::sample::SampleId;
use crate::split::Split;

pub use rows::frame_rows;

/// One frame, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameRow {
    /// PGM of the normalised image.
    pub image: Vec<u8>,
    /// PGM of class indices, of the same shape.
    pub mask: Option<Vec<u8>>,
    /// Hash of `image`.
    pub sample_id: SampleId,
    /// How it was made.
    pub modality: Modality,
    /// Keyed pseudonym of the patient or group.
    pub group_id: String,
    /// The set it came with.
    pub source: Arc<str>,
    /// Side of the square image in pixels.
    pub side: u32,
    /// Distance of rows and of columns of the stored image, when the file says it.
    pub spacing_mm: Option<[f32; 2]>,
    /// What it may be used for.
    pub split: Split,
    /// Index into the classes of the corpus.
    pub label: Option<i64>,
}

/// The schema of every shard of a corpus with these classes. Every column may be null in the schema, though only `spacing_mm`,
/// `label` and `mask` ever are: `datasets` takes a column for an image only when its field is the nullable one it would write.
pub fn shard_schema(classes: &[String]) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let fields = vec![
        Field::new("image", DataType::Struct(image_fields()), true),
        text("sample_id"),
        text("modality"),
        text("group_id"),
        text("source"),
        Field::new("width", DataType::Int32, true),
        Field::new("height", DataType::Int32, true),
        Field::new("spacing_mm", DataType::List(spacing_field()), true),
        text("split"),
        Field::new("label", DataType::Int64, true),
        Field::new("mask", DataType::Struct(image_fields()), true),
    ];
    let features = HashMap::from([("huggingface".to_owned(), hugging_face(&fields, classes).to_string())]);
    Arc::new(Schema::new_with_metadata(fields, features))
}

/// The rows as one batch of [`shard_schema`].
///
/// # Errors
/// [`ArrowError`] when the schema is another.
pub fn record_batch(schema: &SchemaRef, rows: &[FrameRow]) -> Result<RecordBatch, ArrowError> {
    let text = |of: fn(&FrameRow) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let sides: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.side.cast_signed())));
    let mut spacing = ListBuilder::new(Float32Builder::new()).with_field(spacing_field());
    for row in rows {
        match row.spacing_mm {
            Some(spacing_mm) => spacing.append_value(spacing_mm.map(Some)),
            None => spacing.append_null(),
        }
    }
    let columns = vec![
        images(rows, |row| Some(&row.image))?,
        text(|row| row.sample_id.to_string()),
        text(|row| row.modality.word().to_owned()),
        text(|row| row.group_id.clone()),
        text(|row| row.source.to_string()),
        Arc::clone(&sides),
        sides,
        Arc::new(spacing.finish()),
        text(|row| row.split.word().to_owned()),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.label))),
        images(rows, |row| row.mask.as_ref())?,
    ];
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn image_fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

fn spacing_field() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, true))
}

/// A column of images; the path is a name made of the sample's id, for viewers that go by the ending.
fn images(rows: &[FrameRow], of: fn(&FrameRow) -> Option<&Vec<u8>>) -> Result<ArrayRef, ArrowError> {
    let encoded = rows.iter().map(of);
    let total = encoded.clone().flatten().map(Vec::len).sum();
    // Pixels are most of a corpus: one allocation, and one copy.
    let mut bytes = BinaryBuilder::with_capacity(rows.len(), total);
    encoded.for_each(|image| bytes.append_option(image));
    let path = |row: &FrameRow| of(row).map(|_| format!("{}.pgm", row.sample_id));
    let paths: StringArray = rows.iter().map(path).collect();
    let nulls = NullBuffer::from_iter(rows.iter().map(|row| of(row).is_some()));
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    Ok(Arc::new(StructArray::try_new(image_fields(), vec![Arc::new(bytes.finish()), Arc::new(paths)], nulls)?))
}

/// The features of Hugging Face `datasets`, which reads them from the schema's metadata.
fn hugging_face(fields: &[Field], classes: &[String]) -> Value {
    let value = |dtype: &str| json!({"dtype": dtype, "_type": "Value"});
    let features: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let feature = match (field.name().as_str(), field.data_type()) {
                (_, DataType::Struct(_)) => json!({"_type": "Image"}),
                (_, DataType::List(_)) => json!({"feature": value("float32"), "_type": "Sequence"}),
                ("label", _) if !classes.is_empty() => json!({"names": classes, "_type": "ClassLabel"}),
                (_, DataType::Int64) => value("int64"),
                (_, DataType::Int32) => value("int32"),
                _ => value("string"),
            };
            (field.name().clone(), feature)
        })
        .collect();
    json!({"info": {"features": features}})
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use super::*;

    fn row(label: Option<i64>, mask: Option<Vec<u8>>) -> FrameRow {
        FrameRow {
            image: b"P5 1 1 255\n\x07".to_vec(),
            mask,
            sample_id: SampleId::from([1; 16]),
            modality: Modality::Ct,
            group_id: "g".to_owned(),
            source: "s".into(),
            side: 1,
            spacing_mm: label.map(|_| [1.5, 2.0]),
            split: Split::Train,
            label,
        }
    }

    #[test]
    fn absent_labels_masks_and_spacings_are_null() {
        let schema = shard_schema(&["a".to_owned()]);
        let batch = record_batch(&schema, &[row(Some(0), None), row(None, Some(vec![1]))]).unwrap();
        let nulls = |name: &str| {
            let column = batch.column_by_name(name).unwrap();
            (0..2).map(|index| column.is_null(index)).collect::<Vec<_>>()
        };
        assert_eq!(nulls("label"), [false, true]);
        assert_eq!(nulls("mask"), [true, false]);
        assert_eq!(nulls("spacing_mm"), [false, true]);
        assert_eq!(nulls("image"), [false, false]);
    }

    #[test]
    fn the_metadata_names_images_and_classes() {
        let schema = shard_schema(&["benign".to_owned(), "malignant".to_owned()]);
        let features: Value = serde_json::from_str(&schema.metadata()["huggingface"]).unwrap();
        let features = &features["info"]["features"];
        assert_eq!(features["image"]["_type"], "Image");
        assert_eq!(features["mask"]["_type"], "Image");
        assert_eq!(features["label"], json!({"names": ["benign", "malignant"], "_type": "ClassLabel"}));
        assert_eq!(features["width"], json!({"dtype": "int32", "_type": "Value"}));
        assert_eq!(features.as_object().unwrap().len(), schema.fields().len());
        assert!(schema.fields().iter().all(|field| field.is_nullable()));
    }

    #[test]
    fn without_classes_the_label_is_a_number() {
        let schema = shard_schema(&[]);
        let features: Value = serde_json::from_str(&schema.metadata()["huggingface"]).unwrap();
        assert_eq!(features["info"]["features"]["label"], json!({"dtype": "int64", "_type": "Value"}));
    }
}
