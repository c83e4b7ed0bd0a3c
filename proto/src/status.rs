//! Errors on the wire: written by servers, read by clients.
//!
//! Every status carries a `google.rpc.ErrorInfo` whose reason programs can match, with the names it is about as metadata; where fields
//! are at fault, a `google.rpc.BadRequest` names each of them; where something else must change first, a
//! `google.rpc.PreconditionFailure` says what; and where time alone may help, a `google.rpc.RetryInfo` says how much.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use vismae_core::spec::Violations;
use vismae_core::spelling;

/// The domain of every reason.
pub const DOMAIN: &str = "vismae";
/// The most violations sent at once. They travel in a header, and HTTP/2 peers refuse headers above 16 KiB.
const VIOLATIONS_MAX: usize = 40;
/// The longest description of a violation sent, in bytes, for the same reason.
const DESCRIPTION_MAX: usize = 256;
/// How long a client may wait before it submits again to a queue that was full.
const QUEUE_PAUSE: Duration = Duration::from_secs(30);
/// How long before it asks again a coordinator that goes away: less than a standby needs to take over, as clients double it.
const RETURN_PAUSE: Duration = Duration::from_secs(1);
/// How long before it asks again for what something else must answer.
const OTHERS_PAUSE: Duration = Duration::from_secs(5);
/// The most names listed when one is not found.
const KNOWN_MAX: usize = 10;

/// Why a request was refused, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Fields of the request are at fault.
    InvalidFields,
    /// What the request names does not exist.
    NotFound,
    /// The request does not fit the present state.
    NotNow,
    /// What the request was decided on has changed since.
    EtagMismatch,
    /// So many requests of its kind are waiting already.
    QueueFull,
    /// Something that the coordinator needs does not answer.
    NotAvailable,
    /// The coordinator is going away.
    ShuttingDown,
    /// A stream could not keep up, or its lease is over.
    StreamEnded,
    /// Whoever asks has not shown who they are.
    Unauthenticated,
    /// Whoever asks may not do this.
    Denied,
    /// Whoever asks wants more than anybody gets.
    LimitExceeded,
}

impl Reason {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::InvalidFields => "INVALID_FIELDS",
            Self::NotFound => "NOT_FOUND",
            Self::NotNow => "NOT_NOW",
            Self::EtagMismatch => "ETAG_MISMATCH",
            Self::QueueFull => "QUEUE_FULL",
            Self::NotAvailable => "NOT_AVAILABLE",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::StreamEnded => "STREAM_ENDED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Denied => "DENIED",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
        }
    }

    /// `names` are what it is about, for programs that would otherwise read the message.
    fn status(
        self,
        code: Code,
        message: impl Into<String>,
        mut details: ErrorDetails,
        names: &[(&str, &str)],
    ) -> Status {
        let names: HashMap<String, String> = names.iter().map(|(key, name)| ((*key).to_owned(), cut(name))).collect();
        details.set_error_info(self.word(), DOMAIN, names);
        Status::with_error_details(code, message, details)
    }
}

fn after(pause: Duration) -> ErrorDetails {
    ErrorDetails::with_retry_info(Some(pause))
}

/// INVALID_ARGUMENT that names every field at fault; the last entry says how many there was no room for.
pub fn invalid(violations: &Violations) -> Status {
    let count = violations.iter().count();
    let mut fields: Vec<_> = violations
        .iter()
        .take(VIOLATIONS_MAX)
        .map(|violation| FieldViolation::new(&violation.field, cut(&violation.message)))
        .collect();
    if count > VIOLATIONS_MAX {
        fields.push(FieldViolation::new("…", format!("and {} more", count - VIOLATIONS_MAX)));
    }
    let message =
        if count == 1 { "a field is not usable".to_owned() } else { format!("{count} fields are not usable") };
    let count = count.to_string();
    let details = ErrorDetails::with_bad_request(fields);
    Reason::InvalidFields.status(Code::InvalidArgument, message, details, &[("fields", &count)])
}

/// NOT_FOUND that says what there is instead.
pub fn not_found<N: Display>(kind: &str, name: &str, known: impl IntoIterator<Item = N>) -> Status {
    let known: Vec<String> = known.into_iter().map(|name| name.to_string()).collect();
    let listed: Vec<_> = known.iter().take(KNOWN_MAX).map(|name| format!("`{name}`")).collect();
    let near = spelling::nearest(name, known.iter().map(String::as_str)).filter(|_| known.len() > 1);
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let known = match (listed.is_empty(), known.len() - listed.len()) {
        (true, _) => "there is none".to_owned(),
        (false, 0) => format!("there is {}{hint}", listed.join(", ")),
        (false, more) => format!("there is {} and {more} more{hint}", listed.join(", ")),
    };
    let mut details = ErrorDetails::new();
    details.set_resource_info(kind, name, "", &known);
    let message = format!("no {kind} is called `{name}`: {known}");
    Reason::NotFound.status(Code::NotFound, message, details, &[("kind", kind), ("name", name)])
}

