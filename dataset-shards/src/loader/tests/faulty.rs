//! Readings through a store that counts, and that damages or refuses what it is told to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::*;
use crate::manifest::Shard;

/// What is done to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A byte of it is another.
    Flipped,
    /// Its end is missing.
    Cut,
    /// It is an error.
    Refused,
    /// The connection breaks in the middle.
    Reset,
}

/// Another store, whose ranged reads are counted, and the first ones of each range spoilt.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn ObjectStore>,
    faults: Vec<Fault>,
    reads: Mutex<BTreeMap<(String, u64), usize>>,
}

impl Faulty {
    fn over(store: &Store, faults: &[Fault]) -> Arc<Self> {
        Arc::new(Self { inner: store.object_store(), faults: faults.to_vec(), reads: Mutex::default() })
    }

    /// How often each range was read: path and first byte.
    fn reads(&self) -> BTreeMap<(String, u64), usize> {
        self.reads.lock().unwrap().clone()
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty store")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(GetRange::Bounded(range)) = options.range.clone() else {
            return self.inner.get_opts(location, options).await;
        };
        let before = {
            let mut reads = self.reads.lock().unwrap();
            let reads = reads.entry((location.to_string(), range.start)).or_default();
            *reads += 1;
            *reads - 1
        };
        let result = self.inner.get_opts(location, options).await?;
        let Some(&fault) = self.faults.get(before) else { return Ok(result) };
        let broken = || Error::Generic { store: "faulty", source: "reset".into() };
        if fault == Fault::Refused {
            return Err(broken());
        }
        let (meta, range, attributes) = (result.meta.clone(), result.range.clone(), result.attributes.clone());
        let whole = result.bytes().await?;
        let half = whole.slice(..whole.len() / 2);
        let parts: Vec<Result<Bytes>> = match fault {
            Fault::Flipped => {
                let mut flipped = whole.to_vec();
                flipped[whole.len() / 2] ^= 1;
                vec![Ok(flipped.into())]
            }
            Fault::Cut => vec![Ok(half)],
            Fault::Reset | Fault::Refused => vec![Ok(half), Err(broken())],
        };
        let payload = GetResultPayload::Stream(stream::iter(parts).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A corpus in shards of small row groups: enough of them for lanes and windows.
async fn small_groups() -> (Store, Manifest) {
    use crate::frame::pgm::encode_gray8;
    use crate::ingest::{ShardWriter, ShardWriterOptions};
    use crate::sample::SampleId;
    use crate::schema::{FrameRow, shard_schema};

    let (store, manifest) = phantom_store().await;
    let mut shards: Vec<Shard> = Vec::new();
    for part in 0..13_u32 {
        let folder = format!("corpora/demo/{part}");
        let options = ShardWriterOptions { folder, schema: shard_schema(&[]), image_size: 32, threads: 1 };
        let mut writer = ShardWriter::new(&store, options).unwrap();
        for row in 0..20_u32 {
            let image = encode_gray8(32, 32, &[part as u8, row as u8].repeat(512));
            let sample_id = SampleId::of_pgm(&image);
            let (modality, split, source) = (Modality::Ct, Split::Train, "made".into());
            let (mask, spacing_mm, label, group_id) = (None, None, Some(i64::from(row % 2)), format!("g{part}"));
            let row =
                FrameRow { image, mask, sample_id, modality, group_id, source, side: 32, spacing_mm, split, label };
            writer.push(row).await.unwrap();
        }
        shards.extend(writer.finish().await.unwrap());
    }
    (store, Manifest { shards, ..manifest })
}

async fn through(faulty: &Arc<Faulty>, manifest: &Manifest, needs: Needs) -> Arc<Dataset> {
    let inner: Arc<dyn ObjectStore> = Arc::clone(faulty) as _;
    open(&Store::over(inner), manifest, &Selection::default(), needs).await
}

async fn epoch(dataset: &Arc<Dataset>, (rank, world): (u32, u32), options: LoaderOptions) -> Vec<Batch> {
    let spec = PlanSpec { seed: 3, lanes: 3, global_batch: 12, window: 2 };
    let plan = Plan::new(&dataset.row_counts(), spec).unwrap();
    let lanes = plan.lanes_of(Rank(rank), WorldSize(world));
    let span = (FROM_START, Epoch(1));
    drain(Loader::planned(Arc::clone(dataset), plan, lanes, span, options, &Handle::current()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_every_frame_of_a_split_asks_the_store_for_nothing() {
    let (store, manifest) = small_groups().await;
    let faulty = Faulty::over(&store, &[]);
    let dataset = through(&faulty, &manifest, Needs::Any).await;
    assert_eq!((dataset.len(), faulty.reads()), (260, BTreeMap::new()));
    // An index is read by one ranged read a row group, of all but its pixels.
    through(&faulty, &manifest, Needs::Label).await;
    let reads: Vec<_> = faulty.reads().into_iter().collect();
    let index = |shard: &Shard| ((shard.path.clone(), shard.row_groups[0].index_range().start), 1);
    let mut expected: Vec<_> = manifest.shards.iter().map(index).collect();
    expected.sort();
    assert_eq!(reads, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_group_is_read_once_an_epoch_by_the_one_rank_that_has_it() {
    let (store, manifest) = small_groups().await;
    let readers = Faulty::over(&store, &[]);
    for rank in 0..2 {
        let alone = Faulty::over(&store, &[]);
        epoch(&through(&alone, &manifest, Needs::Any).await, (rank, 2), options()).await;
        assert!(alone.reads().values().all(|&reads| reads == 1), "{:?}", alone.reads());
        epoch(&through(&readers, &manifest, Needs::Any).await, (rank, 2), options()).await;
    }
    let mut reads: Vec<usize> = readers.reads().into_values().collect();
    reads.sort_unstable();
    // The lanes of the two ranks meet inside one row group.
    assert_eq!(reads, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_room_at_all_every_batch_is_still_the_same() {
    let (store, manifest) = small_groups().await;
    let dataset = open(&store, &manifest, &Selection::default(), Needs::Any).await;
    let ample = epoch(&dataset, (0, 1), options()).await;
    assert_eq!(ample.iter().map(Batch::len).sum::<usize>(), 260);
    for bytes in [0, 30_000, 100_000] {
        assert_eq!(epoch(&dataset, (0, 1), LoaderOptions { bytes, ..options() }).await, ample);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_cut_refused_and_broken_answers_are_asked_for_again_and_never_delivered() {
    let (store, manifest) = small_groups().await;
    let sound = epoch(&open(&store, &manifest, &Selection::default(), Needs::Any).await, (0, 1), options()).await;
    let faulty = Faulty::over(&store, &[Fault::Flipped, Fault::Cut, Fault::Refused, Fault::Reset]);
    let dataset = through(&faulty, &manifest, Needs::Any).await;
    assert_eq!(epoch(&dataset, (0, 1), options()).await, sound);
    assert!(faulty.reads().values().all(|&reads| reads == 5), "{:?}", faulty.reads());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_damaged_ends_the_reading_by_its_name_and_both_hashes() {
    let (store, manifest) = small_groups().await;
    let shard = &manifest.shards[7];
    let mut bytes = store.get(&shard.path).await.unwrap().to_vec();
    bytes[64] ^= 1;
    let found = crate::manifest::ContentHash::of(&bytes[4..shard.row_groups[0].range().end as usize]);
    store.put(&shard.path, bytes).await.unwrap();
    let dataset = open(&store, &manifest, &Selection::default(), Needs::Any).await;
    let mut loader = Loader::sequential(dataset, 20, None, options(), &Handle::current()).unwrap();
    let read = move || {
        let whole = (0..7).map(|_| loader.next().unwrap().unwrap().len()).sum::<usize>();
        (whole, loader.next().unwrap_err(), loader.next())
    };
    let (whole, error, after) = tokio::task::spawn_blocking(read).await.unwrap();
    assert_eq!(whole, 140, "what lies before it is delivered");
    let error = error.to_string();
    assert!(error.starts_with(&format!("row group 0 of shard `{}` came as ", shard.path)), "{error}");
    let expected = shard.row_groups[0].blake3;
    assert!(error.contains(&format!("`{found}`")) && error.contains(&format!("`{expected}`")), "{error}");
    assert!(after.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_shard_is_not_asked_for_twice() {
    let (store, manifest) = small_groups().await;
    store.delete(&manifest.shards[0].path).await.unwrap();
    let faulty = Faulty::over(&store, &[]);
    let dataset = through(&faulty, &manifest, Needs::Any).await;
    let error = dataset.read(&[RowRef { group: 0, row: 0 }]).await.unwrap_err();
    assert!(error.to_string().contains(&manifest.shards[0].path), "{error}");
    assert_eq!(faulty.reads().into_values().collect::<Vec<_>>(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_of_a_node_asks_the_store_once_for_all_epochs_and_readers() {
    let (store, manifest) = small_groups().await;
    let folder = tempfile::tempdir().unwrap();
    let faulty = Faulty::over(&store, &[]);
    let sound = epoch(&open(&store, &manifest, &Selection::default(), Needs::Any).await, (0, 1), options()).await;
    for _ in 0..2 {
        let cache = Some(NodeCache::open(folder.path(), 1 << 20).unwrap());
        let dataset = through(&faulty, &manifest, Needs::Any).await;
        assert_eq!(epoch(&dataset, (0, 1), LoaderOptions { cache, ..options() }).await, sound);
    }
    assert!(faulty.reads().values().all(|&reads| reads == 1), "{:?}", faulty.reads());
    // Entries that went bad meanwhile are fetched anew.
    for entry in std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some() {
            std::fs::write(entry, "bad").unwrap();
        }
    }
    let cache = Some(NodeCache::open(folder.path(), 1 << 20).unwrap());
    let dataset = through(&faulty, &manifest, Needs::Any).await;
    assert_eq!(epoch(&dataset, (0, 1), LoaderOptions { cache, ..options() }).await, sound);
    assert!(faulty.reads().values().all(|&reads| reads == 2), "{:?}", faulty.reads());
}
