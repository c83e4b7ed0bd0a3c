//! Reading single fields, and keeping what is wrong with each.

use std::fmt::Display;

use uuid::Uuid;
use vismae_core::event::RequestId;
use vismae_core::ids::{JobId, PipelineId};
use vismae_core::spec::Violations;

/// Reads the fields of one message. What it can't read is recorded and comes back as `None`.
pub(super) struct Fields<'a> {
    path: String,
    violations: &'a mut Violations,
}

impl<'a> Fields<'a> {
    /// A reader of the outermost message.
    pub(super) fn new(violations: &'a mut Violations) -> Self {
        Self { path: String::new(), violations }
    }

    /// A reader of a message inside this one.
    pub(super) fn within(&mut self, field: &str) -> Fields<'_> {
        Fields { path: self.path(field), violations: self.violations }
    }

    /// Records what is wrong with a field.
    pub(super) fn refuse<T>(&mut self, field: &str, message: impl Display) -> Option<T> {
        let path = self.path(field);
        self.violations.add(&path, message.to_string());
        None
    }

    /// The value of a conversion that can fail.
    pub(super) fn value<T, E: Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => self.refuse(field, error),
        }
    }

    /// The value of a message field, which the wire lets a sender leave out.
    pub(super) fn present<'v, T>(&mut self, field: &str, value: &'v Option<T>) -> Option<&'v T> {
        match value {
            Some(value) => Some(value),
            None => self.refuse(field, "is missing"),
        }
    }

    fn path(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }
}

/// Reads one value that stands alone in a request.
fn alone<T, E: Display>(field: &str, value: Result<T, E>) -> Result<T, Violations> {
    value.map_err(|error| Violations::of(field, error))
}

/// Reads a pipeline's name.
///
/// # Errors
/// The one violation of `field`.
pub fn pipeline_id_from_wire(field: &str, name: &str) -> Result<PipelineId, Violations> {
    alone(field, PipelineId::new(name))
}

/// Reads a job's name, `pipeline.job`.
///
/// # Errors
/// The one violation of `field`.
pub fn job_id_from_wire(field: &str, name: &str) -> Result<JobId, Violations> {
    alone(field, name.parse::<JobId>().map_err(|error| format!("{error}; a job is named as `pipeline.job`")))
}

/// Reads a request id; none when it is empty.
///
/// # Errors
/// The one violation of `request_id`.
pub fn request_id_from_wire(text: &str) -> Result<Option<RequestId>, Violations> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = Uuid::try_parse(text).map_err(|error| format!("is `{text}`, expected a UUID: {error}"));
    alone("request_id", parsed.map(|uuid| Some(RequestId(uuid.as_u128()))))
}
