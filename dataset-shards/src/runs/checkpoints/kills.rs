//! A process that is killed at any operation on its store, and whoever goes on after it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::*;
use crate::manifest::ContentHash;
use crate::runs::{Artefact, Begin, CommittedFile, End, Group, publish};

const RUN: RunNumber = RunNumber(7);
/// Steps between two checkpoints.
const EVERY: u64 = 10;
/// Steps of the run; behind the last one the weights themselves are kept.
const STEPS: u64 = 60;
/// Checkpoints that are kept.
const LATEST: usize = 2;
/// Ranks, each with a share of every checkpoint.
const WORLD: u64 = 2;

/// What becomes of one operation that changes something, and of the process that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The process is killed, and the operation not done.
    KilledBefore,
    /// The process is killed when it is done.
    KilledAfter,
    /// The process is killed, and half of what it wrote is there: what no store does that keeps its word.
    KilledWithin,
    /// It is refused, as by a disk that is full; the process goes on.
    Refused,
    /// It is done, and the process told that it failed.
    AnswerLost,
}

/// A store that one process uses, in which one operation meets its fate.
#[derive(Debug)]
struct Fated {
    inner: Arc<InMemory>,
    at: usize,
    fate: Fate,
    /// Operations that change something, so far.
    changes: AtomicUsize,
    is_killed: AtomicBool,
    /// Objects that were read.
    reads: AtomicUsize,
    /// What was being changed when it happened.
    met: Mutex<Option<String>>,
}

impl Fated {
    fn new(inner: &Arc<InMemory>, at: usize, fate: Fate) -> Arc<Self> {
        let (inner, is_killed, met) = (Arc::clone(inner), AtomicBool::new(false), Mutex::default());
        Arc::new(Self { inner, at, fate, changes: AtomicUsize::new(0), is_killed, reads: AtomicUsize::new(0), met })
    }

    fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::SeqCst)
    }

    /// Nothing reaches a store from a process that is no more.
    fn alive(&self) -> Result<()> {
        if self.is_killed() { Err(failure("killed")) } else { Ok(()) }
    }

    /// The fate of the next change.
    fn fate_of(&self, location: &Path) -> Result<Option<Fate>> {
        self.alive()?;
        if self.changes.fetch_add(1, Ordering::SeqCst) != self.at {
            return Ok(None);
        }
        *self.met.lock().unwrap() = Some(location.to_string());
        let is_end = matches!(self.fate, Fate::KilledBefore | Fate::KilledAfter | Fate::KilledWithin);
        self.is_killed.store(is_end, Ordering::SeqCst);
        Ok(Some(self.fate))
    }

    /// Makes a change that is whole or not made at all, as its fate wants it.
    async fn change<T>(&self, location: &Path, change: impl Future<Output = Result<T>>) -> Result<T> {
        match self.fate_of(location)? {
            None => change.await,
            Some(Fate::KilledBefore | Fate::KilledWithin | Fate::Refused) => Err(failure("not done")),
            Some(Fate::KilledAfter | Fate::AnswerLost) => change.await.and(Err(failure("done, and not told"))),
        }
    }
}

fn failure(what: &'static str) -> Error {
    Error::Generic { store: "fated", source: what.into() }
}

impl std::fmt::Display for Fated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fated")
    }
}

