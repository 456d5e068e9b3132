//! A firewall, unique by its name, bound to the run's tag: it holds before there is a droplet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::steps::named::{Kind, text};
use crate::steps::{named_thing, on_account};

on_account! {
    /// Creates a firewall that lets in SSH, HTTP and HTTPS, and everything out.
    CreateFirewall;
}

/// What it is for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Guarded {
    /// The site.
    pub name: String,
    /// Whatever carries this tag.
    pub run_tag: String,
}

/// A firewall.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Firewall {
    /// Its id.
    pub firewall_id: String,
    /// Its name.
    pub firewall_name: String,
}

const FIREWALLS: Kind = Kind { many: "firewalls", one: "firewall" };

fn read(found: &Value) -> Firewall {
    Firewall { firewall_id: text(found, "id"), firewall_name: text(found, "name") }
}

fn document(tag: &str) -> Value {
    let anywhere = json!({"addresses": ["0.0.0.0/0", "::/0"]});
    let inbound = ["22", "80", "443"]
        .map(|ports| json!({"protocol": "tcp", "ports": ports, "sources": anywhere}));
    let outbound = ["tcp", "udp"]
        .map(|protocol| json!({"protocol": protocol, "ports": "all", "destinations": anywhere}));
    json!({
        "tags": [tag], "droplet_ids": [],
        "inbound_rules": inbound, "outbound_rules": outbound
    })
}

impl Step for CreateFirewall {
    const NAME: &'static str = "create_firewall";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Guarded;
    type Output = Firewall;

    async fn execute(&self, attempt: Attempt, of: Guarded) -> Result<Firewall, StepError> {
        let name = attempt.resource_name(&of.name);
        let members = document(&of.run_tag);
        Ok(read(&FIREWALLS.ensure(&self.cloud, &name, members).await?))
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        of: Guarded,
        effect: Effect<Firewall>,
    ) -> Result<(), StepError> {
        let name = attempt.resource_name(&of.name);
        let known = effect.known().map(|firewall| firewall.firewall_id);
        FIREWALLS.undo(&self.cloud.undoing(), &attempt, &name, known).await
    }

    async fn probe(&self, attempt: Attempt, of: Guarded) -> Result<Probe<Firewall>, StepError> {
        FIREWALLS.probe(&self.cloud, &attempt.resource_name(&of.name), read).await
    }

    fn provisions(&self, wanted: &Self::Input, firewall: &Firewall) -> Option<Provision> {
        let spec = json!({"inbound": ["22", "80", "443"], "run_tag": wanted.run_tag});
        named_thing("firewall", &firewall.firewall_id, &firewall.firewall_name, &spec)
    }
}
