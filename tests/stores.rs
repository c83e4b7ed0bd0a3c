//! One suite for every store: a folder, an S3 server, and an S3 server that lies behind bad weather.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hyper::Method;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use vismae_core::ids::{CorpusName, Epoch, Rank, WorldSize};
use vismae_core::spec::{Fit, IngestSpec, Selection, Window, XrayRange};
use vismae_shards::ingest::{Crew, IngestError, IngestOptions, IngestSummary, MEMORY_DEFAULT, PseudonymKey, ingest};
use vismae_shards::loader::{Batch, Dataset, LoadError, Loader, LoaderOptions, Needs, OpenDatasetError, Start};
use vismae_shards::manifest::Manifest;
use vismae_shards::order::{Plan, PlanSpec};
use vismae_shards::phantom::{self, PhantomOptions};
use vismae_shards::split::Split;
use vismae_shards::store::{PutOutcome, Store};
use vismae_shards::verify::verify;
use vismae_tests::clients::S3;
use vismae_tests::faults::{Fault, Faults, Rule, When};
use vismae_tests::proxy::Proxy;

/// Ranks that share an epoch.
const WORLD: u32 = 2;
/// So little that some row groups are read twice.
const OPTIONS: LoaderOptions = LoaderOptions { bytes: 1 << 20, threads: 2, cache: None };
/// Requests that no fault is to end are tried again within this time.
const PATIENCE: &str = "retry_timeout=30s";

static PHANTOM: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    phantom::write(folder.path(), &PhantomOptions { seed: 3, patients_per_modality: 10 }).unwrap();
    folder
});

fn corpus() -> CorpusName {
    CorpusName::new("weather").unwrap()
}

async fn ingest_phantom(store: &Store) -> Result<IngestSummary, IngestError> {
    let spec = IngestSpec {
        corpus: corpus(),
        inputs: vec![PHANTOM.path().to_string_lossy().into_owned()],
        image_size: 32,
        ct_windows: vec![Window { low: -1000.0, high: 1000.0 }],
        xray_range: XrayRange::Voi,
        percentiles: Window { low: 0.5, high: 99.5 },
        fit: Fit::Stretch,
        minimum_content: 0.05,
        workers: 1,
    };
    let pseudonym_key = PseudonymKey::from_secret("test");
    let options = IngestOptions { threads: 2, memory: MEMORY_DEFAULT, pseudonym_key, crew: Crew::alone() };
    ingest(store, &spec, &options, |_| {}, &CancellationToken::new()).await
}

/// Why an epoch could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Open(#[from] OpenDatasetError),
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Every batch of one epoch, rank by rank.
async fn read_epoch(store: &Store, manifest: &Manifest) -> Result<Vec<Batch>, ReadError> {
    let dataset = Dataset::open(store, manifest, Split::Train, &Selection::default(), Needs::Mask).await?;
    let dataset = Arc::new(dataset);
    let spec = PlanSpec { seed: 11, lanes: 4, global_batch: 16, window: 2 };
    let plan = Plan::new(&dataset.row_counts(), spec).unwrap();
    let lanes: Vec<Range<u32>> = (0..WORLD).map(|rank| plan.lanes_of(Rank(rank), WorldSize(WORLD))).collect();
    let span = (Start { epoch: Epoch(0), step: 0 }, Epoch(1));
    let mut epoch = Vec::new();
    for lanes in lanes {
        let mut loader = Loader::planned(Arc::clone(&dataset), plan.clone(), lanes, span, OPTIONS, &Handle::current())?;
        let read = move || std::iter::from_fn(|| loader.next().transpose()).collect::<Result<Vec<_>, _>>();
        epoch.extend(tokio::task::spawn_blocking(read).await.unwrap()?);
    }
    let samples: BTreeSet<_> = epoch.iter().flat_map(|batch| &batch.samples).collect();
    assert_eq!(samples.len() as u64, dataset.len(), "every sample once");
    Ok(epoch)
}

/// What a store ends up with, and what is read from it.
#[derive(Debug, PartialEq)]
struct Outcome {
    manifest: Manifest,
    epoch: Vec<Batch>,
}

/// Everything a corpus is for, in a store that is empty.
async fn suite(store: &Store) -> Outcome {
    let first = ingest_phantom(store).await.unwrap();
    assert_eq!((first.version, first.committed), (1, true));
    let again = ingest_phantom(store).await.unwrap();
    assert_eq!((again.version, again.committed), (1, false));
    assert_eq!(Manifest::versions(store, &corpus()).await.unwrap(), [1]);
    let manifest = Manifest::load(store, &corpus(), None).await.unwrap();
    let verification = verify(store, &manifest, |_| {}).await.unwrap();
    assert_eq!(verification.faults, []);
    assert_eq!(verification.bytes, manifest.shards.iter().map(|shard| shard.bytes).sum::<u64>());
    let shards: BTreeSet<String> = manifest.shards.iter().map(|shard| shard.path.clone()).collect();
    let stored = store.list(&format!("{}/data", Manifest::folder(&corpus()))).await.unwrap();
    assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), shards, "nothing is stored twice or left over");
    let epoch = read_epoch(store, &manifest).await.unwrap();
    Outcome { manifest, epoch }
}

