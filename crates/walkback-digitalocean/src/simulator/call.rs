//! A call taken apart, and what is said to it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::client::{Answer, Method, Request};
use crate::simulator::{Settings, Takes};

/// A call.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// The parts of the path behind `/v2/`.
    pub(super) at: Vec<&'a str>,
    pub(super) query: BTreeMap<String, String>,
    /// The query as it came.
    asked: &'a str,
    pub(super) body: &'a Value,
    /// Simulated milliseconds since 1970.
    pub(super) now: i64,
    /// Before this moment nothing new is listed.
    pub(super) listed_before: i64,
    /// Nor found by its id, before this one.
    pub(super) found_before: i64,
    delays: BTreeMap<Takes, u32>,
}

/// What is said to a call.
pub(super) type Said = Result<(u16, Value), Refusal>;

/// Why a call is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    message: String,
}

static NO_BODY: Value = Value::Null;

impl<'a> Call<'a> {
    pub(super) fn new(request: &'a Request, now: i64, settings: &Settings) -> Self {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let at = path.split('/').filter(|part| !part.is_empty()).skip(1).collect();
        let before =
            |lag: Duration| now.saturating_sub(i64::try_from(lag.as_millis()).unwrap_or(i64::MAX));
        Self {
            method: request.method,
            at,
            asked: query,
            query: pairs.map(|(name, value)| (name.to_owned(), decode(value))).collect(),
            body: request.body.as_ref().unwrap_or(&NO_BODY),
            now,
            listed_before: before(settings.lists_lag),
            found_before: before(settings.reads_lag),
            delays: settings.delays.clone(),
        }
    }

    /// The simulated moment at which this is over, if it begins with the call.
    pub(super) fn end_of(&self, takes: Takes) -> i64 {
        let seconds = self.delays.get(&takes).copied().unwrap_or_else(|| takes.seconds());
        self.now + i64::from(seconds) * 1_000
    }

    /// A member of the body that must be a text.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, Refusal> {
        self.said(name).ok_or_else(|| unprocessable(format!("{name} is required")))
    }

    /// A text of the body that may be left out; clients send an empty one for none.
    pub(super) fn said(&self, name: &str) -> Option<&'a str> {
        self.body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A list of texts in the body; empty, if it is not there.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let list = self.body.get(name).and_then(Value::as_array);
        let texts = list.into_iter().flatten();
        texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }

    /// What the call names in `member`, which must be a list.
    pub(super) fn list(&self, member: &str) -> Result<Vec<Value>, Refusal> {
        let list = self.body.get(member).and_then(Value::as_array).cloned();
        list.ok_or_else(|| unprocessable(format!("{member} is required")))
    }

    /// The list `member` of a thing, with what a POST adds to it or without what a DELETE takes away.
    pub(super) fn amended(&self, list: &Value, member: &str) -> Result<Value, Refusal> {
        let (named, mut all) = (self.list(member)?, list.as_array().cloned().unwrap_or_default());
        all.retain(|one| !named.contains(one));
        if self.method == Method::Post {
            all.extend(named);
        }
        Ok(Value::Array(all))
    }

    /// A page of a list.
    pub(super) fn page(&self, name: &str, all: Vec<Value>) -> Value {
        let number = |name: &str, default: usize| {
            let given = self.query.get(name).and_then(|text| text.parse().ok());
            given.filter(|number| *number > 0).unwrap_or(default)
        };
        let (page, per_page) = (number("page", 1), number("per_page", 20).min(200));
        let total = all.len();
        let pages = total.div_ceil(per_page).max(1);
        let of_page = all.into_iter().skip((page - 1) * per_page).take(per_page);
        let path = self.at.join("/");
        let filters = self.asked.split('&').filter(|pair| !pair.is_empty() && !is_of_page(pair));
        let filters: String = filters.flat_map(|pair| ["&", pair]).collect();
        let link = |page: usize| {
            let at =
                format!("https://api.digitalocean.com/v2/{path}?page={page}&per_page={per_page}");
            json!(format!("{at}{}", filters))
        };
        let mut links = Map::new();
        if page < pages {
            links.extend([("next".to_owned(), link(page + 1)), ("last".to_owned(), link(pages))]);
        }
        if page > 1 {
            links.extend([("first".to_owned(), link(1)), ("prev".to_owned(), link(page - 1))]);
        }
        let links = if links.is_empty() { json!({}) } else { json!({ "pages": links }) };
        json!({name: of_page.collect::<Vec<_>>(), "links": links, "meta": {"total": total}})
    }
}

fn is_of_page(pair: &str) -> bool {
    ["page=", "per_page="].into_iter().any(|name| pair.starts_with(name))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let escaped = || {
            let digits = [rest.clone().next()?, rest.clone().nth(1)?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
        };
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => match escaped() {
                Some(plain) => {
                    bytes.push(plain);
                    rest.nth(1);
                }
                None => bytes.push(byte),
            },
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn said(self) -> (u16, Value) {
        let id = match self.status {
            401 => "unauthorized",
            403 => "forbidden",
            404 => "not_found",
            409 => "conflict",
            412 => "precondition_failed",
            422 => "unprocessable_entity",
            _ => "server_error",
        };
        (self.status, json!({"id": id, "message": self.message}))
    }
}

pub(super) fn unprocessable(message: impl Into<String>) -> Refusal {
    Refusal::new(422, message)
}

pub(super) fn conflict(message: impl Into<String>) -> Refusal {
    Refusal::new(409, message)
}

pub(super) fn not_found() -> Refusal {
    Refusal::new(404, "The resource you were accessing could not be found.")
}

/// The answer to a token that may only read.
pub(super) fn forbidden(request_id: String) -> Answer {
    turned_away(403, "You do not have access for the attempted action.", Some(request_id))
}

/// The answer to a token that is none.
pub(super) fn unauthorized(request_id: String) -> Answer {
    turned_away(401, "Unable to authenticate you", Some(request_id))
}

fn turned_away(status: u16, message: &str, request_id: Option<String>) -> Answer {
    let (status, body) = Refusal::new(status, message).said();
    Answer { status, body, request_id, ..Answer::default() }
}

/// An answer of a server that failed.
pub(super) fn failed(request_id: Option<String>) -> Answer {
    let body = json!({"id": "server_error", "message": "Unexpected server-side error"});
    Answer { status: 500, body, request_id, ..Answer::default() }
}

/// A refusal that was asked for.
pub(super) fn refused(status: u16, request_id: Option<String>) -> Answer {
    turned_away(status, "not today", request_id)
}

/// The answer to one call too many, as the specification's example of one has it.
pub(super) fn rate_limited(wait: u64, now: i64, request_id: Option<String>) -> Answer {
    let body = json!({"id": "too_many_requests", "message": "API Rate limit exceeded."});
    let retry_after = Some(std::time::Duration::from_secs(wait));
    let (remaining, reset) = (Some(0), u64::try_from(now / 1_000 + 3_000).ok());
    Answer { status: 429, body, retry_after, remaining, reset, request_id }
}
