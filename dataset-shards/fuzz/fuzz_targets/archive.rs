//! No bytes taken for an archive end the process, take it beyond the memory limit or hold it up. The first byte chooses the kind.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vismae_shards::ingest::{PseudonymKey, names_by_alias};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(["a.zip", "a.tar", "a.tar.gz", "a.tar.zst"][usize::from(kind % 4)]);
    std::fs::write(&path, bytes).expect("room in it");
    let _ = names_by_alias(&[path.to_string_lossy().into_owned()], &PseudonymKey::from_secret("fuzz"));
});
