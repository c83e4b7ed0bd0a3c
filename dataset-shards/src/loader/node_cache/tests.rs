//! Caches on temporary folders.

use std::sync::Barrier;

use super::*;

const ENTRY_BYTES: u64 = 1000;

/// Contents of an entry, each another.
fn contents(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; ENTRY_BYTES as usize];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn put(cache: &NodeCache, number: u64) -> ContentHash {
    let bytes = contents(number);
    let hash = ContentHash::of(&bytes);
    cache.put(hash, &bytes);
    hash
}

/// Bytes of all files but the lock.
fn used(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(|found| found.unwrap().path());
    files.filter(|path| !path.ends_with(LOCK)).filter_map(|path| path.metadata().ok()).map(|found| found.len()).sum()
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn what_was_put_is_there_for_every_reader_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let one = NodeCache::open(folder.path(), 10 * ENTRY_BYTES).unwrap();
    let hash = put(&one, 1);
    let other = NodeCache::open(folder.path(), 10 * ENTRY_BYTES).unwrap();
    assert_eq!(other.get(hash).unwrap(), contents(1));
    assert_eq!(other.get(ContentHash::of(b"never put")), None);
    put(&other, 1);
    assert_eq!(used(folder.path()), ENTRY_BYTES);
}

#[test]
fn the_least_recently_read_leave_a_full_cache_first() {
    let folder = tempfile::tempdir().unwrap();
    let cache = NodeCache::open(folder.path(), 10 * ENTRY_BYTES).unwrap();
    let hashes: Vec<ContentHash> = (0..10).map(|number| put(&cache, number)).collect();
    // Times as a slow reader would leave them.
    for (hash, age) in hashes.iter().zip((1..=10).rev()) {
        let read = SystemTime::now() - std::time::Duration::from_secs(age * 60);
        File::open(cache.0.entry(*hash)).unwrap().set_modified(read).unwrap();
    }
    assert!(cache.get(hashes[0]).is_some());
    let new = put(&cache, 10);
    let left: Vec<bool> = hashes.iter().map(|&hash| cache.get(hash).is_some()).collect();
    assert_eq!(left, [true, false, true, true, true, true, true, true, true, true]);
    assert!(cache.get(new).is_some());
    assert_eq!(used(folder.path()), 10 * ENTRY_BYTES);
}

#[test]
fn many_readers_at_once_never_pass_the_cap_and_never_get_other_bytes() {
    const READERS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let cap = 5 * ENTRY_BYTES + 1;
    let start = Barrier::new(READERS);
    let most = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS as u64)
            .map(|reader| {
                let (folder, start) = (folder.path(), &start);
                scope.spawn(move || {
                    // A cache of its own, as another process has.
                    let cache = NodeCache::open(folder, cap).unwrap();
                    start.wait();
                    let mut most = 0;
                    for at in 0..200 {
                        let number = (at * (reader + 1)) % 23;
                        let hash = ContentHash::of(&contents(number));
                        match cache.get(hash) {
                            Some(bytes) => assert_eq!(bytes, contents(number)),
                            None => cache.put(hash, &contents(number)),
                        }
                        // Nothing comes or goes while the sum is taken.
                        let _ledger = Ledger::lock(folder).unwrap();
                        most = most.max(used(folder));
                    }
                    assert!(!cache.0.given_up.load(Ordering::Relaxed));
                    most
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).max().unwrap()
    });
    assert!(most > 0 && most <= cap, "{most}");
}

#[test]
fn a_damaged_or_cut_entry_is_removed_and_kept_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = NodeCache::open(folder.path(), 10 * ENTRY_BYTES).unwrap();
    let hash = put(&cache, 1);
    let mut damaged = contents(1);
    damaged[500] ^= 1;
    for bytes in [&damaged[..], &contents(1)[..300], &[]] {
        std::fs::write(cache.0.entry(hash), bytes).unwrap();
        assert_eq!(cache.get(hash), None);
        assert!(!cache.0.entry(hash).exists());
        put(&cache, 1);
        assert_eq!(cache.get(hash).unwrap(), contents(1));
    }
}

#[test]
fn what_a_killed_writer_left_is_never_served_and_soon_removed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = NodeCache::open(folder.path(), 10 * ENTRY_BYTES).unwrap();
    let hash = ContentHash::of(&contents(1));
    let writing = cache.0.reserve(&cache.0.entry(hash), ENTRY_BYTES).unwrap().unwrap();
    assert_eq!(cache.get(hash), None);
    // Its writer lives: another reader that clears the folder leaves it alone.
    let other = NodeCache::open(folder.path(), 10 * ENTRY_BYTES).unwrap();
    assert_eq!((used(folder.path()), files(folder.path())), (ENTRY_BYTES, 2));
    // Killed: the lock is gone, the file is not.
    let (file, path) = writing.keep().unwrap();
    drop(file);
    assert!(path.exists());
    assert_eq!(other.get(hash), None);
    NodeCache::open(folder.path(), 10 * ENTRY_BYTES).unwrap();
    assert!(!path.exists());
    assert_eq!(used(folder.path()), 0);
}

#[test]
fn a_folder_that_goes_away_ends_the_keeping_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let cache = NodeCache::open(folder.path(), 10 * ENTRY_BYTES).unwrap();
    folder.close().unwrap();
    let hash = put(&cache, 1);
    assert!(cache.0.given_up.load(Ordering::Relaxed));
    assert_eq!(cache.get(hash), None);
}

#[test]
fn a_path_that_is_no_folder_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = NodeCache::open(file.path(), 1).unwrap_err();
    assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
}

#[test]
fn what_is_larger_than_the_cap_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = NodeCache::open(folder.path(), ENTRY_BYTES - 1).unwrap();
    let hash = put(&cache, 1);
    assert_eq!((cache.get(hash), used(folder.path())), (None, 0));
}
