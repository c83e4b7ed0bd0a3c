//! No bytes end the process, take it beyond the memory limit or hold it up.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use vismae_shards::decode::decode_bytes;

fuzz_target!(|bytes: &[u8]| {
    let _ = decode_bytes(Path::new("a.png"), bytes);
});
