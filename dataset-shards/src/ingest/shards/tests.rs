//! Shards of made-up rows.

use vismae_core::spec::Modality;

use super::*;
use crate::frame::pgm;
use crate::sample::SampleId;
use crate::schema::shard_schema;

const SIDE: u32 = 256;

/// Rows of noise in two partitions, so that a row group of 256 is 16 MiB whatever the compression.
fn row(number: u32) -> FrameRow {
    let mut noise = blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof();
    let mut levels = vec![0; (SIDE * SIDE) as usize];
    noise.fill(&mut levels);
    let image = pgm::encode_gray8(SIDE, SIDE, &levels);
    FrameRow {
        sample_id: SampleId::of_pgm(&image),
        mask: number.is_multiple_of(3).then(|| pgm::encode_gray8(SIDE, SIDE, &vec![0; levels.len()])),
        image,
        modality: if number.is_multiple_of(10) { Modality::Mr } else { Modality::Ct },
        group_id: format!("g{}", number / 7),
        source: "noise".into(),
        side: SIDE,
        spacing_mm: None,
        split: Split::Train,
        label: None,
    }
}

async fn write(rows: u32, threads: usize) -> (Store, Vec<Shard>) {
    let store = Store::open("memory://").unwrap();
    let options =
        ShardWriterOptions { folder: "corpora/x".to_owned(), schema: shard_schema(&[]), image_size: SIDE, threads };
    let mut writer = ShardWriter::new(&store, options).unwrap();
    for number in 0..rows {
        writer.push(row(number)).await.unwrap();
    }
    let shards = writer.finish().await.unwrap();
    (store, shards)
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_threads_writes_the_same_shards_full_ones_first() {
    let (store, shards) = write(1400, 3).await;
    let groups: Vec<Vec<u32>> =
        shards.iter().map(|shard| shard.row_groups.iter().map(|group| group.rows).collect()).collect();
    assert_eq!(groups, [vec![256; 4], vec![236], vec![140]]);
    assert!(shards.iter().map(|shard| (shard.modality, &shard.path)).is_sorted());
    let (alone, again) = write(1400, 1).await;
    assert_eq!(shards, again);
    for shard in &shards {
        assert_eq!(store.get(&shard.path).await.unwrap(), alone.get(&shard.path).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hashes_of_a_row_group_are_those_of_the_bytes_it_names() {
    let (store, shards) = write(300, 2).await;
    for shard in shards {
        let file = store.get(&shard.path).await.unwrap();
        assert_eq!((file.len() as u64, ContentHash::of(&file)), (shard.bytes, shard.blake3));
        for group in shard.row_groups {
            let slice = |range: std::ops::Range<u64>| &file[range.start as usize..range.end as usize];
            assert_eq!(ContentHash::of(slice(group.range())), group.blake3);
            assert_eq!(ContentHash::of(slice(group.index_range())), group.index_blake3);
            assert!(group.index_range().start > group.offset);
        }
    }
}
