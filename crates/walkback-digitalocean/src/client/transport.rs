//! What goes to the API and what comes back, whatever carries it.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;

/// Carries a request to the API, once.
pub trait Transport: Send + Sync {
    /// Sends it and waits for the answer.
    fn send(&self, request: Request) -> Sent<'_>;

    /// Asks a site for a page, with nothing of the account; what it answers is HTTP's status, and why it does not
    /// is for people. A way on which no sites are to be reached says so.
    fn visit<'a>(&'a self, page: &'a Page) -> Visited<'a> {
        let why = format!("{} cannot be reached on this way", page.address);
        Box::pin(std::future::ready(Err(why)))
    }

    /// By what name all who use the same account share its budget; none, where nobody else does. It tells
    /// nothing of the token.
    fn account(&self) -> Option<String> {
        None
    }
}

/// The way to no account: every call is refused with these words.
#[derive(Clone, Debug)]
pub struct NoAccount(pub &'static str);

impl Transport for NoAccount {
    fn send(&self, _: Request) -> Sent<'_> {
        let body = serde_json::json!({"id": "unauthorized", "message": self.0});
        Box::pin(std::future::ready(Ok(Answer { status: 401, body, ..Answer::default() })))
    }
}

/// What a transport returns.
pub type Sent<'a> = Pin<Box<dyn Future<Output = Result<Answer, SendError>> + Send + 'a>>;

/// What a visit returns.
pub type Visited<'a> = Pin<Box<dyn Future<Output = Result<u16, String>> + Send + 'a>>;

/// A page of a site, asked for where the site is: what the net knows of its name does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The site's name in the net, or its address.
    pub host: String,
    /// The address at which it is.
    pub address: IpAddr,
    /// From `/` on.
    pub path: String,
}

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// To what: from `/v2/` on, with the query.
    pub path: String,
    /// With what.
    pub body: Option<Value>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are HTTP's")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// The body; null if there is none.
    pub body: Value,
    /// Calls left in the hour.
    pub remaining: Option<u64>,
    /// When the oldest call of the hour no longer counts, in seconds since 1970.
    pub reset: Option<u64>,
    /// How long to wait before the next call.
    pub retry_after: Option<Duration>,
    /// What the API calls this request.
    pub request_id: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The request never left: nothing was done.
    NotSent(String),
    /// It may have been done.
    Unknown(String),
}
