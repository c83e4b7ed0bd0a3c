//! What tests that need more than one crate, or a file outside all of them, have in common.

#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "whatever goes wrong here ends a test")]

pub mod clients;
pub mod cluster;
pub mod deploy;
