//! libtorch's own distributed engine, and the few libtorch functions that `tch` lacks, behind a safe interface.
//!
//! The engine is the one under torchrun: a [`TcpStore`] through which ranks find each other, a [`ProcessGroup`] over
//! Gloo (CPU) or NCCL (GPU), and the [`Reducer`] that averages gradients while the backward pass still runs. No
//! collective is written here. [`Collective`] is the trait above it; [`SoloGroup`] implements it for a world of one.
//! [`FusedAdamW`], [`clip_grad_norm`] and [`allocator`] are what a training step needs besides.
//!
//! A program that links this crate starts with two settings of libtorch, unless the user has set them: no flight
//! recorder (`TORCH_FR_BUFFER_SIZE=0`), and no log of failures that are returned as errors anyway
//! (`TORCH_CPP_LOG_LEVEL` brings it back).
//!
//! The crate knows nothing of models, of async runtimes or of the wire between coordinator and workers. It is the only
//! crate of the workspace with unsafe code: every unsafe call goes to the C shim in `shim/`, which lets no exception out.

mod abort;
mod adamw;
pub mod allocator;
mod backend;
mod backward;
mod collective;
mod ffi;
mod gradients;
mod group;
mod links;
mod membership;
mod reducer;
mod solo;
mod store;
pub mod threads;

pub use abort::AbortHandle;
pub use adamw::{AdamWOptions, FusedAdamW};
pub use backend::{Backend, GlooDevice, GroupOptions, NCCL_ENVIRONMENT, nccl_available};
pub use backward::BackwardWatch;
pub use collective::{Collective, CollectiveError, ReduceOp};
pub use gradients::{TensorListError, clip_grad_norm, zero_grad};
pub use group::{GroupError, ProcessGroup};
pub use membership::{Membership, MembershipError};
pub use reducer::{Reducer, ReducerError};
pub use solo::SoloGroup;
pub use store::{Store, StoreError, TcpStore};
