//! The memory settings of a trainer.

use crate::ffi;

/// Tells the C library to keep freed memory for the next tensor, and says whether it took every setting.
///
/// By default glibc maps large blocks afresh and returns them at once, so that each tensor of each step faults its pages
/// in again; on the CPU that costs up to 40 % of a training step. Call it once, before the first tensor, in a process
/// whose job is to train: its memory stays at the peak.
pub fn keep_memory() -> bool {
    // SAFETY: the call takes nothing and only sets numbers of the C library's allocator.
    unsafe { ffi::vismae_keep_memory() == 1 }
}
