//! The C shim as Rust sees it: declarations that mirror `shim/vismae_c10d.h`, and the reading of its messages.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::time::Duration;
use tch::Tensor;

/// A `vismae_store` of the shim.
#[repr(C)]
pub(crate) struct Store {
    opaque: [u8; 0],
}

/// A `vismae_group` of the shim.
#[repr(C)]
pub(crate) struct Group {
    opaque: [u8; 0],
}

/// A `vismae_reducer` of the shim.
#[repr(C)]
pub(crate) struct Reducer {
    opaque: [u8; 0],
}

/// A `vismae_backward` of the shim.
#[repr(C)]
pub(crate) struct Backward {
    opaque: [u8; 0],
}

/// A borrowed string.
#[repr(C)]
pub(crate) struct Text<'a> {
    data: *const c_char,
    length: usize,
    borrowed: PhantomData<&'a str>,
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text { data: text.as_ptr().cast(), length: text.len(), borrowed: PhantomData }
    }
}

/// A borrowed list of `at::Tensor*`.
#[repr(C)]
pub(crate) struct TensorList<'a> {
    data: *const *const c_void,
    length: usize,
    borrowed: PhantomData<&'a [*const c_void]>,
}

/// The addresses of tensors, to be lent to a call as a [`TensorList`].
pub(crate) struct Pointers<'a> {
    pointers: Vec<*const c_void>,
    borrowed: PhantomData<&'a [Tensor]>,
}

impl<'a> Pointers<'a> {
    pub(crate) fn new(tensors: &'a [Tensor]) -> Self {
        Pointers { pointers: tensors.iter().map(pointer).collect(), borrowed: PhantomData }
    }

    pub(crate) fn list(&self) -> TensorList<'_> {
        TensorList { data: self.pointers.as_ptr(), length: self.pointers.len(), borrowed: PhantomData }
    }
}

/// Mirrors `vismae_group_options`.
#[repr(C)]
pub(crate) struct GroupOptions {
    pub(crate) rank: i32,
    pub(crate) world_size: i32,
    pub(crate) join_timeout_ms: i64,
    pub(crate) collective_timeout_ms: i64,
}

/// Mirrors `vismae_adamw_options`.
#[repr(C)]
pub(crate) struct AdamWOptions {
    pub(crate) learning_rate: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) weight_decay: f64,
    pub(crate) epsilon: f64,
}

unsafe extern "C" {
    fn vismae_message_free(message: *mut c_char);
    pub(crate) fn vismae_bytes_free(bytes: *mut u8);

    pub(crate) fn vismae_store_serve(
        listen_fd: c_int,
        host: Text<'_>,
        port: u16,
        timeout_ms: i64,
        out: *mut *mut Store,
    ) -> *mut c_char;
    pub(crate) fn vismae_store_connect(
        host: Text<'_>,
        port: u16,
        connect_ms: i64,
        wait_ms: i64,
        out: *mut *mut Store,
    ) -> *mut c_char;
    pub(crate) fn vismae_store_prefixed(store: *const Store, prefix: Text<'_>, out: *mut *mut Store) -> *mut c_char;
    pub(crate) fn vismae_store_set(store: *const Store, key: Text<'_>, bytes: *const u8, length: usize) -> *mut c_char;
    pub(crate) fn vismae_store_get(
        store: *const Store,
        key: Text<'_>,
        out: *mut *mut u8,
        out_length: *mut usize,
    ) -> *mut c_char;
    pub(crate) fn vismae_store_add(store: *const Store, key: Text<'_>, amount: i64, out: *mut i64) -> *mut c_char;
    pub(crate) fn vismae_store_wait(store: *const Store, key: Text<'_>, timeout_ms: i64) -> *mut c_char;
    pub(crate) fn vismae_store_free(store: *mut Store);

    pub(crate) fn vismae_group_gloo(
        store: *const Store,
        options: *const GroupOptions,
        host: Text<'_>,
        interface: Text<'_>,
        out: *mut *mut Group,
    ) -> *mut c_char;
    #[cfg(nccl)]
    pub(crate) fn vismae_group_nccl(
        store: *const Store,
        options: *const GroupOptions,
        device: i32,
        out: *mut *mut Group,
    ) -> *mut c_char;
    pub(crate) fn vismae_group_all_reduce(group: *const Group, tensor: *const c_void, operation: u8) -> *mut c_char;
    pub(crate) fn vismae_group_broadcast(group: *const Group, tensor: *const c_void, root: i32) -> *mut c_char;
    pub(crate) fn vismae_group_barrier(group: *const Group) -> *mut c_char;
    pub(crate) fn vismae_group_abort(group: *const Group) -> *mut c_char;
    pub(crate) fn vismae_group_share(group: *const Group) -> *mut Group;
    pub(crate) fn vismae_group_free(group: *mut Group);

    pub(crate) fn vismae_reducer_new(
        group: *const Group,
        parameters: TensorList<'_>,
        bucket_bytes: usize,
        out: *mut *mut Reducer,
    ) -> *mut c_char;
    pub(crate) fn vismae_reducer_prepare(reducer: *mut Reducer, loss: *const c_void) -> *mut c_char;
    pub(crate) fn vismae_reducer_free(reducer: *mut Reducer);
    pub(crate) fn vismae_reducer_backward(reducer: *const Reducer) -> *mut Backward;
    pub(crate) fn vismae_backward_waiting_ns(backward: *const Backward) -> i64;
    pub(crate) fn vismae_backward_free(backward: *mut Backward);

    pub(crate) fn vismae_fused_adamw(
        parameters: TensorList<'_>,
        gradients: TensorList<'_>,
        first_moments: TensorList<'_>,
        second_moments: TensorList<'_>,
        step: *const c_void,
        options: *const AdamWOptions,
    ) -> *mut c_char;
    pub(crate) fn vismae_norm(tensors: TensorList<'_>, out: *mut f64) -> *mut c_char;
    pub(crate) fn vismae_scale(tensors: TensorList<'_>, factor: f64) -> *mut c_char;
    pub(crate) fn vismae_zero(tensors: TensorList<'_>) -> *mut c_char;

    pub(crate) fn vismae_keep_memory() -> c_int;
}

/// The `at::Tensor*` behind a tensor.
pub(crate) fn pointer(tensor: &Tensor) -> *const c_void {
    tensor.as_ptr().cast()
}

/// Turns the answer of a call of the shim into a result, and frees the message.
///
/// # Safety
///
/// `message` is null, or was returned by a function of the shim and has not been freed.
pub(crate) unsafe fn check(message: *mut c_char) -> Result<(), String> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a message of the shim ends in a zero byte and lives until it is freed, which happens below.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().trim_end().to_owned();
    // SAFETY: the caller says that the message came from the shim and was not freed before.
    unsafe { vismae_message_free(message) };
    Err(text)
}

/// A time limit as libtorch takes it: in milliseconds, and never zero, which would mean no limit at all.
pub(crate) fn milliseconds(limit: Duration) -> i64 {
    /// Thirty days: beyond any wait, and far from overflow once libtorch counts in nanoseconds.
    const LONGEST: u128 = 30 * 24 * 3600 * 1000;
    i64::try_from(limit.as_millis().clamp(1, LONGEST)).unwrap_or(i64::MAX)
}
