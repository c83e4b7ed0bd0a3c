//! Reading a corpus: which rows of which row groups, and the batches of them.
//!
//! A [`Dataset`] is an index of matching rows; a [`Loader`] reads ahead on a thread of its own and hands out [`Batch`]es in
//! the order of a [`Plan`](crate::order::Plan), or front to back.

mod batch;
mod cache;
mod dataset;
mod error;
mod fraction;
mod group;
mod index;
mod prefetch;
mod shard;

pub use batch::Batch;
pub use dataset::{Dataset, Needs, Origins};
pub use error::{LoadError, OpenDatasetError};
pub use prefetch::{Loader, LoaderOptions, Start};

#[cfg(test)]
mod tests;
