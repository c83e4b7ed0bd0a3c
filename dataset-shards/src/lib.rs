//! From medical image files to training batches: files -> frames -> Parquet shards -> manifest -> order -> batches.
//!
//! This crate owns everything about a corpus, on the writing side ([`ingest`](mod@ingest), [`phantom`]) and on the
//! reading side ([`loader`]), and the layout of what a run leaves behind ([`runs`]). It knows neither the wire nor
//! libtorch: a [`loader::Batch`] is bytes.
//!
//! Main types: [`store::Store`] (where everything lies), [`manifest::Manifest`] (one committed corpus version),
//! [`order::Plan`] (which sample is seen when, whatever the number of ranks) and [`loader::Loader`] (the batches of it).
#![forbid(unsafe_code)]

pub mod archive;
pub mod decode;
#[cfg(test)]
mod fixture;
pub mod frame;
pub mod ingest;
pub mod loader;
pub mod manifest;
mod memory;
pub mod normalise;
pub mod order;
pub mod phantom;
mod place;
pub mod quarantine;
pub mod runs;
pub mod sample;
pub mod schema;
pub mod split;
pub mod store;
pub mod verify;
