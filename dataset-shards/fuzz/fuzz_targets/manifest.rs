//! What reads as a manifest is written and read as the same manifest again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vismae_shards::manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) {
        let text = serde_json::to_vec(&manifest).expect("a manifest is written");
        let again: Manifest = serde_json::from_slice(&text).expect("what was written is read");
        // A number that is none is not equal to itself.
        assert_eq!(format!("{manifest:?}"), format!("{again:?}"));
    }
});
