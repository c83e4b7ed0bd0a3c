//! What a later ingest reads, and what its version shares with the one before.

use super::*;
use crate::quarantine;
use crate::verify::verify;

/// Pictures in the folder of a class, each of its own grey levels.
fn pictures(folder: &Path, class: &str, numbers: std::ops::Range<u32>) {
    std::fs::create_dir_all(folder.join(format!("us/{class}"))).unwrap();
    for number in numbers {
        png(&folder.join(format!("us/{class}/{number:02}.png")), 24, 24, |x, y| (x * y + 7 * number) as u8);
    }
}

async fn latest(store: &Store) -> Manifest {
    Manifest::load(store, &corpus(), None).await.unwrap()
}

/// The frames of a version: identity, class by name, split.
async fn frames(store: &Store, manifest: &Manifest) -> BTreeSet<(String, Option<String>, String)> {
    let mut found = BTreeSet::new();
    for shard in &manifest.shards {
        let bytes = store.get(&shard.path).await.unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
            for row in crate::schema::frame_rows(&batch.unwrap()).unwrap() {
                let class = row.label.map(|label| manifest.class_name(label).unwrap().to_owned());
                assert!(found.insert((row.sample_id.to_string(), class, row.split.to_string())), "stored twice");
            }
        }
    }
    assert_eq!(found.len() as u64, manifest.counts.frames);
    assert_eq!(verify(store, manifest, |_| {}).await.unwrap().faults, []);
    found
}

/// The frames that an ingest into an empty store gives.
async fn frames_of_fresh(folder: &Path) -> BTreeSet<(String, Option<String>, String)> {
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, &[folder]).await.unwrap();
    frames(&store, &latest(&store).await).await
}

#[tokio::test]
async fn what_has_not_changed_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "benign", 0..6);
    std::fs::write(folder.path().join("us/broken.png"), "no image").unwrap();
    let store = Store::open("memory://").unwrap();
    let first = ingest_all(&store, &[folder.path()]).await.unwrap();
    assert_eq!((first.files, first.unchanged, first.total_frames()), (7, 0, 6));
    let again = ingest_all(&store, &[folder.path()]).await.unwrap();
    assert_eq!((again.files, again.unchanged, again.committed), (7, 7, false));
    assert_eq!((again.frames, again.quarantined, again.labels), (first.frames, first.quarantined, first.labels));
}

#[tokio::test]
async fn new_files_give_a_version_that_shares_every_old_shard() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "benign", 0..20);
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, &[folder.path()]).await.unwrap();
    let before = latest(&store).await;
    pictures(folder.path(), "benign", 20..30);
    pictures(folder.path(), "adenoma", 30..33);
    let summary = ingest_all(&store, &[folder.path()]).await.unwrap();
    assert_eq!((summary.version, summary.unchanged, summary.files), (2, 20, 33));
    let after = latest(&store).await;
    assert!(before.shards.iter().all(|shard| after.shards.contains(shard)), "{:?}", after.shards);
    assert_eq!((after.counts.frames, after.counts.labels), (33, 33));
    // Labels of old shards keep their meaning: new classes come behind the old ones, whatever their names.
    assert_eq!(after.classes, ["benign", "adenoma"]);
    assert_eq!(frames(&store, &after).await, frames_of_fresh(folder.path()).await);
}

#[tokio::test]
async fn a_file_that_is_gone_takes_its_frames_along_and_other_shards_stay() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "benign", 0..30);
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, &[folder.path()]).await.unwrap();
    let before = latest(&store).await;
    std::fs::remove_file(folder.path().join("us/benign/07.png")).unwrap();
    let summary = ingest_all(&store, &[folder.path()]).await.unwrap();
    let after = latest(&store).await;
    assert_eq!((summary.unchanged, after.counts.frames), (29, 29));
    let kept = before.shards.iter().filter(|shard| after.shards.contains(shard)).count();
    assert_eq!(kept, before.shards.len() - 1);
    assert_eq!(frames(&store, &after).await, frames_of_fresh(folder.path()).await);
}

