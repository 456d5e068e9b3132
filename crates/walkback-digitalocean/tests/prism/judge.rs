//! Prism, which reads the official specification: in front of the simulator, or in its place.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use walkback_digitalocean::client::{Answer, Method, Request, SendError, Sent, Transport};

const SPECIFICATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi/openapi.json");

/// How long Prism may take to begin.
const PATIENCE: Duration = Duration::from_mins(2);

/// Calls through the judge, which names what is wrong in a header.
pub(crate) struct Judged {
    client: reqwest::Client,
    base: String,
    verdicts: Arc<Mutex<Verdicts>>,
}

#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    pub(crate) calls: usize,
    pub(crate) violations: Vec<String>,
}

impl Transport for Judged {
    fn send(&self, request: Request) -> Sent<'_> {
        Box::pin(async move {
            let Request { method, path, body } = request;
            let unknown = |error: reqwest::Error| SendError::Unknown(error.to_string());
            let name = reqwest::Method::from_bytes(method.name().as_bytes()).unwrap();
            let mut asked = self.client.request(name, format!("{}{path}", self.base));
            asked = asked.bearer_auth("secret").header("content-type", "application/json");
            asked = asked.header("accept", "application/json");
            if let Some(body) = body {
                asked = asked.body(body.to_string());
            }
            let answer = asked.send().await.map_err(unknown)?;
            let status = answer.status().as_u16();
            let violations = answer.headers().get("sl-violations").map(|told| {
                let told = told.to_str().unwrap_or("unreadable");
                format!("{method} {path}: {status}: {told}")
            });
            self.judged(violations);
            let text = answer.text().await.map_err(unknown)?;
            let body = serde_json::from_str(&text).unwrap_or(Value::Null);
            Ok(Answer { status, body, ..Answer::default() })
        })
    }
}

impl Judged {
    /// Through the judge that listens there.
    pub(crate) fn at(base: &str, verdicts: &Arc<Mutex<Verdicts>>) -> Self {
        // Only if it is not there yet, which is what an error says.
        rustls::crypto::ring::default_provider().install_default().ok();
        let (base, verdicts) = (base.to_owned(), Arc::clone(verdicts));
        Self { client: reqwest::Client::new(), base, verdicts }
    }

    fn judged(&self, violations: Option<String>) {
        let mut verdicts = self.verdicts.lock().unwrap();
        verdicts.calls += 1;
        verdicts.violations.extend(violations);
    }
}

/// The judge's process.
pub(crate) struct Prism(Child);

impl Prism {
    /// In front of this server; nothing, if there is no judge here.
    pub(crate) async fn before(upstream: &str) -> Option<(Self, String)> {
        Self::begun("proxy", &[upstream]).await
    }

    /// In place of a server: what it answers is documented.
    pub(crate) async fn mock() -> Option<(Self, String)> {
        Self::begun("mock", &[]).await
    }

    async fn begun(how: &str, rest: &[&str]) -> Option<(Self, String)> {
        let program = std::env::var_os("WALKBACK_PRISM")?;
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = Command::new(program);
        command.args([how, "-h", "127.0.0.1", "-p", &port.to_string(), SPECIFICATION]).args(rest);
        let mut prism = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let begun = tokio::time::Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert_eq!(prism.0.try_wait().unwrap(), None, "Prism has ended");
            assert!(begun.elapsed() < PATIENCE, "Prism does not begin");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some((prism, format!("http://127.0.0.1:{port}")))
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub(crate) async fn call(judged: &Judged, method: Method, path: &str, body: Option<Value>) -> u16 {
    let request = Request { method, path: path.to_owned(), body };
    judged.send(request).await.unwrap().status
}