/// The outcome in a folder: what every other store is compared with.
async fn clean() -> (TempDir, Store, Outcome) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().to_string_lossy()).unwrap();
    let outcome = suite(&store).await;
    (folder, store, outcome)
}

/// A folder of the server's bucket, reached through a port of this machine.
fn bucket(port: u16, prefix: &str, settings: &str) -> Store {
    let url = format!("s3://vismae/{prefix}?endpoint=http://127.0.0.1:{port}&allow_http=true&region=us-east-1");
    Store::open(&format!("{url}&skip_signature=true&{settings}")).unwrap()
}

fn rule(method: Method, path: &'static str, when: When, fault: Fault) -> Rule {
    Rule { method, path, when, fault }
}

/// What a client is to get over by itself, wherever it happens.
fn weather() -> Vec<Rule> {
    let share = When::Share(0.05);
    let of_any = [Fault::Status(500), Fault::Status(503), Fault::ResetBefore, Fault::Late(Duration::from_millis(20))];
    let of_reads = [Fault::ResetWithin, Fault::Truncated, Fault::Trickle];
    let of_writes = [Fault::LostAnswer, Fault::Twice];
    let both = of_any.into_iter().flat_map(|fault| [(Method::GET, fault), (Method::PUT, fault)]);
    let reads = of_reads.into_iter().map(|fault| (Method::GET, fault));
    let writes = of_writes.into_iter().map(|fault| (Method::PUT, fault));
    both.chain(reads).chain(writes).map(|(method, fault)| rule(method, "/", share, fault)).collect()
}

/// Copies every object of one store to another.
async fn copy(from: &Store, to: &Store) {
    for path in from.list("corpora").await.unwrap() {
        to.put(&path, from.get(&path).await.unwrap()).await.unwrap();
    }
}