/// FAILED_PRECONDITION: asking again helps only after something else has changed. `unmet` is the word for that, as `PIPELINE_OVER`.
pub fn not_now(kind: &str, name: &str, unmet: &str, error: &impl Display) -> Status {
    let message = error.to_string();
    let details = ErrorDetails::with_precondition_failure_violation(unmet, format!("{kind}:{name}"), &message);
    Reason::NotNow.status(Code::FailedPrecondition, message, details, &[("kind", kind), ("name", name)])
}

/// ABORTED: what was seen is not so any more; look again, and decide again.
pub fn changed(kind: &str, name: &str) -> Status {
    let message = format!(
        "{kind} `{name}` has changed since its `etag` was read: read it again, and ask again if it still applies"
    );
    Reason::EtagMismatch.status(Code::Aborted, message, ErrorDetails::new(), &[("kind", kind), ("name", name)])
}

/// RESOURCE_EXHAUSTED: the queue that `subject` names is full; asking again helps when it is shorter.
pub fn queue_full(subject: &str, error: &impl Display) -> Status {
    let mut details = ErrorDetails::with_quota_failure_violation(subject, error.to_string());
    details.set_retry_info(Some(QUEUE_PAUSE));
    Reason::QueueFull.status(Code::ResourceExhausted, error.to_string(), details, &[("queue", subject)])
}

/// UNAVAILABLE: the coordinator is going away, and a new one may answer soon.
pub fn shutting_down() -> Status {
    Reason::ShuttingDown.status(Code::Unavailable, "the coordinator is shutting down", after(RETURN_PAUSE), &[])
}

/// UNAVAILABLE: this stream is over, and a new one may be opened.
pub fn stream_ended(reason: impl Into<String>) -> Status {
    Reason::StreamEnded.status(Code::Unavailable, reason, after(RETURN_PAUSE), &[])
}

/// UNAVAILABLE: something that is needed does not answer, and may soon.
pub fn not_available(problem: impl Into<String>) -> Status {
    Reason::NotAvailable.status(Code::Unavailable, problem, after(OTHERS_PAUSE), &[])
}

/// UNAUTHENTICATED: who asks has not shown who they are, or is not believed.
pub fn unauthenticated(problem: impl Into<String>) -> Status {
    Reason::Unauthenticated.status(Code::Unauthenticated, problem, ErrorDetails::new(), &[])
}

/// PERMISSION_DENIED: who asks is known, and may not do this.
pub fn denied(problem: impl Into<String>) -> Status {
    Reason::Denied.status(Code::PermissionDenied, problem, ErrorDetails::new(), &[])
}

/// RESOURCE_EXHAUSTED: the limit of that name is reached; asking again helps after `retry`, where time helps at all.
pub fn exhausted(limit: &str, problem: impl Into<String>, retry: Option<Duration>) -> Status {
    let details = retry.map(after).unwrap_or_default();
    Reason::LimitExceeded.status(Code::ResourceExhausted, problem, details, &[("limit", limit)])
}

/// What a refused request should say to a person: the message, and a line for every field at fault.
pub fn explain(status: &Status) -> String {
    let mut text = match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::ResourceExhausted => status.message().to_owned(),
        Code::Unavailable => format!("the coordinator is not available: {}", status.message()),
        Code::Unimplemented => {
            "the coordinator does not know this request: it may be older than this program, or no coordinator at all"
                .to_owned()
        }
        code => format!("the coordinator answered with {code:?}: {}", status.message()),
    };
    for (field, description) in details(status).fields {
        text.push_str(&format!("\n  - `{field}` {description}"));
    }
    text
}

/// What a status carries for programs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// The word of its [`Reason`]; empty where it carries none.
    pub reason: String,
    /// What it is about, by the kind of name, as `name` or `limit`.
    pub names: BTreeMap<String, String>,
    /// Every field at fault, and what is wrong with it.
    pub fields: Vec<(String, String)>,
    /// How long to wait before the same request may do better.
    pub retry: Option<Duration>,
}

