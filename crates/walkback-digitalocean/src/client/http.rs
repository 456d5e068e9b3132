//! The transport over HTTPS.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use reqwest::{Url, redirect::Policy};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::client::{Answer, Method, Page, Request, SendError, Sent, Transport, Visited};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long to wait for an answer.
const TOTAL: Duration = Duration::from_secs(30);

/// Carries requests over HTTPS, with the token that is never shown.
pub struct Http {
    client: reqwest::Client,
    base: Url,
    token: String,
}

impl Http {
    /// To this API, with this token.
    ///
    /// # Errors
    /// If `url` is none, or the token cannot be one.
    pub fn new(url: &str, token: &str) -> Result<Self, String> {
        let base = Url::parse(url).map_err(|error| format!("`{url}` is no URL: {error}"))?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token is empty or has spaces: expected one of DigitalOcean".to_owned());
        }
        // Only if it is not there yet, which is what an error says.
        rustls::crypto::ring::default_provider().install_default().ok();
        // A token is for one place: it is not carried on to another.
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .user_agent(concat!("walkback/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("no HTTP client: {error}"))?;
        Ok(Self { client, base, token: token.to_owned() })
    }

    async fn ask(&self, request: Request) -> Result<Answer, SendError> {
        let unsent = |error: String| SendError::NotSent(error);
        let url = self.base.join(&request.path).map_err(|error| unsent(error.to_string()))?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut asked = self.client.request(method, url).bearer_auth(&self.token);
        asked = asked.header("accept", "application/json");
        if let Some(body) = &request.body {
            asked = asked.header("content-type", "application/json").body(body.to_string());
        }
        let answer = asked.send().await.map_err(|error| not_answered(&error))?;
        let (status, head) = (answer.status().as_u16(), head(answer.headers()));
        // An answer that breaks off was given all the same; what it says is not known.
        let text = answer.text().await.map_err(|error| not_answered(&error))?;
        let body = if text.is_empty() { Value::Null } else { read(text) };
        Ok(Answer { status, body, ..head })
    }
}

/// What is no JSON stands for itself, for the error that it probably is.
fn read(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

fn head(headers: &HeaderMap) -> Answer {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let number = |name: &str| text(name).and_then(|text| text.parse().ok());
    Answer {
        remaining: number("ratelimit-remaining"),
        reset: number("ratelimit-reset"),
        retry_after: number("retry-after").map(Duration::from_secs),
        request_id: text("x-request-id").map(str::to_owned),
        ..Answer::default()
    }
}

/// The error, and all that it comes from.
fn causes(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn not_answered(error: &reqwest::Error) -> SendError {
    let text = causes(error);
    // Without a connection, or a request, nothing was sent.
    let unsent = error.is_connect() || error.is_builder();
    if unsent { SendError::NotSent(text) } else { SendError::Unknown(text) }
}

/// Asks for a page over a connection of its own, which knows nothing of the account.
async fn visit(page: &Page, port: u16) -> Result<u16, String> {
    let told = |error: reqwest::Error| causes(&error);
    let client = reqwest::Client::builder()
        // It would ask whoever has the name.
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .resolve(&page.host, SocketAddr::new(page.address, port))
        .build()
        .map_err(told)?;
    let url = format!("{}://{}:{port}{}", page.scheme, page.host, page.path);
    let answer = client.get(url).send().await.map_err(told)?;
    Ok(answer.status().as_u16())
}

impl Transport for Http {
    fn send(&self, request: Request) -> Sent<'_> {
        Box::pin(self.ask(request))
    }

    fn visit<'a>(&'a self, page: &'a Page) -> Visited<'a> {
        Box::pin(visit(page, if page.scheme == "https" { 443 } else { 80 }))
    }

    fn account(&self) -> Option<String> {
        let hash = STANDARD.encode(Sha256::digest(self.token.as_bytes()));
        Some(format!("digitalocean:{}", &hash[..16]))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{IpAddr, Ipv4Addr, TcpListener};

    use super::*;

    #[tokio::test]
    async fn a_page_is_asked_for_where_the_site_is_and_with_nothing_of_the_account() {
        // It is what brings the means for TLS.
        let api = Http::new("https://api.example.com", "s3cr3t").unwrap();
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let heard = std::thread::spawn(move || {
            let (mut visitor, _) = server.accept().unwrap();
            let mut heard = [0; 4_096];
            let length = visitor.read(&mut heard).unwrap();
            visitor.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            String::from_utf8_lossy(&heard[..length]).to_lowercase()
        });
        let page = Page {
            scheme: "http",
            // No name that the net would know.
            host: "shop.invalid".to_owned(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            path: "/health".to_owned(),
        };
        assert_eq!(visit(&page, port).await, Ok(204));
        let heard = heard.join().unwrap();
        assert!(heard.starts_with("get /health http/1.1\r\n"), "{heard}");
        assert!(heard.contains(&format!("host: shop.invalid:{port}")), "{heard}");
        assert!(!heard.contains("s3cr3t") && !heard.contains("authorization"), "{heard}");
        assert!(visit(&page, port).await.is_err(), "nobody is there any more");
        assert!(!api.account().unwrap().contains("s3cr3t"));
    }
}
