//! How much memory the preparation of files may take at a time, over all threads.
//!
//! A file's share is taken as soon as its header says how large it is, and before anything of that size is allocated. What a unit
//! of files needs is not known before its headers are read, and threads that wait for more while they hold some could wait for each
//! other forever. So nobody waits with something in hand: a claim is taken once, waiting in line; what turns out to be needed beyond
//! it is taken on the spot or not at all, and then the unit lets go of everything and stands in line again for all that it is known
//! to need. Whoever is first in line holds nothing that others wait for, and all others end some day: it is served.
//!
//! What is refused depends on the unit alone and never on what others hold: the same files are refused with any number of threads.
//!
//! Counted are, for each voxel of a volume, 4 bytes while it is held, and 1 more with a mask; for a DICOM file also what it holds
//! twice while it is parsed and once while its frames are decoded; for a picture also its decoded channels; and the frames that come
//! out. A 16-bit DICOM volume thus takes 6 bytes a voxel, a NIfTI volume with a mask at most 9, a colour picture about 14 a pixel.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::decode::DecodeError;

/// Bytes that the preparation of files takes at most when nothing else is said: with what a process needs besides, it stays
/// below 2 GiB.
pub const MEMORY_DEFAULT: u64 = 1536 << 20;
/// What a claim begins with: most files need less.
const FIRST: u64 = 8 << 20;

/// A number of bytes that claims are taken from.
#[derive(Debug)]
pub(crate) struct Budget {
    total: u64,
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Debug)]
struct Line {
    free: u64,
    /// The number that the next to come is given.
    next: u64,
    /// The number whose turn it is.
    turn: u64,
}

impl Budget {
    pub(crate) fn new(total: u64) -> Arc<Self> {
        let line = Line { free: total, next: 0, turn: 0 };
        Arc::new(Self { total, line: Mutex::new(line), moved: Condvar::new() })
    }

    /// Does work that claims memory, again from its beginning while it runs short of what others hold. Blocks the thread.
    pub(crate) fn run<T>(self: &Arc<Self>, mut work: impl FnMut(&mut Claim) -> T) -> T {
        let mut bytes = FIRST;
        loop {
            let mut claim = self.take(bytes.min(self.total));
            let done = work(&mut claim);
            match claim.short {
                None => return done,
                // Twice as much at least, so that a unit of many files does not begin again with each.
                Some(needed) => bytes = needed.max(2 * claim.held),
            }
        }
    }

    fn take(self: &Arc<Self>, bytes: u64) -> Claim {
        let mut line = self.line();
        let number = line.next;
        line.next += 1;
        while line.turn != number || line.free < bytes {
            line = self.moved.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        line.turn += 1;
        line.free -= bytes;
        drop(line);
        self.moved.notify_all();
        Claim { budget: Arc::clone(self), held: bytes, used: 0, short: None }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    budget: Arc<Budget>,
    held: u64,
    used: u64,
    /// What it would have needed, once it could not have it.
    short: Option<u64>,
}

impl Claim {
    /// A claim of its own, for work that shares no budget.
    pub(crate) fn alone() -> Self {
        Budget::new(MEMORY_DEFAULT).take(MEMORY_DEFAULT)
    }

    /// Takes note of bytes that are about to be allocated.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] when they pass the budget together with what is used already, or when others hold too much of it;
    /// then [`is_short`](Self::is_short), and the work is to end, for it will be done again.
    pub(crate) fn add(&mut self, bytes: u64) -> Result<(), DecodeError> {
        let (needed, limit) = (self.used.saturating_add(bytes), self.budget.total);
        let refused = DecodeError::TooLarge { what: "bytes of memory to read it", found: needed, limit };
        if needed > limit {
            return Err(refused);
        }
        let more = needed.saturating_sub(self.held);
        if more > 0 {
            let mut line = self.budget.line();
            if line.free < more {
                self.short = Some(needed);
                return Err(refused);
            }
            line.free -= more;
            self.held += more;
        }
        self.used = needed;
        Ok(())
    }

    /// What is in use: to be given to [`keep`](Self::keep) later.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Of all that was added since, so many bytes stay in use.
    pub(crate) fn keep(&mut self, since: u64, bytes: u64) {
        self.used = self.used.min(since.saturating_add(bytes));
    }

    /// Whether the work is to end, to be done again with more.
    pub(crate) fn is_short(&self) -> bool {
        self.short.is_some()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.line().free += self.held;
        self.budget.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_passes_the_whole_budget_is_refused_whatever_others_hold() {
        let budget = Budget::new(100 * MIB);
        let refused = budget.run(|claim| claim.add(60 * MIB).and_then(|()| claim.add(41 * MIB)));
        let limit = 100 * MIB;
        let what = "bytes of memory to read it";
        assert_eq!(refused, Err(DecodeError::TooLarge { what, found: 101 * MIB, limit }));
        let fits = budget.run(|claim| {
            claim.add(60 * MIB)?;
            claim.keep(0, 10 * MIB);
            claim.add(90 * MIB)
        });
        assert_eq!(fits, Ok(()));
    }

    #[test]
    fn units_that_need_more_than_is_left_begin_again_and_none_waits_forever() {
        // Each needs more than half, in steps that leave several half-way at the same time.
        let (budget, most, now) = (Budget::new(100 * MIB), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let done = budget.run(|claim| {
                            for _ in 0..6 {
                                claim.add(10 * MIB)?;
                                thread::yield_now();
                            }
                            let held = now.fetch_add(claim.used(), Ordering::SeqCst) + claim.used();
                            most.fetch_max(held, Ordering::SeqCst);
                            now.fetch_sub(claim.used(), Ordering::SeqCst);
                            Ok::<(), DecodeError>(())
                        });
                        assert_eq!(done, Ok(()));
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 60 * MIB);
        assert_eq!(budget.line().free, 100 * MIB);
    }
}
