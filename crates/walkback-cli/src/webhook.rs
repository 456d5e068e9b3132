//! A webhook that is told of sagas that need a person, signed as Standard Webhooks says.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Url, redirect::Policy};
use sha2::Sha256;
use walkback::worker::{Hook, Notice, Told};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Posts the notice to a URL; an answer of 2xx says that people know.
pub(crate) struct Webhook {
    client: Client,
    url: Url,
    secret: Vec<u8>,
}

impl Webhook {
    /// # Errors
    /// If the URL or the secret is none.
    pub(crate) fn new(url: &str, secret: &str) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("`{url}` is no URL: {error}"))?;
        // Only if it is not there yet, which is what an error says.
        rustls::crypto::ring::default_provider().install_default().ok();
        // A signature is for one place: it is not carried on to another.
        let client = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT);
        let client = client.build().map_err(|error| format!("no HTTP client: {error}"))?;
        Ok(Self { client, url, secret: key(secret)? })
    }

    async fn post(&self, notice: &Notice) -> Result<(), String> {
        let body = serde_json::to_string(notice).map_err(|error| error.to_string())?;
        let timestamp = notice.at.as_micros() / 1_000_000;
        let answer = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("user-agent", concat!("walkback/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &notice.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", self.sign(&notice.id, timestamp, &body)?)
            .body(body)
            .send()
            .await
            .map_err(|error| causes(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
    }

    /// `v1,` and the HMAC-SHA256 of id, timestamp and body, as base64.
    fn sign(&self, id: &str, timestamp: i64, body: &str) -> Result<String, String> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.secret);
        let mut mac = mac.map_err(|error| error.to_string())?;
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        Ok(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
    }
}

/// The bytes of a secret: `whsec_` and base64, as Standard Webhooks writes them.
fn key(secret: &str) -> Result<Vec<u8>, String> {
    const EXPECTED: &str = "expected `whsec_` and the base64 of 24 to 64 random bytes";
    let encoded = secret.strip_prefix("whsec_").ok_or(EXPECTED)?;
    let key = BASE64_STANDARD.decode(encoded).map_err(|error| format!("{error}: {EXPECTED}"))?;
    if (24..=64).contains(&key.len()) { Ok(key) } else { Err(EXPECTED.to_owned()) }
}

fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Hook for Webhook {
    /// Without the path, which may be a secret.
    fn name(&self) -> String {
        format!("hook {}", self.url.origin().ascii_serialization())
    }

    fn call<'a>(&'a self, notice: &'a Notice) -> Told<'a> {
        Box::pin(self.post(notice))
    }
}

#[cfg(test)]
mod tests {
    use super::{Webhook, key};

    /// The example of the specification: <https://www.standardwebhooks.com>.
    #[test]
    fn a_notice_is_signed_as_the_specification_says() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let Ok(hook) = Webhook::new("https://example.com/hook", secret) else { unreachable!() };
        let signed =
            hook.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn a_secret_that_is_none_is_refused() {
        for secret in ["", "secret", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ="] {
            assert!(key(secret).is_err(), "{secret}");
        }
    }
}
