//! Whole ingests of a phantom corpus, with good and broken files, into stores in memory.

mod crews;
mod memory;
mod versions;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::AsArray;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use vismae_core::spec::Modality;

use super::*;
use crate::fixture::{corpus, hard_cases, ingest_all, options, phantom_folder, spec};
use crate::manifest::{ContentHash, Manifest};
use crate::split::Split;

fn png(path: &Path, width: u32, height: u32, level: impl Fn(u32, u32) -> u8) {
    image::GrayImage::from_fn(width, height, |x, y| image::Luma([level(x, y)])).save(path).unwrap();
}

fn codes<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(code, files)| (code.to_owned(), files)).into()
}

async fn contents(store: &Store) -> BTreeMap<String, Bytes> {
    let mut all = BTreeMap::new();
    for path in store.list("").await.unwrap() {
        all.insert(path.clone(), store.get(&path).await.unwrap());
    }
    all
}

/// What a store holds but for the catalogue, which tells a file from the same file in an archive.
async fn corpus_contents(store: &Store) -> BTreeMap<String, Bytes> {
    let mut all = contents(store).await;
    assert!(all.remove("corpora/demo/catalogue").is_some());
    all
}

/// The values of a text column of a Parquet file.
fn texts(parquet: Bytes, column: &str) -> Vec<String> {
    let batches = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap().build().unwrap();
    batches
        .flat_map(|batch| {
            let batch = batch.unwrap();
            let column = batch.column_by_name(column).unwrap().as_string::<i32>();
            column.iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn a_phantom_corpus_comes_out_whole() {
    let store = Store::open("memory://").unwrap();
    let summary = ingest_all(&store, &[phantom_folder()]).await.unwrap();
    assert_eq!((summary.total_frames(), summary.labels, summary.masks), (204, 164, 204));
    assert_eq!(summary.total_quarantined() + summary.not_images + summary.duplicates + summary.nearly_empty, 0);
    assert_eq!(summary.frames.len(), Modality::ALL.len() * Split::ALL.len());
    assert!(summary.committed && summary.version == 1 && summary.quarantine.is_none());
    let manifest = Manifest::load(&store, &corpus(), None).await.unwrap();
    assert_eq!(manifest.classes, ["none", "smooth", "spiculated"]);
    assert_eq!(manifest.counts.frames, 204);
    for shard in &manifest.shards {
        let bytes = store.get(&shard.path).await.unwrap();
        assert_eq!(shard.bytes, bytes.len() as u64);
        assert_eq!(shard.blake3, ContentHash::of(&bytes));
        let prefix = format!("corpora/demo/data/modality={}/split={}/part-00000-", shard.modality, shard.split);
        assert!(shard.path.starts_with(&prefix), "{}", shard.path);
        assert_eq!(texts(bytes.clone(), "source"), vec![source(); shard.rows as usize]);
        assert!(texts(bytes.clone(), "group_id").iter().all(|group| group.len() == 32 && !group.contains("PH")));
        assert_eq!(texts(bytes, "split"), vec![shard.split.word().to_owned(); shard.rows as usize]);
    }
}

fn source() -> String {
    phantom_folder().file_name().unwrap().to_string_lossy().into_owned()
}

#[tokio::test]
async fn the_number_of_threads_changes_no_byte() {
    let mut stores = Vec::new();
    for threads in [1, 4] {
        let store = Store::open("memory://").unwrap();
        let spec = spec(&[phantom_folder()]);
        ingest(&store, &spec, &options(threads), |_| {}, &CancellationToken::new()).await.unwrap();
        stores.push(contents(&store).await);
    }
    assert!(stores[0] == stores[1]);
}

#[tokio::test]
async fn a_second_run_adds_nothing_and_a_changed_one_a_version() {
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, &[phantom_folder()]).await.unwrap();
    let first = contents(&store).await;
    let again = ingest_all(&store, &[phantom_folder()]).await.unwrap();
    assert!(!again.committed && again.version == 1);
    assert!(contents(&store).await == first);

    let extra = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(extra.path().join("us/benign")).unwrap();
    png(&extra.path().join("us/benign/a.png"), 40, 30, |x, y| (x * y) as u8);
    let more = ingest_all(&store, &[phantom_folder(), extra.path()]).await.unwrap();
    assert!(more.committed && more.version == 2);
    let manifest = Manifest::load(&store, &corpus(), None).await.unwrap();
    assert_eq!((manifest.version, manifest.counts.frames), (2, 205));
    assert_eq!(manifest.classes, ["none", "smooth", "spiculated", "benign"]);
    assert_eq!(Manifest::versions(&store, &corpus()).await.unwrap(), [1, 2]);
}

/// A set in which most rows are broken, each in its own way, and the codes expected.
fn broken_set(folder: &Path) -> BTreeMap<String, u64> {
    let at = |name: &str| folder.join(name);
    png(&at("good.png"), 40, 30, |x, y| (x + y) as u8);
    png(&at("mask.png"), 40, 30, |x, _| if x > 20 { 255 } else { 0 });
    png(&at("half.png"), 20, 15, |x, _| if x > 10 { 255 } else { 0 });
    png(&at("grey.png"), 40, 30, |x, y| (x * 3 + y) as u8);
    png(&at("other.png"), 40, 30, |x, y| (x ^ y) as u8);
    png(&at("third.png"), 40, 30, |x, y| (x | y) as u8);
    let whole = std::fs::read(at("good.png")).unwrap();
    std::fs::write(at("cut.png"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(at("text.dcm"), "this is a letter to a patient").unwrap();
    std::fs::write(at("empty.png"), "").unwrap();
    std::fs::write(at("notes.txt"), "a note").unwrap();
    std::fs::write(
        at("MANIFEST.csv"),
        "file,modality,patient_id,label,mask_file,split,remark\n\
         good.png,US,p1,a,mask.png,train,\"kept, with a mask\"\n\
         good.png,US,p1,a,,train,a duplicate\n\
         good.png,US,p1,b,,train,a duplicate with another label\n\
         cut.png,US,p2,a,,train,\n\
         text.dcm,CT,p2,a,,train,\n\
         empty.png,US,p2,a,,train,\n\
         nowhere.png,US,p2,a,,train,\n\
         ../good.png,US,p2,a,,train,\n\
         other.png,US,p3,a,half.png,train,\n\
         other.png,US,p3,a,grey.png,train,\n\
         other.png,US,p3,a,lost.png,train,\n\
         other.png,XYZ,p3,a,,train,\n\
         other.png,,p3,a,,train,\n\
         other.png,US,p3,a,,holdout,\n\
         third.png,US,p1,a,,test,another split of the same patient\n\
         notes.txt,US,p4,,,train,\n\
         third.png,US,p5\n",
    )
    .unwrap();
    codes([
        ("empty_file", 1),
        ("group_straddles_splits", 1),
        ("label_conflict", 1),
        ("mask_missing", 1),
        ("mask_not_labels", 1),
        ("mask_shape_mismatch", 1),
        ("missing_file", 1),
        ("modality_unknown", 2),
        ("outside_folder", 1),
        ("split_unknown", 1),
        ("truncated", 1),
        ("unknown_format", 1),
    ])
}

#[tokio::test]
async fn broken_files_are_quarantined_by_reason_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let expected = broken_set(folder.path());
    let store = Store::open("memory://").unwrap();
    let summary = ingest_all(&store, &[phantom_folder(), folder.path()]).await.unwrap();
    assert_eq!(summary.quarantined, expected);
    assert_eq!(summary.total_frames(), 206);
    assert_eq!((summary.duplicates, summary.not_images), (2, 1));
    let quarantine = store.get(&summary.quarantine.unwrap()).await.unwrap();
    let reasons: BTreeSet<String> = texts(quarantine.clone(), "reason").into_iter().collect();
    assert_eq!(reasons, expected.keys().cloned().collect());
    let files = texts(quarantine.clone(), "file");
    assert!(files.iter().all(|file| !file.starts_with('/') && !file.contains("..")), "{files:?}");
    let messages = texts(quarantine, "message");
    assert!(messages.iter().all(|message| !message.contains("letter") && !message.contains("p1")), "{messages:?}");
    assert!(messages.contains(&"the mask is 20 x 15 x 1, the image 40 x 30 x 1: expected the same shape".to_owned()));
}

#[tokio::test]
async fn a_cancelled_ingest_leaves_nothing_visible_and_can_be_run_again() {
    let store = Store::open("memory://").unwrap();
    let cancel = CancellationToken::new();
    let stop = |progress: IngestProgress| {
        if progress.files_done == 60 {
            cancel.cancel();
        }
    };
    let error = ingest(&store, &spec(&[phantom_folder()]), &options(2), stop, &cancel).await.unwrap_err();
    assert!(matches!(error, IngestError::Cancelled), "{error}");
    assert!(Manifest::versions(&store, &corpus()).await.unwrap().is_empty());
    let summary = ingest_all(&store, &[phantom_folder()]).await.unwrap();
    assert!(summary.committed && summary.total_frames() == 204);
}

#[tokio::test]
async fn an_ingest_without_a_frame_says_what_became_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.png"), "x").unwrap();
    std::fs::write(folder.path().join("readme.md"), "x").unwrap();
    let store = Store::open("memory://").unwrap();
    let error = ingest_all(&store, &[folder.path()]).await.unwrap_err().to_string();
    let input = folder.path().to_string_lossy();
    assert!(
        error.contains(&format!("2 files in `{input}`: 1 quarantined as `unknown_format`, 1 hold no image")),
        "{error}"
    );
    let lists = store.list("corpora/demo/quarantine").await.unwrap();
    assert!(error.ends_with(&format!("the list is `{}`", lists[0])), "{error}");
    assert!(Manifest::versions(&store, &corpus()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_input_is_named_before_anything_is_read() {
    let store = Store::open("memory://").unwrap();
    let error = ingest_all(&store, &[phantom_folder(), Path::new("/no/such/folder")]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "input `/no/such/folder` does not exist, expected a folder, an archive or a CSV manifest"
    );
    assert!(store.list("").await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unknown_modality_is_no_fault_of_what_is_no_image() {
    let folder = tempfile::tempdir().unwrap();
    png(&folder.path().join("a.png"), 20, 20, |x, y| (x * y) as u8);
    std::fs::write(folder.path().join("plan.txt"), "x").unwrap();
    std::fs::write(folder.path().join("MANIFEST.csv"), "file,modality\na.png,US\na.png,SEG\nplan.txt,RTSTRUCT\n")
        .unwrap();
    let summary = ingest_all(&Store::open("memory://").unwrap(), &[folder.path()]).await.unwrap();
    assert_eq!((summary.total_frames(), summary.not_images), (1, 1));
    assert_eq!(summary.quarantined, codes([("modality_unknown", 1)]));
}

/// The DICOM files of one modality in the phantom corpus.
fn dicom_files(modality: &str) -> Vec<std::path::PathBuf> {
    let of =
        walkdir::WalkDir::new(phantom_folder()).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path());
    let wanted = format!("/{modality}/");
    of.filter(|path| path.extension().is_some_and(|ending| ending == "dcm") && path.to_string_lossy().contains(&wanted))
        .collect()
}

#[tokio::test]
async fn a_header_counts_more_than_a_folder_and_may_not_contradict_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("loose/ct")).unwrap();
    std::fs::create_dir_all(folder.path().join("listed")).unwrap();
    for (at, path) in dicom_files("mr").into_iter().take(2).enumerate() {
        let place = ["loose/ct/a.dcm", "listed/b.dcm"][at];
        std::fs::copy(path, folder.path().join(place)).unwrap();
    }
    std::fs::write(folder.path().join("listed/manifest.csv"), "file,modality\nb.dcm,CT\n").unwrap();
    let store = Store::open("memory://").unwrap();
    let (loose, listed) = (folder.path().join("loose"), folder.path().join("listed"));
    let summary = ingest_all(&store, &[&loose, &listed]).await.unwrap();
    assert_eq!(summary.frames.keys().map(|(modality, _)| *modality).collect::<Vec<_>>(), [Modality::Mr]);
    assert_eq!(summary.quarantined, codes([("modality_conflict", 1)]));
}

/// The invented identities of the collections, as the rows of their manifests name them.
fn identities(folder: &Path) -> BTreeSet<String> {
    let mut reader = csv::Reader::from_path(folder.join("MANIFEST.csv")).unwrap();
    let headers = reader.headers().unwrap().clone();
    let at = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let (file, note) = (at("file"), at("expect_note"));
    let mut found = BTreeSet::new();
    for row in reader.records().map(Result::unwrap).filter(|row| row[file].starts_with("phi/")) {
        let strings = row[note].rsplit(": ").next().unwrap().split(" | ");
        found.extend(strings.map(|text| text.trim().to_ascii_lowercase()).filter(|text| text.len() > 3));
    }
    assert!(found.len() > 4, "{found:?}");
    found
}

#[tokio::test]
async fn no_identity_leaves_in_any_form() {
    let Some(folder) = hard_cases("hard_dicom") else { return };
    let mut identities = identities(&folder);
    identities.extend(["doe_jane", "mrn55512"].map(str::to_owned));
    // Whole, and cut short so that they are refused.
    let copy = tempfile::tempdir().unwrap();
    let raster = hard_cases("hard_raster").unwrap().join("r0/DOE_JANE_19610203_MRN55512.png");
    let files = std::fs::read_dir(folder.join("phi")).unwrap().map(|entry| entry.unwrap().path()).chain([raster]);
    for path in files {
        let (name, bytes) = (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap());
        // The folder tells the modality where no header does.
        let place = copy.path().join("xr");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(format!("cut-{name}")), &bytes[..bytes.len() / 2]).unwrap();
        std::fs::write(place.join(name), bytes).unwrap();
    }
    let store = Store::open("memory://").unwrap();
    let summary = ingest_all(&store, &[copy.path()]).await.unwrap();
    assert!(summary.total_frames() > 0 && summary.total_quarantined() > 0, "{summary:?}");
    let mut everything = vec![("the summary".to_owned(), format!("{summary:?}").into_bytes())];
    let catalogue = store.get("corpora/demo/catalogue").await.unwrap();
    let catalogue = sealed::unseal::<catalogue::Catalogue>(&catalogue).unwrap();
    everything.push(("the catalogue".to_owned(), format!("{catalogue:?}").into_bytes()));
    for (path, bytes) in contents(&store).await {
        if path.ends_with(".parquet") {
            // Pages are compressed.
            let batches = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().build().unwrap();
            everything.extend(batches.map(|batch| (path.clone(), format!("{:?}", batch.unwrap()).into_bytes())));
        }
        everything.extend([(path.clone(), path.clone().into_bytes()), (path, bytes.to_vec())]);
    }
    for (place, bytes) in everything {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        for identity in &identities {
            assert!(!text.contains(identity), "`{identity}` in {place}");
        }
    }
}

#[tokio::test]
async fn whoever_has_the_files_and_the_key_gets_the_names_of_refused_files_back() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.png"), "no image").unwrap();
    png(&folder.path().join("whole.png"), 8, 8, |x, y| (x * y) as u8);
    std::fs::write(folder.path().join("manifest.csv"), "file,modality\nbroken.png,XR\nwhole.png,XR\n").unwrap();
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, &[folder.path()]).await.unwrap();
    let manifest = Manifest::load(&store, &corpus(), None).await.unwrap();
    let refused = crate::quarantine::read(&store, &manifest).await.unwrap();
    assert!(!refused[0].file.contains("broken"));
    let names = |key: &PseudonymKey| names_by_alias(&spec(&[folder.path()]).inputs, key).unwrap();
    assert_eq!(names(&options(1).pseudonym_key)[&refused[0].file], "broken.png");
    assert!(!names(&PseudonymKey::from_secret("another")).contains_key(&refused[0].file));
}

#[tokio::test]
async fn the_same_files_in_a_folder_and_in_any_archive_give_the_same_bytes() {
    use crate::archive::testing::{files_below, gzip, tar, zip, zstd};
    let (folder, content) = (tempfile::tempdir().unwrap(), files_below(phantom_folder()));
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, &[phantom_folder()]).await.unwrap();
    let expected = corpus_contents(&store).await;
    let tarred = tar(&content);
    for (ending, bytes) in
        [("zip", zip(&content)), ("tar.gz", gzip(&tarred)), ("tar.zst", zstd(&tarred)), ("tar", tarred.clone())]
    {
        let path = folder.path().join(format!("{}.{ending}", source()));
        std::fs::write(&path, bytes).unwrap();
        for threads in [1, 3] {
            let store = Store::open("memory://").unwrap();
            ingest(&store, &spec(&[&path]), &options(threads), |_| {}, &CancellationToken::new()).await.unwrap();
            assert!(corpus_contents(&store).await == expected, "{ending} with {threads} threads");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_in_an_archive_is_quarantined_and_the_rest_goes_on() {
    use crate::archive::testing::{files, tar};
    let folder = tempfile::tempdir().unwrap();
    png(&folder.path().join("a.png"), 20, 20, |x, y| (x * y) as u8);
    let image = std::fs::read(folder.path().join("a.png")).unwrap();
    std::fs::remove_file(folder.path().join("a.png")).unwrap();
    let whole = tar(&files(&[("us/a.png", &image), ("us/b.zip", b"x"), ("us/JANE_DOE.png", &image)]));
    // Behind the headers of the last member and part of its content.
    let cut = whole.len() - 1024 - image.len().next_multiple_of(512) + 20;
    std::fs::write(folder.path().join("set.tar"), &whole[..cut]).unwrap();
    let store = Store::open("memory://").unwrap();
    let summary = ingest_all(&store, &[folder.path()]).await.unwrap();
    assert_eq!(summary.total_frames(), 1);
    let expected = [("archive_cut", 1), ("archive_nested", 1), ("member_truncated", 1)];
    assert_eq!(summary.quarantined, codes(expected));
    let list = texts(store.get(&summary.quarantine.unwrap()).await.unwrap(), "file").join(" ");
    assert!(!list.contains("JANE") && !list.contains("set"), "{list}");
}
