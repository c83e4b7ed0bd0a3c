//! How far a backward pass is.

use crate::ffi;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// Tells whether a rank still computes in a backward pass of a [`Reducer`](crate::Reducer), or waits for the others.
///
/// Gradients travel while the pass goes on, and it returns when all are averaged: from outside, a rank that is slow and one that waits
/// for it look the same. Any thread may ask, at any time; it costs nothing. On a GPU a rank has computed what is queued there.
#[derive(Debug, Clone)]
pub struct BackwardWatch(Option<Arc<Handle>>);

#[derive(Debug)]
struct Handle(NonNull<ffi::Backward>);

// SAFETY: what lies behind the handle are two atomic numbers, which are shared with the reducer by an atomic count.
unsafe impl Send for Handle {}
// SAFETY: as above; asking changes nothing.
unsafe impl Sync for Handle {}

impl BackwardWatch {
    /// Takes over a handle of the shim; one that is absent, as when memory is exhausted, never says anything.
    ///
    /// # Safety
    ///
    /// `handle` is null, or came from the shim and belongs to nobody else.
    pub(crate) unsafe fn new(handle: *mut ffi::Backward) -> Self {
        BackwardWatch(NonNull::new(handle).map(|handle| Arc::new(Handle(handle))))
    }

    /// For how long this rank has had all of its gradients in the backward pass; none before, and while it computes them.
    pub fn waiting(&self) -> Option<Duration> {
        let handle = self.0.as_ref()?;
        // SAFETY: the handle is alive until it is dropped.
        let nanoseconds = unsafe { ffi::vismae_backward_waiting_ns(handle.0.as_ptr()) };
        u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle came from the shim and is freed only here.
        unsafe { ffi::vismae_backward_free(self.0.as_ptr()) }
    }
}
