//! A group of ranks over libtorch's Gloo or NCCL.

use crate::abort::SharedGroup;
use crate::collective::{check_layout, check_root};
use crate::ffi;
use crate::links::Snapshot;
use crate::store::Store;
use crate::{AbortHandle, Backend, Collective, CollectiveError, GlooDevice, GroupOptions, Membership, ReduceOp};
use std::io;
use std::ptr::{self, NonNull};
use tch::Tensor;

/// Why a group could not be formed.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// This build has no NCCL.
    #[error("this build has no NCCL: build against a libtorch with CUDA, or use Gloo")]
    NcclNotBuilt,
    /// The CUDA device does not exist.
    #[error("CUDA device `{device}` does not exist: `{found}` devices are visible; name one of them, or use Gloo")]
    NoDevice {
        /// The device that was asked for.
        device: usize,
        /// How many there are.
        found: usize,
    },
    /// The sockets of this process could not be listed, so the group could not be aborted later.
    #[error("cannot list the sockets of this process in `/proc/self/fd`")]
    Sockets(#[source] io::Error),
    /// Not every rank came in time, or the network refused.
    #[error("{membership} could not join its group: {reason}")]
    Join {
        /// Who tried to join.
        membership: Membership,
        /// What the backend said.
        reason: String,
    },
}

/// A group of ranks that compute together. It may be moved to another thread but not shared, since every rank must
/// issue the same calls in the same order.
///
/// Form one group at a time in a process: the connections that an abort cuts are found by what construction opened.
/// A failed collective cuts the links of its group, so that peers that still wait learn of it at once.
///
/// ```compile_fail
/// fn needs_sync<T: Sync>() {}
/// needs_sync::<vismae_c10d::ProcessGroup>();
/// ```
#[derive(Debug)]
pub struct ProcessGroup {
    handle: NonNull<ffi::Group>,
    membership: Membership,
    abort: AbortHandle,
}

// SAFETY: a backend is bound to no thread, its reference count is atomic, and `&mut`-free sharing between threads is
// ruled out because the type is not `Sync`.
unsafe impl Send for ProcessGroup {}

impl ProcessGroup {
    /// Joins the group that meets in `store`, and waits until every rank has joined. The prefix of the store must be
    /// new to this group.
    ///
    /// # Errors
    ///
    /// [`GroupError`]: the backend is not there, or not every rank came within the join timeout.
    pub fn new(store: &Store, membership: Membership, options: &GroupOptions) -> Result<Self, GroupError> {
        match &options.backend {
            Backend::Gloo(device) => Self::gloo(store, membership, device, options),
            Backend::Nccl { device } => Self::nccl(store, membership, *device, options),
        }
    }

    fn gloo(
        store: &Store,
        membership: Membership,
        device: &GlooDevice,
        options: &GroupOptions,
    ) -> Result<Self, GroupError> {
        let (host, interface) = match device {
            GlooDevice::Address(address) => (address.to_string(), String::new()),
            GlooDevice::Interface(name) => (String::new(), name.clone()),
        };
        let numbers = numbers(membership, options);
        let before = Snapshot::take().map_err(GroupError::Sockets)?;
        let mut group = ptr::null_mut();
        // SAFETY: the store is alive, options and strings outlive the call, and `group` is written only on success.
        let joined = unsafe {
            ffi::check(ffi::vismae_group_gloo(
                store.as_ptr(),
                &raw const numbers,
                host.as_str().into(),
                interface.as_str().into(),
                &raw mut group,
            ))
        };
        let handle = adopt(joined, group, membership)?;
        let links = match before.opened_since(store.port()) {
            Ok(links) => links,
            Err(error) => {
                // SAFETY: the handle was just made and belongs to nobody else.
                unsafe { ffi::vismae_group_free(handle.as_ptr()) };
                return Err(GroupError::Sockets(error));
            }
        };
        Ok(ProcessGroup { handle, membership, abort: AbortHandle::gloo(links) })
    }

