//! Ingests that show CT through several windows.

use vismae_core::spec::Window;

use super::*;

/// Whose each row is, and its image.
fn companions(parquet: &Bytes) -> Vec<[String; 2]> {
    let [groups, ids] = ["group_id", "sample_id"].map(|column| texts(parquet.clone(), column));
    groups.into_iter().zip(ids).map(|(group, id)| [group, id]).collect()
}

async fn ingest_with_windows(store: &Store, windows: &[[f64; 2]]) -> IngestSummary {
    let ct_windows = windows.iter().map(|&[low, high]| Window { low, high }).collect();
    let spec = IngestSpec { ct_windows, ..spec(&[phantom_folder()]) };
    ingest(store, &spec, &options(2), |_| {}, &CancellationToken::new()).await.unwrap()
}

fn frames_of(summary: &IngestSummary, modality: Modality) -> u64 {
    summary.frames.iter().filter(|((found, _), _)| *found == modality).map(|(_, frames)| frames).sum()
}

#[tokio::test]
async fn two_ct_windows_give_two_frames_of_one_patient_and_touch_no_other_modality() {
    let (one, two) = (Store::open("memory://").unwrap(), Store::open("memory://").unwrap());
    let single = ingest_with_windows(&one, &[[-1000.0, 1000.0]]).await;
    let double = ingest_with_windows(&two, &[[-1000.0, 1000.0], [-160.0, 240.0]]).await;
    assert_eq!(frames_of(&double, Modality::Ct), 2 * frames_of(&single, Modality::Ct));
    let manifest = Manifest::load(&two, &corpus(), None).await.unwrap();
    assert_eq!(manifest.recipe.ct_windows, [[-1000.0, 1000.0], [-160.0, 240.0]]);
    let singles = Manifest::load(&one, &corpus(), None).await.unwrap();
    for (single, double) in singles.shards.iter().zip(&manifest.shards) {
        if single.modality != Modality::Ct {
            assert_eq!(single, double);
            continue;
        }
        let single = companions(&one.get(&single.path).await.unwrap());
        let double = companions(&two.get(&double.path).await.unwrap());
        let firsts: Vec<_> = double.iter().step_by(2).cloned().collect();
        assert_eq!(single, firsts, "the first window gives what it gives alone");
        assert!(double.chunks(2).all(|pair| pair[0][0] == pair[1][0] && pair[0][1] != pair[1][1]));
    }
    assert!(!ingest_with_windows(&two, &[[-1000.0, 1000.0], [-160.0, 240.0]]).await.committed);
    assert!(ingest_with_windows(&two, &[[-160.0, 240.0], [-1000.0, 1000.0]]).await.committed);
}

#[tokio::test]
async fn windows_that_come_to_the_same_levels_are_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("ct/dense")).unwrap();
    // Air and metal, which every window shows black and white.
    let deep = image::ImageBuffer::from_fn(32, 32, |x, _| image::Luma([if x < 9 { 0_u16 } else { 60_000 }]));
    deep.save(folder.path().join("ct/dense/a.png")).unwrap();
    let ct_windows = [[1.0, 80.0], [100.0, 2000.0]].map(|[low, high]| Window { low, high }).to_vec();
    let spec = IngestSpec { ct_windows, ..spec(&[folder.path()]) };
    let store = Store::open("memory://").unwrap();
    let summary = ingest(&store, &spec, &options(2), |_| {}, &CancellationToken::new()).await.unwrap();
    assert_eq!((summary.total_frames(), summary.labels, summary.duplicates), (1, 1, 1));
}
