//! Ctrl-C and the polite signal of supervisors, as something to wait for.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Exit, Failure, OrFail as _};

/// SIGINT and SIGTERM of this process, from its creation on.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Begins to listen; from now on the signals no longer end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let interrupt = signal(SignalKind::interrupt()).or_fail(Exit::WorkFailed)?;
        let terminate = signal(SignalKind::terminate()).or_fail(Exit::WorkFailed)?;
        Ok(Self { interrupt, terminate })
    }

    /// Waits for the next signal.
    ///
    /// # Cancel safety
    /// A signal that arrives while nobody waits is kept for the next call.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
