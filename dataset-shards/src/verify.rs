//! Whether a corpus version is what its manifest says, to the last byte.

use std::collections::HashSet;
use std::ops::Range;

use arrow::array::{Array, AsArray};
use bytes::Bytes;
use futures::{StreamExt, stream};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;

use crate::manifest::{ContentHash, Counts, Manifest, RowGroup, Shard};
use crate::store::{Store, StoreError};

/// Shards read at the same time, each whole in memory.
const CONCURRENT_SHARDS: usize = 4;

/// Something that is not as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The shard, or the manifest where sums are wrong.
    pub path: String,
    /// For programs: `missing`, `size`, `hash`, `unreadable`, `rows`, `counts` or `duplicate`.
    pub kind: &'static str,
    /// What was found and what was expected.
    pub message: String,
}

impl Fault {
    fn new(path: &str, kind: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), kind, message: message.into() }
    }
}

/// What was looked at, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Shards.
    pub shards: u64,
    /// Bytes read and hashed.
    pub bytes: u64,
    /// What is not as it should be; nothing when all is well.
    pub faults: Vec<Fault>,
}

/// Reads every shard of a version, compares size, hash, row groups and sums with the manifest, and looks for frames that are
/// stored twice. Progress is told in shards done.
///
/// # Errors
/// [`StoreError`] when the store fails in another way than lacking a shard.
pub async fn verify(store: &Store, manifest: &Manifest, progress: impl Fn(u64)) -> Result<Verification, StoreError> {
    let mut sums = Sums::default();
    let mut looked = stream::iter(&manifest.shards).map(|shard| look(store, shard)).buffered(CONCURRENT_SHARDS);
    while let Some(looked) = looked.next().await {
        sums.add(looked?);
        progress(sums.verification.shards);
    }
    let Sums { counts, mut verification, .. } = sums;
    if counts != manifest.counts && verification.faults.is_empty() {
        let message = format!("the shards hold {}, the manifest says {}", words(&counts), words(&manifest.counts));
        verification.faults.push(Fault::new(&format!("manifest of version {}", manifest.version), "counts", message));
    }
    Ok(verification)
}

fn words(counts: &Counts) -> String {
    format!("{} frames, {} labels and {} masks", counts.frames, counts.labels, counts.masks)
}

/// What one shard holds.
struct Contents {
    path: String,
    counts: Counts,
    samples: Vec<String>,
}

#[derive(Default)]
struct Sums {
    counts: Counts,
    samples: HashSet<String>,
    verification: Verification,
}

impl Sums {
    fn add(&mut self, (bytes, looked): (u64, Result<Contents, Fault>)) {
        self.verification.shards += 1;
        self.verification.bytes += bytes;
        let contents = match looked {
            Ok(contents) => contents,
            Err(fault) => return self.verification.faults.push(fault),
        };
        self.counts.frames += contents.counts.frames;
        self.counts.labels += contents.counts.labels;
        self.counts.masks += contents.counts.masks;
        let twice = contents.samples.into_iter().filter(|sample| !self.samples.insert(sample.clone())).count();
        if twice > 0 {
            let message = format!("{twice} frames are stored already, expected each once");
            self.verification.faults.push(Fault::new(&contents.path, "duplicate", message));
        }
    }
}

/// Reads a shard whole, once; gives the bytes read with what they are.
async fn look(store: &Store, shard: &Shard) -> Result<(u64, Result<Contents, Fault>), StoreError> {
    let bytes = match store.get(&shard.path).await {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound { .. }) => return Ok((0, Err(Fault::new(&shard.path, "missing", "does not exist")))),
        Err(error) => return Err(error),
    };
    let (size, path, shard) = (bytes.len() as u64, shard.path.clone(), shard.clone());
    let looked = tokio::task::spawn_blocking(move || contents(bytes, &shard)).await;
    let looked = looked.unwrap_or_else(|_| Err(Fault::new(&path, "unreadable", "the reader gave up on it")));
    Ok((size, looked))
}

/// Compares the bytes of a shard with the manifest, and reads what they hold.
fn contents(bytes: Bytes, shard: &Shard) -> Result<Contents, Fault> {
    let fault = |kind, message: String| Fault::new(&shard.path, kind, message);
    let unreadable = |message: String| fault("unreadable", message);
    if bytes.len() as u64 != shard.bytes {
        return Err(fault("size", format!("has {} bytes, the manifest says {}", bytes.len(), shard.bytes)));
    }
    let damaged = damaged_parts(&bytes, shard);
    if !damaged.is_empty() {
        return Err(fault(
            "hash",
            format!("its bytes have another hash than the manifest says: {}", damaged.join(", ")),
        ));
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| unreadable(error.to_string()))?;
    let groups = reader.metadata().row_groups();
    let rows: i64 = groups.iter().map(RowGroupMetaData::num_rows).sum();
    if !groups.iter().map(place).eq(shard.row_groups.iter().map(expected_place)) || rows as u64 != shard.rows {
        return Err(fault(
            "rows",
            format!("has {rows} rows, or other row groups than the {} rows of the manifest", shard.rows),
        ));
    }
    let columns = ProjectionMask::columns(reader.parquet_schema(), ["sample_id", "label", "mask.path"]);
    let batches = reader.with_projection(columns).build().map_err(|error| unreadable(error.to_string()))?;
    let mut contents = Contents { path: shard.path.clone(), counts: Counts::default(), samples: Vec::new() };
    for batch in batches {
        let batch = batch.map_err(|error| unreadable(error.to_string()))?;
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| unreadable(format!("no column `{name}`")));
        let present = |column: &dyn Array| (column.len() - column.null_count()) as u64;
        contents.counts.frames += batch.num_rows() as u64;
        contents.counts.labels += present(column("label")?);
        contents.counts.masks += present(column("mask")?);
        let samples = column("sample_id")?.as_string_opt::<i32>();
        let samples = samples.ok_or_else(|| unreadable("column `sample_id` is no text".to_owned()))?;
        contents.samples.extend(samples.iter().flatten().map(str::to_owned));
    }
    Ok(contents)
}

