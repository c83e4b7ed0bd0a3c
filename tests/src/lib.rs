//! What tests that need more than one crate, or a file outside all of them, have in common.

#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "whatever goes wrong here ends a test")]
#![expect(clippy::print_stderr, reason = "a test that is left out says so")]

pub mod chaos;
pub mod clients;
pub mod cluster;
pub mod deploy;
pub mod disk;
pub mod faults;
pub mod freeze;
pub mod proxy;
