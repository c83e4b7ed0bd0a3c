//! The wire of vismae: the `vismae.v1` protocol, its generated code, and the only conversions between it and the core.
//!
//! prost types stop here: everything behind the door works with `vismae-core`. Beside the protocol stand what both of its
//! ends share: [`client`] and [`status`] for gRPC, [`frames`] for the pipe between an agent and its tasks, and [`admin`],
//! what every process serves over plain HTTP.
#![forbid(unsafe_code)]

pub mod admin;
pub mod client;
pub mod convert;
pub mod frames;
pub mod status;

/// Generated from `proto/vismae/v1`; documented there.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("vismae.v1");
}

/// Generated from `proto/vismae/state/v1`, what a coordinator keeps of its state; documented there.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod state {
    tonic::include_proto!("vismae.state.v1");
}

/// The protocol describing itself, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("vismae.v1");
