//! Why a task fails, and whether trying again can help.

use std::error::Error;
use std::fmt::Write;

use vismae_proto::v1::Cause;

/// A task's failure, in words for the user.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct TaskError {
    cause: Cause,
    message: String,
}

impl TaskError {
    /// The job or its data is wrong: the same again would fail again.
    pub(super) fn input(message: impl Into<String>) -> Self {
        Self { cause: Cause::Input, message: message.into() }
    }

    /// A peer, the network, the store or the device: another attempt may succeed.
    pub(super) fn environment(message: impl Into<String>) -> Self {
        Self { cause: Cause::Environment, message: message.into() }
    }

    /// As [`Self::input`], with the whole chain of an error.
    pub(super) fn input_from(error: &dyn Error) -> Self {
        Self::input(chain(error))
    }

    /// As [`Self::environment`], with the whole chain of an error.
    pub(super) fn environment_from(error: &dyn Error) -> Self {
        Self::environment(chain(error))
    }

    /// As [`Self::environment_from`], saying what was being done.
    pub(super) fn while_doing<E: Error>(what: &str) -> impl FnOnce(E) -> Self {
        move |error| Self::environment(format!("{what}: {}", chain(&error)))
    }

    pub(super) fn cause(&self) -> Cause {
        self.cause
    }
}

/// An error and everything under it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string can't fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