/// What of a shard has another hash than the manifest says, by name; nothing when every byte is as it was written.
fn damaged_parts(bytes: &Bytes, shard: &Shard) -> Vec<String> {
    let part = |range: Range<u64>| bytes.get(range.start as usize..range.end as usize).unwrap_or_default();
    let mut damaged = Vec::new();
    for (number, group) in shard.row_groups.iter().enumerate() {
        if ContentHash::of(part(group.range())) != group.blake3 {
            damaged.push(format!("row group {number}"));
        } else if ContentHash::of(part(group.index_range())) != group.index_blake3 {
            damaged.push(format!("all but the pixels of row group {number}"));
        }
    }
    if damaged.is_empty() && ContentHash::of(bytes) != shard.blake3 {
        damaged.push("what lies around its row groups".to_owned());
    }
    damaged
}

/// Rows of a row group, and where each of its column chunks lies.
fn place(group: &RowGroupMetaData) -> (u64, Vec<(u64, u64)>) {
    let columns = group.columns().iter().map(|column| column.byte_range());
    (group.num_rows().cast_unsigned(), columns.collect())
}

fn expected_place(group: &RowGroup) -> (u64, Vec<(u64, u64)>) {
    let mut start = group.offset;
    let columns = group.columns.iter().map(|&bytes| {
        let place = (start, bytes);
        start += bytes;
        place
    });
    (u64::from(group.rows), columns.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::phantom_store;

    async fn faults(store: &Store, manifest: &Manifest) -> Vec<(String, &'static str)> {
        let verification = verify(store, manifest, |_| {}).await.unwrap();
        verification.faults.into_iter().map(|fault| (fault.path, fault.kind)).collect()
    }

    #[tokio::test]
    async fn a_whole_corpus_has_no_fault_and_every_byte_of_it_is_read() {
        let (store, manifest) = phantom_store().await;
        let verification = verify(&store, &manifest, |_| {}).await.unwrap();
        assert_eq!(verification.faults, []);
        assert_eq!(verification.shards, manifest.shards.len() as u64);
        assert_eq!(verification.bytes, manifest.shards.iter().map(|shard| shard.bytes).sum::<u64>());
    }

    #[tokio::test]
    async fn a_flipped_bit_anywhere_is_found_where_it_is() {
        let (store, manifest) = phantom_store().await;
        let shard = &manifest.shards[3];
        let whole = store.get(&shard.path).await.unwrap();
        let (group, around) = ("row group 0", "what lies around its row groups");
        let in_index = shard.row_groups[0].index_range().start as usize;
        for (at, part) in [(0, around), (4, group), (in_index, group), (whole.len() - 1, around)] {
            let mut flipped = whole.to_vec();
            flipped[at] ^= 0x10;
            store.put(&shard.path, flipped).await.unwrap();
            let fault = &verify(&store, &manifest, |_| {}).await.unwrap().faults[0];
            assert_eq!((&fault.path, fault.kind), (&shard.path, "hash"));
            assert!(fault.message.ends_with(part), "{}", fault.message);
        }
    }

    #[tokio::test]
    async fn hashes_that_the_manifest_has_wrong_are_faults_too() {
        let (store, manifest) = phantom_store().await;
        let other = ContentHash::of(b"other bytes");
        let message = async |change: &dyn Fn(&mut Shard)| {
            let mut manifest = manifest.clone();
            change(&mut manifest.shards[0]);
            verify(&store, &manifest, |_| {}).await.unwrap().faults[0].message.clone()
        };
        assert!(message(&|shard| shard.row_groups[0].blake3 = other).await.ends_with(": row group 0"));
        let index = message(&|shard| shard.row_groups[0].index_blake3 = other).await;
        assert!(index.ends_with("all but the pixels of row group 0"), "{index}");
        assert!(message(&|shard| shard.blake3 = other).await.ends_with("what lies around its row groups"));
    }

    #[tokio::test]
    async fn what_is_missing_cut_or_miscounted_is_named() {
        let (store, mut manifest) = phantom_store().await;
        let [one, two] = [manifest.shards[0].path.clone(), manifest.shards[1].path.clone()];
        let cut = store.get(&two).await.unwrap().slice(..100);
        manifest.counts.labels += 1;
        assert_eq!(faults(&store, &manifest).await, [("manifest of version 1".to_owned(), "counts")]);
        store.delete(&one).await.unwrap();
        store.put(&two, cut).await.unwrap();
        assert_eq!(faults(&store, &manifest).await, [(one, "missing"), (two, "size")]);
    }

    #[tokio::test]
    async fn a_frame_that_is_stored_twice_is_a_fault() {
        let (store, mut manifest) = phantom_store().await;
        let mut copy = manifest.shards[0].clone();
        let bytes = store.get(&copy.path).await.unwrap();
        copy.path += ".copy";
        store.put(&copy.path, bytes).await.unwrap();
        manifest.shards.push(copy.clone());
        assert_eq!(faults(&store, &manifest).await, [(copy.path, "duplicate")]);
    }

    #[tokio::test]
    async fn row_groups_of_other_lengths_are_a_fault() {
        let (store, mut manifest) = phantom_store().await;
        manifest.shards[0].row_groups[0].rows += 1;
        assert_eq!(faults(&store, &manifest).await, [(manifest.shards[0].path.clone(), "rows")]);
    }
}
