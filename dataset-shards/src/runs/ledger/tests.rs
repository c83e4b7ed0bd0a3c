//! A log of many writers, of whom the newest decides.

use vismae_core::spec::Modality;

use super::*;
use crate::manifest::ContentHash;

fn paths() -> RunPaths {
    RunPaths::new("demo.pretrain")
}

const RUN: RunNumber = RunNumber(1_700_000_000_000);

async fn open(store: &Store) -> Ledger {
    Ledger::open(store, &paths(), RUN).await.unwrap()
}

fn group(first_step: u64) -> Entry {
    Entry::Group(Group { first_step, ranks: vec!["demo.pretrain/0/0".to_owned()] })
}

fn begin() -> Entry {
    Entry::Begin(Begin {
        corpus: "demo".to_owned(),
        corpus_version: 2,
        modalities: vec![Modality::XRay],
        sources: vec![],
        seed: u64::MAX,
        lanes: 4,
        global_batch: 8,
        window: 2,
        epochs: 3,
        samples_per_epoch: 10,
        steps_per_epoch: 2,
    })
}

#[tokio::test]
async fn entries_read_back_in_their_order_and_runs_apart() {
    let store = Store::open("memory://").unwrap();
    let mut ledger = open(&store).await;
    assert_eq!(ledger.begin(), None);
    ledger.append(Generation(1), "a", begin()).await.unwrap();
    ledger.append(Generation(1), "a", group(0)).await.unwrap();
    ledger.append(Generation(2), "b", group(7)).await.unwrap();
    let read = open(&store).await;
    assert_eq!(read.records(), ledger.records());
    assert_eq!(read.begin().map(Begin::steps), Some(6));
    let writers: Vec<_> = read.records().iter().map(|record| (record.generation, record.task.as_str())).collect();
    assert_eq!(writers, [(1, "a"), (1, "a"), (2, "b")]);

    let later = RunNumber(RUN.0 + 1);
    assert_eq!(Ledger::open(&store, &paths(), later).await.unwrap().records(), []);
    Ledger::open(&store, &paths(), later).await.unwrap().append(Generation(1), "c", begin()).await.unwrap();
    assert_eq!(Ledger::runs(&store, &paths()).await.unwrap(), [RUN, later]);
    // The earlier run can't write where the later one is, nor where its own ledger has been removed.
    let replaced = ledger.confirm(Generation(2)).await.unwrap_err();
    assert!(matches!(replaced, LedgerError::Replaced { later, .. } if later == RunNumber(RUN.0 + 1)), "{replaced}");
    Ledger::remove_before(&store, &paths(), later).await.unwrap();
    assert_eq!(Ledger::runs(&store, &paths()).await.unwrap(), [later]);
    Ledger::remove_before(&store, &paths(), RunNumber(later.0 + 1)).await.unwrap();
    assert!(matches!(ledger.confirm(Generation(2)).await, Err(LedgerError::Removed { known: 3, found: 0, .. })));
}

