//! What is kept, what is whole, what nobody names.

use super::*;
use crate::manifest::ContentHash;
use crate::runs::CommittedFile;

const RUN: RunNumber = RunNumber(3);

fn paths() -> RunPaths {
    RunPaths::new("demo.pretrain")
}

/// Writes the files of a checkpoint of two parts.
async fn upload(store: &Store, step: u64, generation: u64) -> Checkpoint {
    let folder = paths().checkpoint(RUN, step, Generation(generation));
    let mut files = Vec::new();
    for name in ["part-0", "part-1", "steps.csv"] {
        let (path, bytes) = (format!("{folder}/{name}"), format!("{name} of {step}").into_bytes());
        files.push(CommittedFile::new(&path, &bytes));
        store.put(&path, bytes).await.unwrap();
    }
    let steps = files.pop().unwrap();
    let loss = Some(1.0 / (step as f64));
    Checkpoint { step, configuration: ContentHash::of(b"x"), loss, folder, parts: files, steps }
}

async fn ledger(store: &Store) -> Ledger {
    Ledger::open(store, &paths(), RUN).await.unwrap()
}

async fn commit(store: &Store, step: u64, generation: u64) -> Checkpoint {
    let checkpoint = upload(store, step, generation).await;
    let entry = Entry::Checkpoint(checkpoint.clone());
    ledger(store).await.append(Generation(generation), "a", entry).await.unwrap();
    checkpoint
}

fn steps(kept: &[Kept]) -> Vec<u64> {
    kept.iter().map(|kept| kept.checkpoint.step).collect()
}

fn kept(step: u64, loss: Option<f64>, at: SystemTime) -> Kept {
    let file = CommittedFile::new("f", b"");
    let (configuration, folder) = (ContentHash::of(b"x"), step.to_string());
    let checkpoint = Checkpoint { step, configuration, loss, folder, parts: vec![], steps: file };
    Kept { generation: Generation(1), at: humantime::format_rfc3339_seconds(at).to_string(), checkpoint }
}

#[tokio::test]
async fn a_damaged_file_is_named_and_a_whole_checkpoint_has_none() {
    let store = Store::open("memory://").unwrap();
    let checkpoint = commit(&store, 5, 1).await;
    assert_eq!(verify(&store, &checkpoint).await.unwrap(), []);
    store.put(&checkpoint.parts[0].path, &b"part-0 of 6"[..]).await.unwrap();
    store.put(&checkpoint.parts[1].path, &b"part-1"[..]).await.unwrap();
    store.delete(&checkpoint.steps.path).await.unwrap();
    let damages = verify(&store, &checkpoint).await.unwrap();
    let messages: Vec<&str> = damages.iter().map(|damage| damage.message.as_str()).collect();
    assert!(messages[0].starts_with("has another hash"), "{messages:?}");
    assert_eq!(messages[1..], ["has 6 bytes, expected 11", "is missing"]);
}

#[test]
fn what_any_rule_keeps_is_kept_and_the_latest_always() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let ago = |hours: u64| now - Duration::from_secs(hours * 3600);
    let all: Vec<Kept> = [(1, Some(0.9), 5), (2, Some(0.2), 4), (3, None, 3), (4, Some(0.5), 2), (5, Some(0.7), 1)]
        .map(|(step, loss, hours)| kept(step, loss, ago(hours)))
        .to_vec();
    let gone = |retention| surplus(&all, retention, now).iter().map(|kept| kept.checkpoint.step).collect::<Vec<_>>();
    let only = |latest| Retention { latest, best: 0, younger_than: None };
    assert_eq!(gone(only(2)), [1, 2, 3]);
    assert_eq!(gone(only(0)), [1, 2, 3, 4]);
    assert_eq!(gone(only(9)), [0; 0]);
    assert_eq!(gone(Retention { best: 1, ..only(1) }), [1, 3, 4]);
    let young = Some(Duration::from_secs(3 * 3600));
    assert_eq!(gone(Retention { younger_than: young, ..only(1) }), [1, 2]);
    assert_eq!(surplus(&[], only(1), now).len(), 0);
}

#[tokio::test]
async fn what_is_removed_was_retired_before_and_is_listed_no_more() {
    let store = Store::open("memory://").unwrap();
    let first = commit(&store, 5, 1).await;
    commit(&store, 9, 2).await;
    let mut ledger = ledger(&store).await;
    assert_eq!(steps(&committed(&ledger)), [5, 9]);
    remove(&store, &mut ledger, (Generation(2), "a"), vec![first.folder.clone()]).await.unwrap();
    assert_eq!(steps(&committed(&ledger)), [9]);
    assert_eq!(store.list(&first.folder).await.unwrap(), [""; 0]);
    let refused = remove(&store, &mut ledger, (Generation(1), "old"), vec!["x".to_owned()]).await;
    assert!(matches!(refused, Err(LedgerError::Fenced { .. })), "{refused:?}");
}

#[tokio::test]
async fn nothing_is_retired_before_the_latest_has_been_read_back() {
    let store = Store::open("memory://").unwrap();
    for step in [5, 9] {
        commit(&store, step, 1).await;
    }
    let latest = commit(&store, 12, 1).await;
    store.put(&latest.parts[1].path, &b"part-1 of 13"[..]).await.unwrap();
    let mut ledger = ledger(&store).await;
    let retention = Retention { latest: 1, best: 0, younger_than: None };
    let (of, paths) = ((Generation(1), "a"), paths());
    let damage = tidy(&store, &mut ledger, (&paths, RUN), of, retention).await.unwrap().unwrap();
    assert_eq!(damage.path, latest.parts[1].path);
    assert_eq!(steps(&committed(&ledger)), [5, 9, 12]);
    store.put(&latest.parts[1].path, &b"part-1 of 12"[..]).await.unwrap();
    assert_eq!(tidy(&store, &mut ledger, (&paths, RUN), of, retention).await.unwrap(), None);
    assert_eq!(steps(&committed(&ledger)), [12]);
    assert_eq!(store.folders(&paths.checkpoints_of(RUN)).await.unwrap(), ["0000000012-g1"]);
}

#[tokio::test]
async fn uploads_that_nobody_committed_are_orphans_unless_they_may_be_under_way() {
    let store = Store::open("memory://").unwrap();
    upload(&store, 4, 1).await;
    commit(&store, 5, 2).await;
    upload(&store, 5, 1).await;
    upload(&store, 9, 1).await;
    upload(&store, 9, 2).await;
    let found = orphans(&store, &paths(), RUN, &ledger(&store).await).await.unwrap();
    let names: Vec<&str> = found.iter().filter_map(|folder| folder.rsplit('/').next()).collect();
    assert_eq!(names, ["0000000004-g1", "0000000005-g1", "0000000009-g1"]);
    store.remove_folder(&found[0]).await.unwrap();
    assert_eq!(orphans(&store, &paths(), RUN, &ledger(&store).await).await.unwrap().len(), 2);
}
