//! A certificate of Let's Encrypt, unique by its name, which carries the run.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::steps::named::{Kind, text};
use crate::steps::{named_thing, on_account, refused};

on_account! {
    /// Orders a certificate for the domain: accepted, not yet there.
    CreateCertificate;
    /// Waits until the certificate is there.
    AwaitCertificate;
}

/// How long it may take until the authority has looked at the domain.
const PATIENCE: Duration = Duration::from_mins(15);

/// What for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The site.
    pub name: String,
    /// The domain.
    pub domain: String,
}

/// A certificate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Its id. That of Let's Encrypt changes when it is renewed; its name stays.
    pub certificate_id: String,
    /// Its name.
    pub certificate_name: String,
}

const CERTIFICATES: Kind = Kind { many: "certificates", one: "certificate" };

fn read(found: &Value) -> Certificate {
    Certificate { certificate_id: text(found, "id"), certificate_name: text(found, "name") }
}

impl Step for CreateCertificate {
    const NAME: &'static str = "create_certificate";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Wanted;
    type Output = Certificate;

    async fn execute(&self, attempt: Attempt, wanted: Wanted) -> Result<Certificate, StepError> {
        let name = attempt.resource_name(&wanted.name);
        let members = json!({"type": "lets_encrypt", "dns_names": [wanted.domain]});
        Ok(read(&CERTIFICATES.ensure(&self.cloud, &name, members).await?))
    }

    /// The list may not show yet what was just made, so that the id is asked first; one that was renewed
    /// has another, and our name.
    async fn compensate(
        &self,
        attempt: Attempt,
        wanted: Wanted,
        effect: Effect<Certificate>,
    ) -> Result<(), StepError> {
        let (cloud, name) = (self.cloud.undoing(), attempt.resource_name(&wanted.name));
        let known = effect.known().map(|certificate| certificate.certificate_id);
        CERTIFICATES.undo(&cloud, &attempt, &name, known.clone()).await?;
        match CERTIFICATES.probe(&cloud, &name, read).await? {
            Probe::Present(renewed) if Some(&renewed.certificate_id) != known.as_ref() => {
                let renewed = Some(renewed.certificate_id);
                CERTIFICATES.undo(&cloud, &attempt, &name, renewed).await
            }
            _ => Ok(()),
        }
    }

    async fn probe(
        &self,
        attempt: Attempt,
        wanted: Wanted,
    ) -> Result<Probe<Certificate>, StepError> {
        CERTIFICATES.probe(&self.cloud, &attempt.resource_name(&wanted.name), read).await
    }

    fn provisions(&self, wanted: &Self::Input, certificate: &Certificate) -> Option<Provision> {
        named_thing(
            "certificate",
            &certificate.certificate_id,
            &certificate.certificate_name,
            wanted,
        )
    }
}

/// Which certificate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Awaited {
    /// Its id.
    pub certificate_id: String,
}

impl Step for AwaitCertificate {
    const NAME: &'static str = "await_certificate";
    const OPTIONS: Options = super::OPTIONS.read_only();
    type Input = Awaited;
    type Output = ();

    async fn execute(&self, attempt: Attempt, of: Awaited) -> Result<(), StepError> {
        let id = &of.certificate_id;
        let found: Value =
            self.cloud.find(&format!("/v2/certificates/{id}")).await?.unwrap_or_default();
        let state = text(&found["certificate"], "state");
        let passed = attempt.waited();
        match state.as_str() {
            "verified" => Ok(()),
            "pending" | "" if passed < PATIENCE => {
                attempt.progress(passed.as_secs().min(59), 60);
                Err(StepError::not_yet(self.cloud.look() * 3))
            }
            "" => refused(format_args!("certificate `{id}` was accepted and is not there")),
            state => refused(format_args!(
                "certificate `{id}` is {state}: does the domain's registrar name ns1.digitalocean.com?"
            )),
        }
    }
}