/// An error and what caused it, as people see it.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_passes_the_suite() {
    let (_folder, store, outcome) = clean().await;
    assert!(outcome.epoch.iter().map(Batch::len).sum::<usize>() > 20);
    assert!(store.url().starts_with("file://"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_server_passes_the_suite_in_any_weather() {
    let Some(server) = S3::start() else { return };
    let (_folder, _, expected) = clean().await;
    assert_eq!(suite(&bucket(server.port(), "calm", PATIENCE)).await, expected);
    let planned: BTreeSet<Fault> = weather().into_iter().map(|rule| rule.fault).collect();
    let mut met = BTreeSet::new();
    // How many requests there are, and so which of them meet a fault, differs from run to run.
    for seed in 1.. {
        let proxy = Proxy::start(server.port(), Faults::new(seed, weather())).await;
        assert_eq!(suite(&bucket(proxy.port, &format!("seed{seed}"), PATIENCE)).await, expected, "seed {seed}");
        met.extend(proxy.faults.met().into_keys());
        if seed >= 3 && met == planned {
            break;
        }
        assert!(seed < 12, "a fault that never happened proves nothing: met {met:?} of {planned:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_commits_once_and_says_so() {
    let Some(server) = S3::start() else { return };
    for (prefix, fault) in [("lost", Fault::LostAnswer), ("twice", Fault::Twice)] {
        let rules = vec![rule(Method::PUT, "/manifests/", When::First(1), fault)];
        let proxy = Proxy::start(server.port(), Faults::new(1, rules)).await;
        let store = bucket(proxy.port, prefix, PATIENCE);
        let summary = ingest_phantom(&store).await.unwrap();
        assert_eq!(proxy.faults.met()[&fault], 1);
        assert_eq!((summary.version, summary.committed), (1, true), "{fault:?}");
        assert_eq!(Manifest::versions(&store, &corpus()).await.unwrap(), [1]);
    }
}

/// Faults that no client notices by itself, on the first reading of each range of each shard.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_spoiled_on_its_way_to_a_loader_is_right_in_the_end_or_an_error() {
    let Some(server) = S3::start() else { return };
    let (_folder, folder, expected) = clean().await;
    copy(&folder, &bucket(server.port(), "read", PATIENCE)).await;
    for fault in [Fault::BitFlipped, Fault::Shortened, Fault::ChunksCut, Fault::Stalled] {
        for when in [When::First(1), When::Always] {
            let rules = vec![rule(Method::GET, ".parquet", when, fault)];
            let proxy = Proxy::start(server.port(), Faults::new(1, rules)).await;
            let store = bucket(proxy.port, "read", "retry_timeout=1s&read_timeout=300ms");
            match read_epoch(&store, &expected.manifest).await {
                Ok(epoch) => assert_eq!(epoch, expected.epoch, "{fault:?} {when:?}"),
                Err(error) => {
                    let told = told(&error);
                    assert!(told.contains("shard `corpora/weather/data/"), "{fault:?} {when:?}: {told}");
                }
            }
            assert!(proxy.faults.met()[&fault] > 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_stalls_or_breaks_goes_on() {
    let Some(server) = S3::start() else { return };
    let (_folder, folder, expected) = clean().await;
    copy(&folder, &bucket(server.port(), "stall", PATIENCE)).await;
    for fault in [Fault::Stalled, Fault::ResetWithin, Fault::Truncated, Fault::ResetBefore, Fault::Status(503)] {
        let rules = vec![rule(Method::GET, "", When::First(1), fault)];
        let proxy = Proxy::start(server.port(), Faults::new(1, rules)).await;
        let store = bucket(proxy.port, "stall", "retry_timeout=30s&read_timeout=300ms");
        let manifest = Manifest::load(&store, &corpus(), None).await.unwrap();
        assert_eq!(manifest, expected.manifest, "{fault:?}");
        assert_eq!(read_epoch(&store, &manifest).await.unwrap(), expected.epoch, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_object_that_comes_short_is_read_again() {
    let Some(server) = S3::start() else { return };
    let clean = bucket(server.port(), "short", PATIENCE);
    clean.put("a/object", vec![7; 100_000]).await.unwrap();
    let rules = vec![
        rule(Method::GET, "a/object", When::First(2), Fault::ChunksCut),
        rule(Method::GET, "list-type", When::First(2), Fault::ChunksCut),
    ];
    let proxy = Proxy::start(server.port(), Faults::new(1, rules)).await;
    let store = bucket(proxy.port, "short", PATIENCE);
    assert_eq!(store.get("a/object").await.unwrap(), vec![7; 100_000]);
    assert_eq!(store.list("a").await.unwrap(), ["a/object"]);
    assert_eq!(proxy.faults.met()[&Fault::ChunksCut], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_upload_is_made_again_and_leaves_nothing_by_itself() {
    let Some(server) = S3::start() else { return };
    let rules = vec![
        rule(Method::PUT, "a/", When::First(2), Fault::TornUpload),
        rule(Method::PUT, "never", When::Always, Fault::TornUpload),
    ];
    let proxy = Proxy::start(server.port(), Faults::new(1, rules)).await;
    let (store, clean) = (bucket(proxy.port, "torn", PATIENCE), bucket(server.port(), "torn", PATIENCE));
    store.put("a/whole", vec![7; 100_000]).await.unwrap();
    assert_eq!(store.put_if_absent("a/new", vec![8; 100_000]).await.unwrap(), PutOutcome::Created);
    assert_eq!(clean.get("a/whole").await.unwrap(), vec![7; 100_000]);
    assert_eq!(clean.get("a/new").await.unwrap(), vec![8; 100_000]);
    assert_eq!(proxy.faults.met()[&Fault::TornUpload], 4);
    let hurried = bucket(proxy.port, "torn", "retry_timeout=1s");
    hurried.put("never", vec![9; 100_000]).await.unwrap_err();
    assert!(!clean.exists("never").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_rots_in_its_store_is_named_and_never_read_as_something_else() {
    let server = S3::start();
    let (_folder, folder, expected) = clean().await;
    let in_bucket = server.as_ref().map(|server| bucket(server.port(), "rot", "retry_timeout=1s"));
    if let Some(store) = &in_bucket {
        copy(&folder, store).await;
    }
    let shard = expected.manifest.shards.iter().find(|shard| shard.split == Split::Train).unwrap();
    for store in [Some(&folder), in_bucket.as_ref()].into_iter().flatten() {
        let whole = store.get(&shard.path).await.unwrap();
        // In the pixels, in the small columns, in the footer.
        for at in [64, whole.len() / 4, whole.len() / 2, whole.len() - 400, whole.len() - 40] {
            let mut rotten = whole.to_vec();
            rotten[at] ^= 0x20;
            store.put(&shard.path, rotten).await.unwrap();
            let faults = verify(store, &expected.manifest, |_| {}).await.unwrap().faults;
            let faults: Vec<_> = faults.iter().map(|fault| (fault.path.as_str(), fault.kind)).collect();
            assert_eq!(faults, [(shard.path.as_str(), "hash")]);
            // Bytes between the columns may be of no consequence; whatever is read is right.
            match read_epoch(store, &expected.manifest).await {
                Ok(epoch) => assert_eq!(epoch, expected.epoch, "byte {at} of {} in {}", whole.len(), store.url()),
                Err(error) => assert!(told(&error).contains(&shard.path), "{}", told(&error)),
            }
        }
        store.put(&shard.path, whole).await.unwrap();
        assert_eq!(read_epoch(store, &expected.manifest).await.unwrap(), expected.epoch);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_broken_is_told_of_once_and_in_time() {
    let Some(server) = S3::start() else { return };
    let rules = vec![rule(Method::GET, "", When::Always, Fault::Status(500))];
    let proxy = Proxy::start(server.port(), Faults::new(1, rules)).await;
    let store = bucket(proxy.port, "broken", "retry_timeout=1s");
    let error = Manifest::load(&store, &corpus(), None).await.unwrap_err();
    let told = told(&error);
    assert!(told.starts_with("could not list `corpora/weather/manifests` in `s3://vismae/broken?"), "{told}");
    assert!(told.contains("500 Internal Server Error"), "{told}");
}
