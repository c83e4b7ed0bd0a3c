//! How a command ends badly: what is said, once, and the exit code that scripts see.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::json;
use vismae_proto::status::Details;

use crate::jobfile::JobFileError;
use crate::output::Format;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Success = 0,
    /// The work was tried and failed.
    WorkFailed = 1,
    /// The command line, the job file or a name in them is wrong; nothing was started.
    Usage = 2,
    /// The coordinator cannot be reached, or an address to listen on is taken.
    Unreachable = 3,
    /// The pipeline was cancelled, or the command was interrupted.
    Interrupted = 4,
    /// Another coordinator has taken over the state of this one.
    Fenced = 5,
    /// The coordinator does not know who asks, or does not allow it.
    Denied = 6,
    /// A limit of the coordinator is reached.
    Limited = 7,
}

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  done
  1  the work failed
  2  the command line, the job file or a name in them is wrong; nothing was started
  3  the coordinator cannot be reached, or a port is in use
  4  cancelled or interrupted
  5  another coordinator has taken over
  6  the coordinator does not know you, or does not allow this
  7  a limit of the coordinator is reached; try again later";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Anything that can be told.
pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// Why a command ended badly.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: Option<AnyError>,
    hint: Option<String>,
    details: Box<Details>,
}

impl Failure {
    /// A failure that is told on standard error.
    pub(crate) fn new(exit: Exit, error: impl Into<AnyError>) -> Self {
        Self { exit, error: Some(error.into()), hint: None, details: Box::default() }
    }

    /// An end that needs no more words.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self { exit, error: None, hint: None, details: Box::default() }
    }

    /// Adds what the user can do.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds what the coordinator has said for programs.
    pub(crate) fn details(self, details: Details) -> Self {
        Self { details: Box::new(details), ..self }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells it on standard error: to people the chain of causes on one line, to programs one JSON value.
    pub fn tell(&self, format: Format) {
        // Nobody is left to tell when standard error is closed.
        let mut stderr = io::stderr().lock();
        if format == Format::Json {
            if let Some(error) = &self.error {
                let _ = writeln!(stderr, "{}", self.json(error.as_ref()));
            }
            return;
        }
        if let Some(error) = &self.error {
            let _ = writeln!(stderr, "error: {}", chain(error.as_ref()));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(stderr, "help: {hint}");
        }
    }
}

impl Failure {
    fn json(&self, error: &(dyn Error + 'static)) -> serde_json::Value {
        let fields = self.details.fields.iter();
        let fields: Vec<_> = fields.map(|(field, problem)| json!({ "field": field, "problem": problem })).collect();
        json!({
            "error": chain(error),
            "help": self.hint,
            "exit": self.exit as u8,
            "reason": Some(&self.details.reason).filter(|reason| !reason.is_empty()),
            "names": self.details.names,
            "fields": fields,
            "retry_after_seconds": self.details.retry.map(|retry| retry.as_secs_f64()),
        })
    }
}

impl From<JobFileError> for Failure {
    fn from(error: JobFileError) -> Self {
        let fields = match &error {
            JobFileError::Faulty { faults, .. } => {
                faults.iter().map(|fault| (fault.place.to_string(), fault.message.clone())).collect()
            }
            JobFileError::Read { .. } => Vec::new(),
        };
        Self::new(Exit::Usage, error).details(Details { fields, ..Details::default() })
    }
}

/// An error and its causes, each once: some libraries repeat the cause in their own words.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

/// Turns any error into a [`Failure`].
pub(crate) trait OrFail<T> {
    /// The value, or a failure with this exit code.
    fn or_fail(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<AnyError>> OrFail<T> for Result<T, E> {
    fn or_fail(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Option<Box<Layer>> {
        let (text, rest) = texts.split_first()?;
        Some(Box::new(Layer { text, source: layers(rest) }))
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = layers(&["could not read", "no such file", "no such file", "os error 2"]).unwrap();
        assert_eq!(chain(error.as_ref()), "could not read: no such file: os error 2");
    }
}
