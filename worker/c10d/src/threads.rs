//! How many threads libtorch computes with on the CPU.

use std::num::NonZeroUsize;

/// Sets the number of threads that one operator may use, in the whole process.
pub fn set(threads: NonZeroUsize) {
    tch::set_num_threads(i32::try_from(threads.get()).unwrap_or(i32::MAX));
}

/// The number of threads that one operator may use.
pub fn count() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}
