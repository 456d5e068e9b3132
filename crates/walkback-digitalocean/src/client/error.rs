//! What goes wrong with a call, as the engine needs to know it.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use walkback::StepError;

use crate::client::{Answer, Method, SendError};

/// How long to wait for another event of the same thing to end.
const BUSY: Duration = Duration::from_secs(5);

/// What a failed call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It never left.
    NotSent,
    /// It left, and no answer came: it may have been done.
    Unknown,
    /// Too many calls; nothing was done.
    RateLimited,
    /// The thing has another event under way; nothing was done.
    Busy,
    /// It is there already, or is held by something; nothing was done.
    Conflict,
    /// There is no such thing.
    NotFound,
    /// Something else has to be done first.
    Precondition,
    /// It cannot be done as asked.
    Invalid,
    /// The token is none, or may not do this.
    Auth,
    /// The API failed: it may have been done.
    Server,
}

/// A call that failed: which, why, and what the API calls the request.
///
/// It is no `std::error::Error` on purpose: `?` in a step turns it into just the [`StepError`] that it
/// means, and never into one of unknown effect by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    class: Class,
    call: String,
    text: String,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// What it means.
    pub fn class(&self) -> Class {
        self.class
    }

    /// How long the API asked us to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(super) fn not_answered(method: Method, path: &str, error: SendError) -> Self {
        let (class, text) = match error {
            SendError::NotSent(text) => (Class::NotSent, text),
            SendError::Unknown(text) => (Class::Unknown, text),
        };
        Self { class, call: call(method, path), text, retry_after: None }
    }

    /// The line for this call is too long; it was not made.
    pub(super) fn too_many(method: Method, path: &str, wait: Duration) -> Self {
        let (class, retry_after) = (Class::RateLimited, Some(wait));
        let text = format!("the account's calls are used up for {} s", wait.as_secs());
        Self { class, call: call(method, path), text, retry_after }
    }

    /// The answer has not the form that we know. What it has instead is not said: it may be a secret.
    pub(super) fn not_ours(method: Method, path: &str, error: &serde_json::Error) -> Self {
        let said = error.to_string();
        let safe = match said.split_once(", expected ") {
            Some((_, expected)) => format!("expected {expected}"),
            None if said.starts_with("missing field") => said,
            None => "expected another".to_owned(),
        };
        let text = format!("not the form that was expected: {safe}");
        Self { class: Class::Unknown, call: call(method, path), text, retry_after: None }
    }

    pub(super) fn of_answer(method: Method, path: &str, answer: &Answer) -> Self {
        let member = |name| answer.body.get(name).and_then(Value::as_str).unwrap_or_default();
        let (id, message) = (member("id"), member("message"));
        let class = class(answer.status, message);
        let asked = answer.request_id.as_deref().or(Some(member("request_id")));
        let asked = asked.filter(|id| !id.is_empty());
        let asked = asked.map(|id| format!(" (request {id})")).unwrap_or_default();
        let text = format!("{} {id}: {message}{asked}", answer.status);
        Self { class, call: call(method, path), text, retry_after: answer.retry_after }
    }
}

/// Which call, without its query: that may be long, and tells nothing more.
fn call(method: Method, path: &str) -> String {
    format!("{method} {}", path.split('?').next().unwrap_or_default())
}

/// By status, and by what the message contains where statuses are known to differ.
fn class(status: u16, message: &str) -> Class {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let busy = [
        "pending event",
        "processes previous actions",
        "locked",
        "being processed",
        // The API chooses ranges of networks, and two that are made at once may be given the same.
        "overlaps with another",
    ];
    let there = [
        "already exists",
        "already in use",
        "not unique",
        "already attached",
        "duplicate",
        "name is not available",
    ];
    let held = ["is assigned", "is attached", "members", "in use", "not empty", "default"];
    match status {
        404 => Class::NotFound,
        429 => Class::RateLimited,
        403 | 409 | 412 | 422 if says(&busy) => Class::Busy,
        409 | 422 if says(&there) => Class::Conflict,
        403 | 422 if says(&held) => Class::Conflict,
        401 | 403 => Class::Auth,
        409 => Class::Conflict,
        412 => Class::Precondition,
        400..500 => Class::Invalid,
        _ => Class::Server,
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.text)
    }
}

impl From<ApiError> for StepError {
    fn from(error: ApiError) -> Self {
        match error.class {
            Class::NotSent => Self::transient(&error).clean(),
            Class::Unknown | Class::Server => Self::transient(&error),
            Class::RateLimited => Self::not_yet(error.retry_after.unwrap_or(BUSY)),
            Class::Busy => Self::not_yet(BUSY),
            Class::Conflict
            | Class::NotFound
            | Class::Precondition
            | Class::Invalid
            | Class::Auth => Self::permanent(&error).clean(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_means_what_the_api_means_by_it() {
        for (status, message, expected) in [
            (401, "Unable to authenticate you", Class::Auth),
            (403, "You do not have access for the attempted action.", Class::Auth),
            (403, "Can not delete VPC with members", Class::Conflict),
            (404, "The resource you were accessing could not be found.", Class::NotFound),
            (409, "a volume of this name already exists", Class::Conflict),
            (412, "cannot delete a project with resources", Class::Precondition),
            (422, "Droplet already has a pending event.", Class::Busy),
            (422, "The ip_range overlaps with another VPC network", Class::Busy),
            (422, "Size is not available in this region.", Class::Invalid),
            (422, "Size is not available in this region", Class::Invalid),
            (422, "cluster name is not available", Class::Conflict),
            (403, "certificate is in use by a load balancer", Class::Conflict),
            (422, "SSH Key is already in use on your account", Class::Conflict),
            (429, "API Rate limit exceeded.", Class::RateLimited),
            (500, "Unexpected server-side error", Class::Server),
            (503, "", Class::Server),
        ] {
            assert_eq!(class(status, message), expected, "{status} {message}");
        }
    }

    #[test]
    fn an_error_names_the_call_and_the_request_and_hides_the_query() {
        let body = serde_json::json!({"id": "not_found", "message": "gone"});
        let request_id = Some("4851a473".to_owned());
        let answer = Answer { status: 404, body, request_id, ..Answer::default() };
        let error = ApiError::of_answer(Method::Get, "/v2/droplets?tag_name=a", &answer);
        let said = "GET /v2/droplets: 404 not_found: gone (request 4851a473)";
        assert_eq!(error.to_string(), said);
    }
}
