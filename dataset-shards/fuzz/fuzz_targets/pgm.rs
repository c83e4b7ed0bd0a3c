//! What decodes as a frame encodes to the same frame again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vismae_shards::frame::pgm;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = pgm::decode(bytes) {
        assert!(pgm::decode(&pgm::encode(&frame)).is_ok_and(|again| again == frame));
    }
});
