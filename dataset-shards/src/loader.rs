//! Reading a corpus: which rows of which row groups, and the batches of them.
//!
//! A [`Dataset`] is an index of matching rows; a [`Loader`] reads ahead, within a bound of bytes, and hands out [`Batch`]es in the
//! order of a [`Plan`](crate::order::Plan), or front to back.
//!
//! The manifest says where each row group lies and what hash it has. So one ranged read brings it, nothing is decoded that was
//! not written so, and what comes damaged or broken off is asked for again. Its pages are decompressed on threads of their own,
//! and its pixels copied once, from the page to their place in a batch. [`NodeCache`] keeps row groups on a disk of the machine.

mod batch;
mod columns;
mod dataset;
mod error;
mod fraction;
mod group;
mod index;
mod located;
mod node_cache;
mod prefetch;
mod producer;
mod ranged;
mod row_set;
mod schedule;
mod source;

pub use batch::Batch;
pub use dataset::{Dataset, Needs, Origins};
pub use error::{LoadError, OpenDatasetError};
pub use node_cache::{NodeCache, OpenCacheError};
pub use prefetch::{Loader, LoaderOptions, Start};

#[cfg(test)]
mod tests;
