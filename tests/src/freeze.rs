//! A thread that stands still while the others of its process go on: what no signal does.

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// A thread that stands still, until this is dropped by the thread that has made it.
#[derive(Debug)]
pub struct Frozen(Pid);

impl Frozen {
    /// Stops the first thread of a process where it is, as a debugger does.
    ///
    /// # Panics
    /// When there is no such process, or this one may not.
    pub fn first_thread(process: u32) -> Self {
        let thread = Pid::from_raw(process.cast_signed());
        ptrace::seize(thread, Options::empty()).expect("a process of the same user");
        ptrace::interrupt(thread).expect("a thread that is traced");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stops");
        Self(thread)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _ = ptrace::detach(self.0, None);
    }
}
