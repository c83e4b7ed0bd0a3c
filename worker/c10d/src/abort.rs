//! Leaving a collective that will never end.

use crate::ffi;
use crate::links::Links;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// Aborts the collectives of a [`ProcessGroup`](crate::ProcessGroup) from any thread.
///
/// A stopped or partitioned peer is silent, and the thread that waits for it can't help itself. Another thread holds
/// this handle and calls [`AbortHandle::abort`]; the waiting call then returns an error, as do all later ones, here and
/// on the peers that can still be reached. Once the group is dropped the handle does nothing.
#[derive(Debug, Clone)]
pub struct AbortHandle(Arc<Mutex<Option<Cut>>>);

#[derive(Debug)]
enum Cut {
    Gloo(Links),
    Nccl(SharedGroup),
}

impl AbortHandle {
    pub(crate) fn gloo(links: Links) -> Self {
        AbortHandle(Arc::new(Mutex::new(Some(Cut::Gloo(links)))))
    }

    /// A handle that ends nothing.
    pub(crate) fn idle() -> Self {
        AbortHandle(Arc::new(Mutex::new(None)))
    }

    pub(crate) fn nccl(group: SharedGroup) -> Self {
        AbortHandle(Arc::new(Mutex::new(Some(Cut::Nccl(group)))))
    }

    /// Ends every collective of the group with an error, at once.
    pub fn abort(&self) {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Cut::Gloo(links)) => links.cut(),
            Some(Cut::Nccl(group)) => group.abort(),
            None => {}
        }
    }

    /// How many connections an abort would cut; none for NCCL, which has an abort of its own.
    pub fn links(&self) -> usize {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Cut::Gloo(links)) => links.len(),
            Some(Cut::Nccl(_)) | None => 0,
        }
    }

    /// Lets go of the group, whose owner is about to drop it.
    pub(crate) fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A second reference to a group, used for nothing but its abort.
#[derive(Debug)]
pub(crate) struct SharedGroup(NonNull<ffi::Group>);

// SAFETY: the reference count is atomic, and `ProcessGroupNCCL::abort` is made to be called from a thread other than the
// one that waits in a collective. No other method is called through this reference.
unsafe impl Send for SharedGroup {}

impl SharedGroup {
    /// Shares `group`; none when memory is exhausted.
    ///
    /// # Safety
    ///
    /// `group` is a live handle of the shim.
    pub(crate) unsafe fn new(group: NonNull<ffi::Group>) -> Option<Self> {
        // SAFETY: the caller says that the handle is alive.
        NonNull::new(unsafe { ffi::vismae_group_share(group.as_ptr()) }).map(SharedGroup)
    }

    fn abort(&self) {
        // SAFETY: the handle is alive until this value is dropped. A group that fails to abort has failed already, and
        // the waiting call reports why.
        drop(unsafe { ffi::check(ffi::vismae_group_abort(self.0.as_ptr())) });
    }
}

impl Drop for SharedGroup {
    fn drop(&mut self) {
        // SAFETY: the handle came from the shim and is freed only here.
        unsafe { ffi::vismae_group_free(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_may_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<AbortHandle>();
    }
}
