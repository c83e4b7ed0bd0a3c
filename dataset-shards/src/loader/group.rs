//! The matching rows of a row group, decoded.

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch};
use arrow::datatypes::Int64Type;
use vismae_core::spec::Modality;

use super::LoadError;
use super::index::GroupIndex;
use super::shard::OpenShard;
use crate::frame::pgm;
use crate::sample::SampleId;

/// Columns of the matching rows, ready to be copied into batches.
pub(super) struct DecodedGroup {
    pub(super) modality: Modality,
    pub(super) samples: Vec<SampleId>,
    pub(super) labels: Vec<Option<i64>>,
    images: Vec<u8>,
    masks: Option<Vec<u8>>,
    pixels: usize,
}

impl DecodedGroup {
    /// Reads and checks the rows of one group; `with_masks` says that each must have a mask, and reads it.
    pub(super) async fn read(
        shard: &OpenShard,
        index: &GroupIndex,
        side: u32,
        with_masks: bool,
    ) -> Result<Self, LoadError> {
        let columns: &[&str] = if with_masks {
            &["image.bytes", "sample_id", "label", "mask.bytes"]
        } else {
            &["image.bytes", "sample_id", "label"]
        };
        let batch = shard.read_group(index.row_group, columns).await?;
        let damaged = |row: u32, fault: String| LoadError::Row {
            shard: shard.shard.path.clone(),
            row_group: index.row_group as u32,
            row,
            fault,
        };
        let changed = |name: &str| LoadError::Changed {
            shard: shard.shard.path.clone(),
            found: format!("no column `{name}` of the expected type"),
            expected: "the columns of a vismae shard".to_owned(),
        };
        let ids = batch.column_by_name("sample_id").and_then(|column| column.as_string_opt::<i32>());
        let ids = ids.ok_or_else(|| changed("sample_id"))?;
        let labels = batch.column_by_name("label").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let labels = labels.ok_or_else(|| changed("label"))?;
        let samples = index.rows.iter().map(|&row| {
            let text = ids.value(row as usize);
            text.parse().map_err(|_| damaged(row, format!("sample id `{text}` is not 32 hex digits")))
        });
        let slab = |name: &str| -> Result<Vec<u8>, LoadError> {
            let column = encoded(&batch, name).ok_or_else(|| changed(name))?;
            let mut levels = Vec::with_capacity(index.rows.len() * (side as usize).pow(2));
            for &row in &index.rows {
                let square = pgm::square_levels(column.value(row as usize), side)
                    .map_err(|error| damaged(row, format!("{name}: {error}")))?;
                let square = square.ok_or_else(|| damaged(row, format!("{name} is not {side} x {side} of 8 bits")))?;
                levels.extend_from_slice(square);
            }
            Ok(levels)
        };
        Ok(Self {
            modality: shard.shard.modality,
            samples: samples.collect::<Result<_, _>>()?,
            labels: index
                .rows
                .iter()
                .map(|&row| labels.is_valid(row as usize).then(|| labels.value(row as usize)))
                .collect(),
            images: slab("image")?,
            masks: with_masks.then(|| slab("mask")).transpose()?,
            pixels: (side as usize).pow(2),
        })
    }

    pub(super) fn image(&self, row: usize) -> &[u8] {
        &self.images[row * self.pixels..(row + 1) * self.pixels]
    }

    pub(super) fn mask(&self, row: usize) -> Option<&[u8]> {
        self.masks.as_ref().map(|masks| &masks[row * self.pixels..(row + 1) * self.pixels])
    }

    /// Bytes it holds in memory.
    pub(super) fn bytes(&self) -> usize {
        self.images.len() + self.masks.as_ref().map_or(0, Vec::len) + self.samples.len() * 32
    }
}

fn encoded<'a>(batch: &'a RecordBatch, column: &str) -> Option<&'a BinaryArray> {
    batch.column_by_name(column)?.as_struct_opt()?.column_by_name("bytes")?.as_binary_opt::<i32>()
}
