//! A firewall, unique by its name, bound to the run's tag: it holds before there is a droplet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Json, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::{PROVIDER, on_account, taken, undo};

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
}

#[derive(Deserialize)]
struct Found {
    id: String,
    name: String,
}

async fn find(cloud: &Client, name: &str) -> Result<Option<Firewall>, ApiError> {
    let firewalls: Vec<Found> = cloud.list("/v2/firewalls", "firewalls").await?;
    let found = firewalls.into_iter().find(|firewall| firewall.name == name);
    Ok(found.map(|found| Firewall { firewall_id: found.id }))
}

fn document(name: &str, tag: &str) -> Value {
    let anywhere = json!({"addresses": ["0.0.0.0/0", "::/0"]});
    let inbound = ["22", "80", "443"]
        .map(|ports| json!({"protocol": "tcp", "ports": ports, "sources": anywhere}));
    let outbound = ["tcp", "udp"]
        .map(|protocol| json!({"protocol": protocol, "ports": "all", "destinations": anywhere}));
    json!({
        "name": name, "tags": [tag], "droplet_ids": [],
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
        if let Some(firewall) = find(&self.cloud, &name).await? {
            return Ok(firewall);
        }
        let body = document(&name, &of.run_tag);
        let made: Value = self.cloud.post("/v2/firewalls", &body).await.map_err(taken)?;
        let id = made["firewall"]["id"].as_str().unwrap_or_default();
        Ok(Firewall { firewall_id: id.to_owned() })
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        of: Guarded,
        effect: Effect<Firewall>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let name = attempt.resource_name(&of.name);
        let id = |firewall: Firewall| firewall.firewall_id;
        let find = async { Ok(find(&cloud, &name).await?.map(id)) };
        undo(&cloud, &attempt, "firewalls", effect.known().map(id), find).await
    }

    async fn probe(&self, attempt: Attempt, of: Guarded) -> Result<Probe<Firewall>, StepError> {
        let found = find(&self.cloud, &attempt.resource_name(&of.name)).await?;
        Ok(found.map_or(Probe::Absent, Probe::Present))
    }

    fn provisions(&self, firewall: &Firewall) -> Option<Provision> {
        let spec = Json::of(&json!({"inbound": ["22", "80", "443"]})).ok()?;
        Some(Provision::new(PROVIDER, "firewall", &firewall.firewall_id, spec))
    }
}