#[tokio::test]
async fn a_group_that_was_replaced_can_write_nothing_more() {
    let store = Store::open("memory://").unwrap();
    let mut old = open(&store).await;
    old.append(Generation(1), "old", begin()).await.unwrap();
    let mut new = open(&store).await;
    new.append(Generation(2), "new", group(4)).await.unwrap();
    // It has not heard of the new one.
    assert!(matches!(old.clone().confirm(Generation(1)).await, Err(LedgerError::Fenced { .. })));
    let end = Entry::End(End { steps: 6, files: vec![] });
    let refused = old.append(Generation(1), "old", end).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Fenced { own: Generation(1), newer: Generation(2), .. }), "{refused}");
    assert_eq!(open(&store).await.records().len(), 2);
    // Whoever is of a later generation writes behind what it had not read.
    let mut newest = old.clone();
    newest.append(Generation(3), "newest", group(5)).await.unwrap();
    assert_eq!(open(&store).await.records().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_the_same_time_lose_no_entry() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().to_string_lossy()).unwrap();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut ledger = open(&store).await;
            for step in 0..5 {
                ledger.append(Generation(1), &format!("writer {writer}"), group(step)).await.unwrap();
            }
        })
    });
    futures::future::join_all(writers).await.into_iter().for_each(Result::unwrap);
    let ledger = open(&store).await;
    assert_eq!(ledger.records().len(), 40);
    for writer in 0..8 {
        let of = |record: &&Record| record.task == format!("writer {writer}");
        let steps: Vec<_> = ledger.records().iter().filter(of).map(|record| record.entry.clone()).collect();
        assert_eq!(steps, (0..5).map(group).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_entry_that_names_files_of_others_is_refused() {
    let store = Store::open("memory://").unwrap();
    let folder = paths().checkpoint(RUN, 5, Generation(1));
    let file = |path: &str| CommittedFile::new(path, b"x");
    let checkpoint = |folder: &str, part: &str| {
        let (parts, steps) = (vec![file(part)], file(&format!("{folder}/steps.csv")));
        let (configuration, folder) = (ContentHash::of(b"x"), folder.to_owned());
        Entry::Checkpoint(Checkpoint { step: 5, configuration, loss: None, folder, parts, steps })
    };
    let retire = |folder: &str| Entry::Retire(Retire { folders: vec![folder.to_owned()] });
    let other = RunPaths::new("other.pretrain").checkpoint(RUN, 5, Generation(1));
    for (number, entry) in [
        checkpoint(&other, &format!("{other}/part")),
        checkpoint(&folder, &format!("{other}/part")),
        checkpoint(&folder, "corpora/demo/shards/0.parquet"),
        retire(&other),
        retire(&paths().checkpoints_of(RUN)),
        retire(&format!("{}/", paths().checkpoints_of(RUN))),
        retire("corpora"),
        Entry::End(End { steps: 1, files: vec![file("runs/other.pretrain/model/model.safetensors")] }),
    ]
    .into_iter()
    .enumerate()
    {
        let run = RunNumber(number as u64);
        // Those of the run that the entry is written to.
        let own = |text: String| text.replace(&RUN.to_string(), &run.to_string());
        let record = Record { format: FORMAT, generation: 1, task: "a".to_owned(), at: String::new(), entry };
        let bytes = own(serde_json::to_string(&record).unwrap());
        store.put(&path(&paths().ledger(run), 0), bytes.clone()).await.unwrap();
        let refused = Ledger::open(&store, &paths(), run).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Stray { .. }), "{bytes}: {refused}");
    }
    let mut ledger = open(&store).await;
    ledger.append(Generation(1), "a", checkpoint(&folder, &format!("{folder}/part"))).await.unwrap();
    ledger.append(Generation(1), "a", retire(&folder)).await.unwrap();
    assert_eq!(open(&store).await.records().len(), 2);
}

#[tokio::test]
async fn what_is_no_entry_is_named_and_not_skipped() {
    let store = Store::open("memory://").unwrap();
    let mut ledger = open(&store).await;
    ledger.append(Generation(1), "a", begin()).await.unwrap();
    let at = |number: usize| path(&paths().ledger(RUN), number);
    let opened = || async { Ledger::open(&store, &paths(), RUN).await.unwrap_err().to_string() };
    store.put(&at(2), &b"{}"[..]).await.unwrap();
    assert!(opened().await.contains("should be"), "{}", opened().await);
    store.put(&at(1), &b"{}"[..]).await.unwrap();
    assert!(opened().await.contains("00000001.json` cannot be read"), "{}", opened().await);
    let text = String::from_utf8(store.get(&at(0)).await.unwrap().to_vec()).unwrap();
    store.put(&at(1), text.replacen("\"format\": 1", "\"format\": 9", 1)).await.unwrap();
    assert!(opened().await.contains("has format 9, expected 1"), "{}", opened().await);
}
