//! How the level of zstd and the size of row groups weigh against each other: encoding and decoding alone, on one thread, in
//! memory.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde_json::{Value, json};
use vismae_shards::schema::{record_batch, shard_schema};

use crate::Outcome;
use crate::contender::serve;
use crate::frames::{self, PIXELS};
use crate::shards::row;

/// Of zstd, whose levels below 1 trade size for speed; nothing is no compression.
const LEVELS: [Option<i32>; 7] = [None, Some(-3), Some(-1), Some(1), Some(3), Some(6), Some(9)];
/// Raw pixels of a row group.
const GROUPS: [usize; 4] = [4 << 20, 8 << 20, 16 << 20, 32 << 20];
/// Frames that are written with each: the highest level takes its time.
const FRAMES_MAX: usize = 2048;

/// Writes and reads the frames with every pair of settings in each pass.
pub(crate) fn run(file: &Path) -> Outcome<()> {
    let frames = spread(&frames::read(file)?);
    let rows = frames.chunks_exact(PIXELS).map(row).collect::<Outcome<Vec<_>>>()?;
    let groups = GROUPS.map(|bytes| {
        let batches = rows.chunks(bytes / PIXELS).map(|rows| Ok(record_batch(&shard_schema(&[]), rows)?));
        Ok((bytes, batches.collect::<Outcome<Vec<RecordBatch>>>()?))
    });
    let groups = groups.into_iter().collect::<Outcome<Vec<_>>>()?;
    serve(|| {
        let pairs =
            LEVELS.iter().flat_map(|&level| groups.iter().map(move |(bytes, batches)| (level, *bytes, batches)));
        let cells = pairs.map(|(level, bytes, batches)| measure(level, bytes, batches));
        Ok(json!({ "cells": cells.collect::<Outcome<Vec<Value>>>()? }))
    })
}

fn measure(level: Option<i32>, group_bytes: usize, batches: &[RecordBatch]) -> Outcome<Value> {
    let compression = match level {
        Some(level) => Compression::ZSTD(ZstdLevel::try_new(level)?),
        None => Compression::UNCOMPRESSED,
    };
    let started = Instant::now();
    let written = Bytes::from(write(batches, compression)?);
    let write_seconds = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let rows = read(&written)?;
    let read_seconds = started.elapsed().as_secs_f64();
    Ok(json!({
        "level": level, "group_bytes": group_bytes, "rows": rows, "bytes": written.len(),
        "write_seconds": write_seconds, "read_seconds": read_seconds,
    }))
}

/// One file of these row groups, with the properties that shards have.
fn write(batches: &[RecordBatch], compression: Compression) -> Outcome<Vec<u8>> {
    let image = ColumnPath::new(vec!["image".to_owned(), "bytes".to_owned()]);
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_column_dictionary_enabled(image.clone(), false)
        .set_column_statistics_enabled(image, EnabledStatistics::None)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), shard_schema(&[]), Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
        writer.flush()?;
    }
    Ok(writer.into_inner()?)
}

/// Decodes the images of a file, row group by row group; gives their number.
fn read(file: &Bytes) -> Outcome<usize> {
    let groups = ParquetRecordBatchReaderBuilder::try_new(file.clone())?.metadata().num_row_groups();
    let mut rows = 0;
    for group in 0..groups {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone())?;
        let images = ProjectionMask::columns(builder.parquet_schema(), ["image.bytes"]);
        let reader = builder.with_projection(images).with_row_groups(vec![group]).with_batch_size(usize::MAX >> 1);
        for batch in reader.build()? {
            let batch = batch?;
            let images = batch.column(0).as_struct().column(0).as_binary::<i32>();
            rows += black_box(images).iter().flatten().filter(|image| image.len() > PIXELS).count();
        }
    }
    Ok(rows)
}

/// Some of the frames, evenly taken.
fn spread(frames: &[u8]) -> Vec<u8> {
    let all = frames.len() / PIXELS;
    let count = all.min(FRAMES_MAX);
    let frame = |at: usize| &frames[at * all / count * PIXELS..][..PIXELS];
    (0..count).flat_map(frame).copied().collect()
}
