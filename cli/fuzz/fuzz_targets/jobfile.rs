//! A job file is refused with at least one fault named, or becomes a pipeline that the coordinator takes as it is.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use vismae_cli::jobfile::{Overrides, parse};
use vismae_proto::convert::{checked_pipeline_from_wire, pipeline_to_wire};

fuzz_target!(|text: &str| {
    match parse(text, Path::new("/jobs"), &Overrides::default()) {
        Ok(spec) => assert_eq!(checked_pipeline_from_wire(&pipeline_to_wire(&spec)), Ok(spec)),
        Err(faults) => assert!(!faults.is_empty()),
    }
});
