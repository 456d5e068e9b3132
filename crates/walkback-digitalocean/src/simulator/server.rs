//! The simulated account as a server over HTTP: for any client of the API, in any language.

use std::fmt;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{HeaderMap, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::client::{Answer, Method, Request, SendError};
use crate::simulator::{Simulator, page};

/// The most that a request may bring.
const BODY: usize = 1 << 20;

/// A simulated account, to be served.
pub struct Server {
    cloud: Simulator,
    tokens: Vec<String>,
    read_only: Vec<String>,
}

/// Why there is no answer: the connection is closed without one.
#[derive(Debug)]
struct Unanswered(String);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

impl Server {
    /// The account, for whoever has one of these tokens.
    pub fn new(cloud: Simulator, tokens: Vec<String>) -> Self {
        Self { cloud, tokens, read_only: Vec::new() }
    }

    /// The same, also for whoever has one of these tokens, but only to read.
    #[must_use]
    pub fn read_only(mut self, tokens: Vec<String>) -> Self {
        self.read_only = tokens;
        self
    }

    /// Serves until `stop` is cancelled. Beside the API there are a page at `/`, everything there is
    /// at `/_sim/things`, and settings to be changed by a POST to `/_sim/set`.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let server = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(Arc::clone(&server).connection(stream));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(|request| {
            let server = Arc::clone(&self);
            async move { server.answer(request).await }
        });
        let http = hyper::server::conn::http1::Builder::new();
        if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
            debug!(%error, "a connection was closed");
        }
    }

    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Unanswered> {
        let (head, body) = request.into_parts();
        let bytes = Limited::new(body, BODY).collect().await;
        let bytes = bytes.map_err(|error| Unanswered(error.to_string()))?.to_bytes();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if !path.starts_with("/v2/") {
            return Ok(self.admin(&head.method, &path, &bytes));
        }
        let bearer = head.headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        let is_in = |tokens: &[String]| tokens.iter().any(|known| known == token);
        let reads_only = !is_in(&self.tokens);
        if reads_only && !is_in(&self.read_only) {
            return Ok(whole(&self.cloud.turned_away()));
        }
        let Some(method) = method(&head.method) else {
            let said = json!({"id": "method_not_allowed", "message": "Method not allowed"});
            return Ok(whole(&Answer { status: 405, body: said, ..Answer::default() }));
        };
        let body = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
        let Ok(body) = body else {
            let said = json!({"id": "bad_request", "message": "The body is no JSON"});
            return Ok(whole(&Answer { status: 400, body: said, ..Answer::default() }));
        };
        let body = Some(body).filter(|body| !body.is_null());
        let account =
            if reads_only { self.cloud.read_only_token(token) } else { self.cloud.token(token) };
        match account.send(Request { method, path, body }).await {
            Ok(answer) => Ok(whole(&answer)),
            // Whoever asked hears nothing: the connection is closed.
            Err(SendError::NotSent(why) | SendError::Unknown(why)) => Err(Unanswered(why)),
        }
    }

    /// What is not the API.
    fn admin(&self, method: &hyper::Method, path: &str, body: &Bytes) -> Response<Full<Bytes>> {
        match (method.as_str(), path) {
            ("GET", "/") => {
                response(200, "text/html; charset=utf-8", page::of(&self.cloud.things()))
            }
            ("GET", "/_sim/things") => json_response(200, &json!(self.cloud.things())),
            ("POST", "/_sim/set") => match serde_json::from_slice(body) {
                Ok(change) => match self.cloud.change(&change) {
                    Ok(()) => json_response(200, &json!({"changed": true})),
                    Err(why) => json_response(422, &json!({"error": why})),
                },
                Err(error) => json_response(400, &json!({"error": error.to_string()})),
            },
            _ => json_response(
                404,
                &json!({"error": "there is only /v2/, /, /_sim/things and /_sim/set"}),
            ),
        }
    }
}

fn method(method: &hyper::Method) -> Option<Method> {
    Some(match method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => return None,
    })
}

/// The answer as HTTP.
fn whole(answer: &Answer) -> Response<Full<Bytes>> {
    let mut body = answer.body.clone();
    if answer.status >= 400
        && let (Some(id), Value::Object(said)) = (&answer.request_id, &mut body)
    {
        said.insert("request_id".to_owned(), json!(id));
    }
    let empty = answer.status == 204;
    let text = if empty { String::new() } else { body.to_string() };
    let mut response = response(answer.status, "application/json; charset=utf-8", text);
    let headers = response.headers_mut();
    if empty {
        headers.remove("content-type");
    }
    put(headers, "ratelimit-limit", Some(5_000));
    put(headers, "ratelimit-remaining", Some(answer.remaining.unwrap_or(0)));
    put(headers, "ratelimit-reset", Some(answer.reset.unwrap_or(0)));
    put(headers, "retry-after", answer.retry_after.map(|wait| wait.as_secs()));
    if let Some(Ok(id)) = answer.request_id.as_deref().map(HeaderValue::from_str) {
        headers.insert("x-request-id", id);
    }
    response
}

fn put(headers: &mut HeaderMap, name: &'static str, value: Option<u64>) {
    if let Some(value) = value {
        headers.insert(name, HeaderValue::from(value));
    }
}

fn json_response(status: u16, body: &Value) -> Response<Full<Bytes>> {
    response(status, "application/json", body.to_string())
}

fn response(status: u16, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    response
}
