//! The matching rows of a row group, decoded.

use arrow::array::{Array, AsArray, BinaryViewArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Int64Type;
use vismae_core::spec::Modality;

use super::LoadError;
use super::columns::{Columns, Piece};
use super::located::Located;
use super::row_set::RowSet;
use crate::frame::pgm;
use crate::manifest::RowGroup;
use crate::sample::SampleId;

/// The bytes of a page besides pixels, for each row: a length, a header, and what is read of the small columns. For estimates.
const ROW_OVERHEAD: u64 = 128;

/// What of a row is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contents {
    /// Side of every image, in pixels.
    pub(super) side: u32,
    /// Whether rows have masks, which are then decoded.
    pub(super) masks: bool,
}

/// Columns of the matching rows, ready to be copied into batches.
pub(super) struct DecodedGroup {
    pub(super) modality: Modality,
    pub(super) samples: Vec<SampleId>,
    pub(super) labels: Vec<Option<i64>>,
    images: Levels,
    masks: Option<Levels>,
}

/// Squares of 8-bit levels, in the pages they were decompressed into.
struct Levels {
    encoded: BinaryViewArray,
    /// Bytes before the levels of each.
    header: usize,
}

impl Contents {
    /// Bytes that rows of a group take in memory, about, while they are decoded and after.
    pub(super) fn bytes(self, group: &RowGroup, rows: &RowSet) -> u64 {
        let kept = if rows.is_sparse(group.rows) { rows.len() } else { group.rows };
        let planes = if self.masks { 2 } else { 1 };
        u64::from(kept) * (u64::from(self.side).pow(2) * planes + ROW_OVERHEAD)
    }
}

impl DecodedGroup {
    /// Decodes and checks some rows of a row group, given its bytes.
    pub(super) fn decode(
        columns: &Columns,
        located: &Located,
        piece: Piece,
        rows: &RowSet,
        contents: Contents,
    ) -> Result<Self, LoadError> {
        let names: &[&str] = match contents.masks {
            true => &["image.bytes", "sample_id", "label", "mask.bytes"],
            false => &["image.bytes", "sample_id", "label"],
        };
        let batch = columns.read(located.entry(), piece, names).map_err(|error| located.undecodable(error))?;
        let ids = batch.column_by_name("sample_id").and_then(|column| column.as_string_opt::<i32>());
        let ids = ids.ok_or_else(|| located.unlike("sample_id"))?;
        let labels = batch.column_by_name("label").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let labels = labels.ok_or_else(|| located.unlike("label"))?;
        if rows.iter().last().is_some_and(|last| last as usize >= batch.num_rows()) {
            return Err(located.unlike("sample_id"));
        }
        let samples = rows.iter().map(|row| {
            let text = ids.value(row as usize);
            text.parse().map_err(|_| located.damaged(row, format!("sample id `{text}` is not 32 hex digits")))
        });
        let label = |row: u32| labels.is_valid(row as usize).then(|| labels.value(row as usize));
        Ok(Self {
            modality: located.shard.modality,
            samples: samples.collect::<Result<_, _>>()?,
            labels: rows.iter().map(label).collect(),
            images: Levels::of(&batch, "image", rows, contents.side, located)?,
            masks: contents.masks.then(|| Levels::of(&batch, "mask", rows, contents.side, located)).transpose()?,
        })
    }

    /// The levels of the image of a row, counted among those decoded.
    pub(super) fn image(&self, at: usize) -> &[u8] {
        self.images.square(at)
    }

    /// The levels of its mask, where masks were decoded.
    pub(super) fn mask(&self, at: usize) -> Option<&[u8]> {
        self.masks.as_ref().map(|masks| masks.square(at))
    }

    /// Bytes it holds in memory.
    pub(super) fn bytes(&self) -> u64 {
        let levels = |levels: &Levels| levels.encoded.get_buffer_memory_size();
        let small = self.samples.len() * (size_of::<SampleId>() + size_of::<Option<i64>>());
        (levels(&self.images) + self.masks.as_ref().map_or(0, levels) + small) as u64
    }
}

impl Levels {
    fn of(batch: &RecordBatch, name: &str, rows: &RowSet, side: u32, located: &Located) -> Result<Self, LoadError> {
        let column = batch.column_by_name(name).and_then(|column| column.as_struct_opt());
        let encoded = column.and_then(|column| column.column_by_name("bytes")?.as_binary_view_opt());
        let encoded = encoded.ok_or_else(|| located.unlike(name))?;
        let mut header = 0;
        for row in rows.iter() {
            let value = encoded.value(row as usize);
            let square = pgm::square_levels(value, side)
                .map_err(|error| located.damaged(row, format!("{name}: {error}")))?
                .ok_or_else(|| located.damaged(row, format!("{name} is not {side} x {side} of 8 bits")))?;
            // The one spelling of a header makes it as long for every square of a side.
            header = value.len() - square.len();
        }
        let encoded = match rows {
            RowSet::All(_) => encoded.clone(),
            RowSet::Of(chosen) => {
                let chosen = take(encoded, &UInt32Array::from_iter_values(chosen.iter().copied()), None)
                    .map_err(|error| located.undecodable(error.into()))?;
                let chosen = chosen.as_binary_view_opt().ok_or_else(|| located.unlike(name))?;
                if rows.is_sparse(located.entry().rows) { chosen.gc() } else { chosen.clone() }
            }
        };
        Ok(Self { encoded, header })
    }

    fn square(&self, at: usize) -> &[u8] {
        &self.encoded.value(at)[self.header..]
    }
}
