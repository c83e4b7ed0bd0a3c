//! Averaging gradients over ranks while the backward pass runs.

use crate::ffi::{self, Pointers};
use crate::{AbortHandle, BackwardWatch, Collective, Membership, ProcessGroup, TensorListError, zero_grad};
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};
use tch::Tensor;

/// Why gradients could not be averaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReducerError {
    /// A parameter takes no gradient.
    #[error("parameter `{index}` of `{count}` takes no gradient: pass the trainable parameters only")]
    Frozen {
        /// Its place in the list.
        index: usize,
        /// How many parameters were given.
        count: usize,
    },
    /// There is nothing to average.
    #[error("no parameters were given: expected at least one that takes a gradient")]
    Empty,
    /// The parameters could not be put into buckets, most often because the ranks' parameters differ.
    #[error("cannot set up gradient buckets: {reason}")]
    Setup {
        /// What libtorch said.
        reason: String,
    },
    /// A peer is gone, or the group was aborted. Reducer and group can't be used again.
    #[error("the backward pass failed on {membership}: {reason}")]
    Backward {
        /// Who was computing.
        membership: Membership,
        /// What libtorch said.
        reason: String,
    },
}

/// The gradient reducer under DistributedDataParallel.
///
/// After [`Reducer::backward`] every gradient is the **mean** over ranks: the sum divided by the world size. Where ranks
/// hold different numbers of samples, scale each rank's loss by `world_size × own samples / all samples`.
///
/// Gradients are views of communication buckets. Zero them with [`Reducer::zero_grad`], never by dropping them. Each
/// backward pass must reach every parameter. Drop the reducer before its group.
#[derive(Debug)]
pub struct Reducer {
    handle: NonNull<ffi::Reducer>,
    parameters: Vec<Tensor>,
    membership: Membership,
    abort: AbortHandle,
}

// SAFETY: libtorch's reducer is bound to no thread and locks its own state; the tensors are reference-counted atomically.
unsafe impl Send for Reducer {}

impl Reducer {
    /// Buckets `parameters`, which must be the same in the same order on every rank, and hooks into their gradients.
    ///
    /// `bucket_bytes` is how much gradient travels in one all-reduce; 25 MiB is what torchrun's users have.
    ///
    /// # Errors
    ///
    /// [`ReducerError::Empty`], [`ReducerError::Frozen`] or [`ReducerError::Setup`].
    pub fn new(parameters: &[Tensor], group: &ProcessGroup, bucket_bytes: NonZeroUsize) -> Result<Self, ReducerError> {
        let count = parameters.len();
        if count == 0 {
            return Err(ReducerError::Empty);
        }
        if let Some(index) = parameters.iter().position(|parameter| !parameter.requires_grad()) {
            return Err(ReducerError::Frozen { index, count });
        }
        let mut reducer = ptr::null_mut();
        // SAFETY: the group is alive, the tensors outlive the call, and `reducer` is written only on success.
        unsafe {
            ffi::check(ffi::vismae_reducer_new(
                group.as_ptr(),
                Pointers::new(parameters).list(),
                bucket_bytes.get(),
                &raw mut reducer,
            ))
        }
        .and_then(|()| NonNull::new(reducer).ok_or_else(|| "no reducer was made".to_owned()))
        .map(|handle| Reducer {
            handle,
            parameters: parameters.iter().map(Tensor::shallow_clone).collect(),
            membership: group.membership(),
            abort: group.abort_handle(),
        })
        .map_err(|reason| ReducerError::Setup { reason })
    }

    /// Runs the backward pass of `loss`, and returns when every gradient is averaged.
    ///
    /// Gradients add up: zero them before, unless accumulation is meant.
    ///
    /// # Errors
    ///
    /// [`ReducerError::Backward`] when a peer is gone or the group was aborted; the links of the group are then cut.
    pub fn backward(&self, loss: &Tensor) -> Result<(), ReducerError> {
        self.prepare_for_backward(loss)?;
        loss.f_backward().map_err(|error| self.failed(error.to_string()))
    }

    /// Makes ready for a backward pass that the caller runs with [`Tensor::f_backward`]; [`Reducer::backward`] is both.
    ///
    /// # Errors
    ///
    /// [`ReducerError::Backward`] when the previous pass did not reach every parameter.
    pub fn prepare_for_backward(&self, loss: &Tensor) -> Result<(), ReducerError> {
        // SAFETY: the reducer is alive, and the tensor outlives the call.
        unsafe { ffi::check(ffi::vismae_reducer_prepare(self.handle.as_ptr(), ffi::pointer(loss))) }
            .map_err(|reason| self.failed(reason))
    }

    /// Tells, on any thread, whether this rank still computes in the next backward pass, or is to begin it, or waits for the others.
    pub fn watch(&self) -> BackwardWatch {
        // SAFETY: the reducer is alive, and the handle is a new one.
        unsafe { BackwardWatch::new(ffi::vismae_reducer_backward(self.handle.as_ptr())) }
    }

    /// Sets every gradient to zero in place.
    ///
    /// # Errors
    ///
    /// As [`zero_grad`].
    pub fn zero_grad(&self) -> Result<(), TensorListError> {
        zero_grad(&self.parameters)
    }

    fn failed(&self, reason: String) -> ReducerError {
        self.abort.abort();
        ReducerError::Backward { membership: self.membership, reason }
    }
}

impl Drop for Reducer {
    fn drop(&mut self) {
        // SAFETY: the handle came from the shim and is freed only here.
        unsafe { ffi::vismae_reducer_free(self.handle.as_ptr()) }
    }
}