#[tokio::test]
async fn a_label_that_changes_changes_the_rows_it_is_in() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "any", 0..12);
    let listed = |label: &str| {
        let rows: String =
            (0..12).map(|at| format!("us/any/{at:02}.png,US,{}\n", if at == 3 { label } else { "a" })).collect();
        std::fs::write(folder.path().join("manifest.csv"), format!("file,modality,label\n{rows}")).unwrap();
    };
    let store = Store::open("memory://").unwrap();
    listed("a");
    ingest_all(&store, &[folder.path()]).await.unwrap();
    listed("b");
    let summary = ingest_all(&store, &[folder.path()]).await.unwrap();
    assert_eq!((summary.unchanged, summary.version), (11, 2));
    assert_eq!(frames(&store, &latest(&store).await).await, frames_of_fresh(folder.path()).await);
}

#[tokio::test]
async fn rows_that_belong_elsewhere_now_are_written_anew_though_their_files_are_as_they_were() {
    // A patient in two groups joins them: files that did not change move to another group.
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "any", 0..6);
    let listed = |last: &str| {
        let mut rows = String::from("file,modality,patient_id,group_id\n");
        for at in 0..5 {
            rows += &format!("us/any/{at:02}.png,US,p{at},g{at}\n");
        }
        std::fs::write(folder.path().join("manifest.csv"), format!("{rows}us/any/05.png,US,{last}\n")).unwrap();
    };
    let store = Store::open("memory://").unwrap();
    listed("p9,g9");
    ingest_all(&store, &[folder.path()]).await.unwrap();
    listed("p0,g4");
    let summary = ingest_all(&store, &[folder.path()]).await.unwrap();
    assert_eq!(summary.unchanged, 5);
    assert_eq!(frames(&store, &latest(&store).await).await, frames_of_fresh(folder.path()).await);
}

#[tokio::test]
async fn without_its_catalogue_or_under_another_recipe_everything_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "benign", 0..6);
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, &[folder.path()]).await.unwrap();
    let mut damaged = store.get("corpora/demo/catalogue").await.unwrap().to_vec();
    damaged[50] ^= 1;
    store.put("corpora/demo/catalogue", damaged).await.unwrap();
    let again = ingest_all(&store, &[folder.path()]).await.unwrap();
    assert_eq!((again.unchanged, again.committed), (0, false));

    let other = IngestSpec { image_size: 48, ..spec(&[folder.path()]) };
    let larger = ingest(&store, &other, &options(2), |_| {}, &CancellationToken::new()).await.unwrap();
    assert_eq!((larger.unchanged, larger.version), (0, 2));
    let key = IngestOptions { pseudonym_key: PseudonymKey::from_secret("another"), ..options(2) };
    let rekeyed = ingest(&store, &other, &key, |_| {}, &CancellationToken::new()).await.unwrap();
    assert_eq!((rekeyed.unchanged, rekeyed.version), (0, 3));
    let manifest = latest(&store).await;
    assert!(quarantine::read(&store, &manifest).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_shard_that_was_damaged_is_written_anew_when_nothing_vouches_for_it() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "benign", 0..6);
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, &[folder.path()]).await.unwrap();
    let manifest = latest(&store).await;
    store.put(&manifest.shards[0].path, vec![0; 99]).await.unwrap();
    store.delete("corpora/demo/catalogue").await.unwrap();
    ingest_all(&store, &[folder.path()]).await.unwrap();
    frames(&store, &manifest).await;
}

#[tokio::test]
async fn what_could_not_be_read_is_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "any", 0..3);
    std::fs::write(
        folder.path().join("manifest.csv"),
        "file,modality,mask_file\nus/any/00.png,US,gone.png\nus/any/01.png,US,\n",
    )
    .unwrap();
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, &[folder.path()]).await.unwrap();
    let again = ingest_all(&store, &[folder.path()]).await.unwrap();
    assert_eq!((again.files, again.unchanged, again.committed), (2, 1, false));
    assert_eq!(again.quarantined, codes([("mask_missing", 1)]));
}
