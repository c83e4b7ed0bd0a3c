//! Ingests that have little memory.

use super::*;

/// A NIfTI volume of 16-bit numbers, of which `salt` decides the content.
fn volume(path: &Path, side: u16, salt: usize) {
    let mut bytes = vec![0; 352];
    bytes[..4].copy_from_slice(&348i32.to_le_bytes());
    let words = [(40, 3), (42, side), (44, side), (46, side), (70, 4), (72, 16)];
    words.into_iter().for_each(|(at, word)| bytes[at..at + 2].copy_from_slice(&word.to_le_bytes()));
    bytes[108..112].copy_from_slice(&352f32.to_le_bytes());
    bytes[344..348].copy_from_slice(b"n+1\0");
    let voxels = usize::from(side).pow(3);
    bytes.extend((0..voxels).flat_map(|at| ((at * (salt + 3)) as i16).to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn memory_refuses_the_same_files_with_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("mr")).unwrap();
    // Of 128 cubed voxels: 8 MiB each, three of which do not fit at a time. The large one does not fit at all.
    for at in 0..6 {
        volume(&folder.path().join(format!("mr/{at}.nii")), 128, at);
    }
    volume(&folder.path().join("mr/large.nii"), 200, 0);
    let run = async |threads, memory| {
        let store = Store::open("memory://").unwrap();
        let options = IngestOptions { memory, ..options(threads) };
        let summary =
            ingest(&store, &spec(&[folder.path()]), &options, |_| {}, &CancellationToken::new()).await.unwrap();
        (summary.quarantined, contents(&store).await)
    };
    let (refused, bytes) = run(1, 20 << 20).await;
    assert_eq!(refused, codes([("too_large", 1)]));
    assert!(run(4, 20 << 20).await == (refused, bytes));
    assert!(run(4, 1 << 30).await.0.is_empty());
}