/// Reads what a status carries.
pub fn details(status: &Status) -> Details {
    let carried = status.get_error_details();
    let info = carried.error_info();
    let fields = carried.bad_request().into_iter().flat_map(|request| &request.field_violations);
    Details {
        reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
        names: info.into_iter().flat_map(|info| info.metadata.clone()).collect(),
        fields: fields.map(|violation| (violation.field.clone(), violation.description.clone())).collect(),
        retry: carried.retry_info().and_then(|info| info.retry_delay),
    }
}

fn cut(text: &str) -> String {
    if text.len() <= DESCRIPTION_MAX {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(DESCRIPTION_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(count: usize) -> Violations {
        let mut violations = Violations::default();
        for index in 0..count {
            violations.add(&format!("job{index}.epochs"), "is 0, expected at least 1".to_owned());
        }
        violations
    }

    #[test]
    fn every_violation_arrives_and_is_shown() {
        let status = invalid(&violations(3));
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "INVALID_FIELDS");
        assert_eq!(details.bad_request().unwrap().field_violations.len(), 3);
        let text = explain(&status);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert_eq!(text.lines().nth(1), Some("  - `job0.epochs` is 0, expected at least 1"));
    }

    #[test]
    fn a_flood_of_violations_still_fits_into_a_header() {
        let mut many = violations(500);
        many.add("long", "é".repeat(10_000));
        let status = invalid(&many);
        let fields = status.get_error_details().bad_request().unwrap().field_violations.clone();
        assert_eq!(fields.len(), VIOLATIONS_MAX + 1);
        assert_eq!(fields.last().unwrap().description, format!("and {} more", 501 - VIOLATIONS_MAX));
        assert!(status.details().len() < 12 << 10, "{} bytes", status.details().len());
    }

    #[test]
    fn a_full_queue_says_whose_it_is_and_when_to_come_back() {
        let status = queue_full("namespace:radiology", &"100 pipelines wait");
        let details = status.get_error_details();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(details.error_info().unwrap().reason, "QUEUE_FULL");
        assert_eq!(details.quota_failure().unwrap().violations[0].subject, "namespace:radiology");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(QUEUE_PAUSE));
        assert_eq!(explain(&status), "100 pipelines wait");
    }

    #[test]
    fn programs_need_not_read_the_message() {
        let info = |status: &Status| status.get_error_details().error_info().unwrap().metadata.clone();
        let named =
            HashMap::from([("kind", "pipeline"), ("name", "demo")].map(|(key, name)| (key.into(), name.into())));
        let over = not_now("pipeline", "demo", "PIPELINE_OVER", &"pipeline `demo` is over already");
        let failure = over.get_error_details().precondition_failure().unwrap().violations[0].clone();
        assert_eq!((failure.r#type.as_str(), failure.subject.as_str()), ("PIPELINE_OVER", "pipeline:demo"));
        assert_eq!(failure.description, over.message());
        let known: [&str; 0] = [];
        for status in [over, changed("pipeline", "demo"), not_found("pipeline", "demo", known)] {
            assert_eq!(info(&status), named, "{status}");
        }
        assert_eq!(info(&exhausted("streams", "two are open", None))["limit"], "streams");
        assert_eq!(info(&invalid(&violations(3)))["fields"], "3");
    }

    #[test]
    fn whoever_may_come_back_is_told_when() {
        let pause = |status: Status| status.get_error_details().retry_info().and_then(|info| info.retry_delay);
        assert_eq!(pause(shutting_down()), Some(RETURN_PAUSE));
        assert_eq!(pause(stream_ended("too slow")), Some(RETURN_PAUSE));
        assert_eq!(pause(not_available("no keys")), Some(OTHERS_PAUSE));
        assert_eq!(pause(exhausted("requests", "too many", Some(QUEUE_PAUSE))), Some(QUEUE_PAUSE));
        assert_eq!(pause(exhausted("message", "too long", None)), None, "it will not be shorter later");
    }

    #[test]
    fn what_is_not_found_is_answered_with_what_there_is() {
        let message = |known: &[&str]| explain(&not_found("pipeline", "demp", known));
        assert_eq!(message(&[]), "no pipeline is called `demp`: there is none");
        assert_eq!(
            message(&["demo", "real"]),
            "no pipeline is called `demp`: there is `demo`, `real`; did you mean `demo`?"
        );
        let many: Vec<_> = (0..12).map(|index| format!("p{index}")).collect();
        assert!(explain(&not_found("pipeline", "x", many)).ends_with("`p9` and 2 more"));
    }
}