    #[cfg(nccl)]
    fn nccl(store: &Store, membership: Membership, device: usize, options: &GroupOptions) -> Result<Self, GroupError> {
        let found = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
        let number = i32::try_from(device).ok().filter(|_| device < found);
        let number = number.ok_or(GroupError::NoDevice { device, found })?;
        let numbers = numbers(membership, options);
        let mut group = ptr::null_mut();
        // SAFETY: the store is alive, the options outlive the call, and `group` is written only on success.
        let joined =
            unsafe { ffi::check(ffi::vismae_group_nccl(store.as_ptr(), &raw const numbers, number, &raw mut group)) };
        let handle = adopt(joined, group, membership)?;
        // SAFETY: the handle was just made.
        let Some(shared) = (unsafe { SharedGroup::new(handle) }) else {
            // SAFETY: the handle was just made and belongs to nobody else.
            unsafe { ffi::vismae_group_free(handle.as_ptr()) };
            return Err(GroupError::Join { membership, reason: "out of memory".to_owned() });
        };
        Ok(ProcessGroup { handle, membership, abort: AbortHandle::nccl(shared) })
    }

    #[cfg(not(nccl))]
    fn nccl(_: &Store, _: Membership, _: usize, _: &GroupOptions) -> Result<Self, GroupError> {
        Err(GroupError::NcclNotBuilt)
    }

    /// What another thread needs to end this group's collectives.
    pub fn abort_handle(&self) -> AbortHandle {
        self.abort.clone()
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::Group {
        self.handle.as_ptr()
    }

    fn finish(&self, operation: &'static str, result: Result<(), String>) -> Result<(), CollectiveError> {
        result.map_err(|reason| {
            self.abort.abort();
            CollectiveError::Failed { operation, membership: self.membership, reason }
        })
    }
}

impl Collective for ProcessGroup {
    fn membership(&self) -> Membership {
        self.membership
    }

    fn all_reduce(&self, tensor: &Tensor, operation: ReduceOp) -> Result<(), CollectiveError> {
        check_layout("all-reduce", tensor)?;
        // The numbers of `c10d::ReduceOp::RedOpType`.
        let number = match operation {
            ReduceOp::Sum => 0,
            ReduceOp::Product => 2,
            ReduceOp::Min => 3,
            ReduceOp::Max => 4,
        };
        // SAFETY: group and tensor are alive for the whole call, which waits for the work to end.
        let result = unsafe { ffi::check(ffi::vismae_group_all_reduce(self.as_ptr(), ffi::pointer(tensor), number)) };
        self.finish("all-reduce", result)
    }

    fn broadcast(&self, tensor: &Tensor, root: u32) -> Result<(), CollectiveError> {
        check_root(self.membership, root)?;
        check_layout("broadcast", tensor)?;
        // SAFETY: group and tensor are alive for the whole call, which waits for the work to end.
        let result =
            unsafe { ffi::check(ffi::vismae_group_broadcast(self.as_ptr(), ffi::pointer(tensor), root.cast_signed())) };
        self.finish("broadcast", result)
    }

    fn barrier(&self) -> Result<(), CollectiveError> {
        // SAFETY: the group is alive for the whole call, which waits for the work to end.
        let result = unsafe { ffi::check(ffi::vismae_group_barrier(self.as_ptr())) };
        self.finish("barrier", result)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.abort.release();
        // SAFETY: the handle came from the shim and is freed only here.
        unsafe { ffi::vismae_group_free(self.handle.as_ptr()) }
    }
}

fn numbers(membership: Membership, options: &GroupOptions) -> ffi::GroupOptions {
    ffi::GroupOptions {
        rank: membership.rank().cast_signed(),
        world_size: membership.world_size().cast_signed(),
        join_timeout_ms: ffi::milliseconds(options.join_timeout),
        collective_timeout_ms: ffi::milliseconds(options.collective_timeout),
    }
}

fn adopt(
    joined: Result<(), String>,
    group: *mut ffi::Group,
    membership: Membership,
) -> Result<NonNull<ffi::Group>, GroupError> {
    joined
        .and_then(|()| NonNull::new(group).ok_or_else(|| "no group was made".to_owned()))
        .map_err(|reason| GroupError::Join { membership, reason })
}