#[async_trait]
impl ObjectStore for Fated {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.fate_of(location)? {
            None => self.inner.put_opts(location, payload, options).await,
            Some(Fate::KilledBefore | Fate::Refused) => Err(failure("not done")),
            Some(Fate::KilledAfter | Fate::AnswerLost) => {
                self.inner.put_opts(location, payload, options).await.and(Err(failure("done, and not told")))
            }
            Some(Fate::KilledWithin) => {
                let bytes = Bytes::from(payload);
                let half = bytes.slice(..bytes.len() / 2);
                self.inner.put_opts(location, half.into(), options).await.and(Err(failure("half done")))
            }
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(failure("nothing of a run is written in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive()?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // Whoever deletes one object after the other meets its fate at one of them; nothing here deletes many at once.
        let fates = locations.map(|location| {
            let fate = location.as_ref().map_err(|_| failure("no location")).and_then(|at| self.fate_of(at));
            (location, fate)
        });
        let inner = Arc::clone(&self.inner);
        let decided: Vec<_> = futures::executor::block_on(fates.collect());
        let deleted = stream::iter(decided).then(move |(location, fate)| {
            let inner = Arc::clone(&inner);
            async move {
                let location = location?;
                match fate? {
                    None => inner.delete(&location).await?,
                    Some(Fate::KilledAfter | Fate::AnswerLost) => {
                        inner.delete(&location).await?;
                        return Err(failure("done, and not told"));
                    }
                    Some(_) => return Err(failure("not done")),
                }
                Ok(location)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.alive() {
            Ok(()) => self.inner.list(prefix),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.alive()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.change(to, self.inner.copy_opts(from, to, options)).await
    }
}

fn paths() -> RunPaths {
    RunPaths::new("demo.pretrain")
}

/// What the weights are after so many steps, of one rank: the same, whoever took them.
fn share(step: u64, rank: u64) -> Vec<u8> {
    format!("weights after {step} steps, share {rank}").into_bytes()
}

fn record(step: u64) -> Vec<u8> {
    format!("{step} rows").into_bytes()
}

fn begin() -> Entry {
    Entry::Begin(Begin {
        corpus: "demo".to_owned(),
        corpus_version: 1,
        modalities: vec![],
        sources: vec![],
        seed: 1,
        lanes: 4,
        global_batch: 8,
        window: 2,
        epochs: 1,
        samples_per_epoch: 8 * STEPS,
        steps_per_epoch: STEPS,
    })
}

/// One attempt at a run by one group.
struct Life {
    store: Store,
    generation: Generation,
    /// The steps whose checkpoints it knows to be committed.
    acknowledged: Vec<u64>,
}

impl Life {
    fn new(store: &Store, generation: u64) -> Self {
        Self { store: store.clone(), generation: Generation(generation), acknowledged: Vec::new() }
    }

    /// Goes on from the latest checkpoint that is whole, to the end; as the ranks of a training do, in their order.
    async fn live(&mut self) -> Result<(), LedgerError> {
        let mut ledger = Ledger::open(&self.store, &paths(), RUN).await?;
        let from = newest_whole(&self.store, &ledger).await?.unwrap_or(0);
        ledger.confirm(self.generation).await?;
        if ledger.begin().is_none() {
            ledger.append(self.generation, "a", begin()).await?;
        }
        let ranks = vec!["a".to_owned(), "b".to_owned()];
        ledger.append(self.generation, "a", Entry::Group(Group { first_step: from, ranks })).await?;
        for step in (from + EVERY..STEPS).step_by(EVERY as usize) {
            if let Some(checkpoint) = self.upload(step).await? {
                self.keep(&mut ledger, checkpoint).await?;
            }
        }
        ledger.confirm(self.generation).await?;
        let weights = (0..WORLD).flat_map(|rank| share(STEPS, rank)).collect::<Vec<u8>>();
        let artefacts = [(paths().model(), weights), (paths().metrics(), record(STEPS))];
        let artefacts = artefacts.map(|(path, bytes)| Artefact { path, bytes: bytes.into() });
        let folder = paths().commit(RUN, self.generation);
        publish(&self.store, &mut ledger, (self.generation, "a"), (&folder, STEPS), &artefacts).await
    }

    /// The shares of all ranks; none where one could not be written, of which nothing is left then.
    async fn upload(&self, step: u64) -> Result<Option<Checkpoint>, LedgerError> {
        let folder = paths().checkpoint(RUN, step, self.generation);
        let shares = (0..WORLD).map(|rank| (format!("{folder}/part-{rank}"), share(step, rank)));
        let all: Vec<(String, Vec<u8>)> = shares.chain([(format!("{folder}/steps.csv"), record(step))]).collect();
        let mut files = Vec::new();
        for (path, bytes) in &all {
            files.push(CommittedFile::put(&self.store, path, bytes.clone()).await);
        }
        if files.iter().all(Result::is_ok) {
            let mut files: Vec<CommittedFile> = files.into_iter().map(Result::unwrap).collect();
            let steps = files.pop().unwrap();
            let (configuration, loss) = (ContentHash::of(b"x"), Some(1.0));
            return Ok(Some(Checkpoint { step, configuration, loss, folder, parts: files, steps }));
        }
        for (path, _) in &all {
            self.store.delete(path).await?;
        }
        Ok(None)
    }

    /// Commits a checkpoint, and removes those that are kept no more; a store that is away or full is no reason to stop.
    async fn keep(&mut self, ledger: &mut Ledger, checkpoint: Checkpoint) -> Result<(), LedgerError> {
        let step = checkpoint.step;
        match ledger.append(self.generation, "a", Entry::Checkpoint(checkpoint)).await {
            Ok(()) => self.acknowledged.push(step),
            Err(LedgerError::Store(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        let retention = Retention { latest: LATEST, best: 0, younger_than: None };
        match tidy(&self.store, ledger, (&paths(), RUN), (self.generation, "a"), retention).await {
            Ok(damage) => assert_eq!(damage, None),
            Err(LedgerError::Store(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The step of the latest checkpoint that is whole.
async fn newest_whole(store: &Store, ledger: &Ledger) -> Result<Option<u64>, StoreError> {
    for kept in committed(ledger).into_iter().rev() {
        if verify(store, &kept.checkpoint).await?.is_empty() {
            return Ok(Some(kept.checkpoint.step));
        }
    }
    Ok(None)
}

/// Whether everything that is committed is what it says, and nothing was lost that a life knew to be kept. Gives the checkpoints.
async fn inspect(store: &Store, life: &Life, what: &str) -> Vec<Kept> {
    let ledger = Ledger::open(store, &paths(), RUN).await.unwrap();
    let kept = committed(&ledger);
    for Kept { checkpoint, .. } in &kept {
        assert_eq!(verify(store, checkpoint).await.unwrap(), [], "{what}");
        for (rank, part) in (0..).zip(&checkpoint.parts) {
            assert_eq!(store.get(&part.path).await.unwrap(), share(checkpoint.step, rank), "{what}");
        }
        assert_eq!(store.get(&checkpoint.steps.path).await.unwrap(), record(checkpoint.step), "{what}");
    }
    let steps: Vec<u64> = kept.iter().map(|kept| kept.checkpoint.step).collect();
    assert!(steps.is_sorted_by(|one, other| one < other), "{what}: {steps:?}");
    let known = life.acknowledged.last().copied();
    assert!(steps.last().copied() >= known, "{what}: {steps:?}, of which {known:?} was acknowledged");
    assert!(steps.len() >= LATEST.min(life.acknowledged.len()), "{what}: {steps:?} are left");
    let committed_weights = ledger.records().iter().find_map(|record| match &record.entry {
        Entry::End(End { files, .. }) => files.first().map(|file| file.blake3),
        _ => None,
    });
    match store.get(&paths().model()).await {
        Ok(found) => {
            assert_eq!(Some(ContentHash::of(&found)), committed_weights, "{what}: weights that nobody committed")
        }
        Err(error) => assert!(matches!(error, StoreError::NotFound { .. }), "{what}: {error}"),
    }
    kept
}

/// What a run does when nothing happens: how many changes that are.
async fn changes_of_a_calm_run() -> usize {
    let inner = Arc::new(InMemory::new());
    let fated = Fated::new(&inner, usize::MAX, Fate::Refused);
    Life::new(&Store::over(fated.clone()), 1).live().await.unwrap();
    fated.changes.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_run_that_is_killed_at_any_operation_keeps_what_it_has_committed_and_ends_as_a_calm_one() {
    let changes = changes_of_a_calm_run().await;
    assert!(changes > 30, "{changes} changes");
    let mut met = BTreeSet::new();
    for at in 0..changes {
        for fate in [Fate::KilledBefore, Fate::KilledAfter, Fate::KilledWithin, Fate::Refused, Fate::AnswerLost] {
            let inner = Arc::new(InMemory::new());
            let (fated, plain) = (Fated::new(&inner, at, fate), Store::over(inner.clone()));
            let mut first = Life::new(&Store::over(fated.clone()), 1);
            let ended = first.live().await;
            let object = fated.met.lock().unwrap().clone().unwrap();
            let what = format!("{fate:?} at {at} (`{object}`)");
            let kind = ["ledger", "checkpoints", "commits"].into_iter().find(|kind| object.contains(kind));
            met.insert((kind.unwrap_or("copy"), format!("{fate:?}")));
            assert!(!fated.is_killed() || ended.is_err(), "{what}");
            if fate == Fate::KilledWithin && object.contains("/ledger/") && plain.exists(&object).await.unwrap() {
                // It is named, and nobody goes on as if it were not there.
                let refused = Ledger::open(&plain, &paths(), RUN).await.unwrap_err();
                assert!(
                    matches!(&refused, LedgerError::Malformed { path, .. } if *path == object),
                    "{what}: {refused}"
                );
                continue;
            }
            let kept = inspect(&plain, &first, &what).await;

            // Whoever goes on takes the newest up, and another one where that is damaged.
            let mut stale = Ledger::open(&plain, &paths(), RUN).await.unwrap();
            assert_eq!(newest_whole(&plain, &stale).await.unwrap(), kept.last().map(|kept| kept.checkpoint.step));
            let copy = Store::over(Arc::new(inner.fork()));
            if let Some(Kept { checkpoint, .. }) = kept.last() {
                copy.put(&checkpoint.parts[1].path, share(checkpoint.step + 1, 1)).await.unwrap();
                let before = kept.iter().rev().nth(1).map(|kept| kept.checkpoint.step);
                assert_eq!(newest_whole(&copy, &stale).await.unwrap(), before, "{what}");
            }
            let mut second = Life::new(&plain, 2);
            second.live().await.unwrap();
            let kept = inspect(&plain, &second, &what).await;
            let last: Vec<u64> = kept.iter().map(|kept| kept.checkpoint.step).collect();
            assert_eq!(last.last(), Some(&(STEPS - EVERY)), "{what}");
            // One more stays where nobody has come to retire it, the last of all being committed already.
            let extra = usize::from(second.acknowledged.is_empty());
            assert!((LATEST..=LATEST + extra).contains(&last.len()), "{what}: {last:?}");

            // The one before has missed that it was replaced.
            let late = Life::new(&plain, 1).upload(STEPS - EVERY).await.unwrap().unwrap();
            let refused = stale.append(Generation(1), "old", Entry::Checkpoint(late)).await;
            assert!(matches!(refused, Err(LedgerError::Fenced { .. })), "{what}: {refused:?}");
            assert_eq!(inspect(&plain, &second, &what).await, kept, "{what}");
            // Nothing is left that no commit names.
            let ledger = Ledger::open(&plain, &paths(), RUN).await.unwrap();
            for folder in orphans(&plain, &paths(), RUN, &ledger).await.unwrap() {
                assert!(folder.ends_with("-g1"), "{what}: {folder}");
                plain.remove_folder(&folder).await.unwrap();
            }
            let named: Vec<&str> =
                kept.iter().flat_map(|kept| kept.checkpoint.files()).map(|file| file.path.as_str()).collect();
            assert_eq!(plain.list(&paths().checkpoints()).await.unwrap(), named, "{what}");
            assert_eq!(plain.get(&paths().metrics()).await.unwrap(), record(STEPS), "{what}");
        }
    }
    // Every kind of object met every fate.
    assert_eq!(met.len(), 4 * 5, "{met:?}");
}

#[tokio::test]
async fn an_entry_that_is_known_is_not_read_again() {
    let inner = Arc::new(InMemory::new());
    Life::new(&Store::over(inner.clone()), 1).live().await.unwrap();
    let counting = Fated::new(&inner, usize::MAX, Fate::Refused);
    let mut ledger = Ledger::open(&Store::over(counting.clone()), &paths(), RUN).await.unwrap();
    let entries = ledger.records().len();
    ledger.clone().confirm(Generation(1)).await.unwrap();
    assert_eq!(counting.reads.load(Ordering::SeqCst), entries);
    let mut other = Ledger::open(&Store::over(inner), &paths(), RUN).await.unwrap();
    other.append(Generation(2), "b", Entry::Group(Group { first_step: 0, ranks: vec![] })).await.unwrap();
    ledger.catch_up().await.unwrap();
    assert_eq!(counting.reads.load(Ordering::SeqCst), entries + 1);
    assert_eq!(ledger.records(), other.records());
}

#[tokio::test]
async fn what_counts_is_on_its_disk_before_it_counts() {
    let (cached, synced) = (Arc::new(InMemory::new()), Arc::new(InMemory::new()));
    let store = Store::over_both(cached.clone(), synced.clone());
    let life = Life::new(&store, 1);
    let mut ledger = Ledger::open(&store, &paths(), RUN).await.unwrap();
    ledger.append(Generation(1), "a", begin()).await.unwrap();
    let checkpoint = life.upload(EVERY).await.unwrap().unwrap();
    ledger.append(Generation(1), "a", Entry::Checkpoint(checkpoint)).await.unwrap();
    let artefacts = [Artefact { path: paths().model(), bytes: Bytes::from_static(b"weights") }];
    publish(&store, &mut ledger, (Generation(1), "a"), ("runs/demo.pretrain/commits/1", 9), &artefacts).await.unwrap();
    assert_eq!(Store::over(cached).list("").await.unwrap(), [""; 0]);
    // Two shares and the steps, three entries, the weights and their copy.
    assert_eq!(Store::over(synced).list("").await.unwrap().len(), 3 + 3 + 2);
}

#[tokio::test]
async fn what_a_killed_process_has_half_written_on_a_disk_goes_with_the_next_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().to_string_lossy()).unwrap();
    let dead = folder.path().join(paths().checkpoint(RUN, 5, Generation(1)));
    std::fs::create_dir_all(&dead).unwrap();
    // As the store names what it has not finished, and does not list.
    std::fs::write(dead.join("part-0#1"), b"half").unwrap();
    let mut life = Life::new(&store, 2);
    let mut ledger = Ledger::open(&store, &paths(), RUN).await.unwrap();
    let checkpoint = life.upload(EVERY).await.unwrap().unwrap();
    life.keep(&mut ledger, checkpoint).await.unwrap();
    assert!(!dead.exists());
    assert_eq!(store.folders(&paths().checkpoints_of(RUN)).await.unwrap().len(), 1);
}
