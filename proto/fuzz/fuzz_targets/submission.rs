//! What a stranger submits is refused with at least one field named, or keeps every rule and is written and read as the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use vismae_proto::convert::{pipeline_from_wire, pipeline_to_wire, submission_from_wire};
use vismae_proto::{status, v1};

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = v1::SubmitPipelineRequest::decode(bytes) else { return };
    match submission_from_wire(&request) {
        Ok((spec, _)) => {
            assert_eq!(spec.validate(), Ok(()));
            assert_eq!(pipeline_from_wire(&pipeline_to_wire(&spec)), Ok(spec));
        }
        Err(violations) => {
            assert!(violations.iter().count() > 0);
            // It travels in a header.
            assert!(status::invalid(&violations).details().len() < 16 << 10);
        }
    }
});
