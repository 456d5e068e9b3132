//! A load balancer, unique by its name, before whatever carries the run's tag; with a certificate it serves
//! HTTPS.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::Client;
use crate::steps::named::{Kind, text};
use crate::steps::{named_thing, not_longer_than, on_account, refused};

/// How long it takes at most until a load balancer is there.
const LONGEST: Duration = Duration::from_mins(10);

on_account! {
    /// Creates a load balancer: accepted, not yet there.
    CreateLoadBalancer;
    /// Waits until the load balancer is there and says its address.
    AwaitLoadBalancer;
    /// Lets the load balancer serve HTTPS, and sends everybody there.
    ServeHttps;
}

/// Where, and before what.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The site.
    pub name: String,
    /// The region.
    pub region: String,
    /// Whatever carries this tag.
    pub run_tag: String,
    /// The private network.
    pub vpc_id: String,
    /// The run's project.
    pub project_id: String,
}

/// A load balancer that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Balancer {
    /// Its id.
    pub load_balancer_id: String,
    /// Its name.
    pub load_balancer_name: String,
}

const BALANCERS: Kind = Kind { many: "load_balancers", one: "load_balancer" };

fn read(found: &Value) -> Balancer {
    Balancer { load_balancer_id: text(found, "id"), load_balancer_name: text(found, "name") }
}

/// The whole document: what is left out of one is reset by the API.
fn document(region: &str, tag: &str, vpc: &str, certificate: Option<&str>) -> Value {
    let plain = json!({
        "entry_protocol": "http", "entry_port": 80, "target_protocol": "http", "target_port": 80
    });
    let safe = certificate.map(|id| {
        json!({
            "entry_protocol": "https", "entry_port": 443, "target_protocol": "http",
            "target_port": 80, "certificate_id": id
        })
    });
    let rules: Vec<_> = [plain].into_iter().chain(safe).collect();
    json!({
        "region": region, "tag": tag, "vpc_uuid": vpc, "forwarding_rules": rules,
        "redirect_http_to_https": certificate.is_some(),
        // Records are this saga's business.
        "disable_lets_encrypt_dns_records": true
    })
}

impl Step for CreateLoadBalancer {
    const NAME: &'static str = "create_load_balancer";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Wanted;
    type Output = Balancer;

    async fn execute(&self, attempt: Attempt, wanted: Wanted) -> Result<Balancer, StepError> {
        let name = attempt.resource_name(&wanted.name);
        let mut members = document(&wanted.region, &wanted.run_tag, &wanted.vpc_id, None);
        members["project_id"] = json!(wanted.project_id);
        Ok(read(&BALANCERS.ensure(&self.cloud, &name, members).await?))
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        wanted: Wanted,
        effect: Effect<Balancer>,
    ) -> Result<(), StepError> {
        let name = attempt.resource_name(&wanted.name);
        let known = effect.known().map(|balancer| balancer.load_balancer_id);
        BALANCERS.undo(&self.cloud.undoing(), &attempt, &name, known).await
    }

    async fn probe(&self, attempt: Attempt, wanted: Wanted) -> Result<Probe<Balancer>, StepError> {
        BALANCERS.probe(&self.cloud, &attempt.resource_name(&wanted.name), read).await
    }

    fn provisions(&self, wanted: &Self::Input, balancer: &Balancer) -> Option<Provision> {
        named_thing(
            "load_balancer",
            &balancer.load_balancer_id,
            &balancer.load_balancer_name,
            wanted,
        )
    }
}

/// Which load balancer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Awaited {
    /// Its id.
    pub load_balancer_id: String,
}

/// Where a load balancer is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Reachable {
    /// Its address.
    pub load_balancer_ip: String,
}

impl Step for AwaitLoadBalancer {
    const NAME: &'static str = "await_load_balancer";
    const OPTIONS: Options = super::OPTIONS.read_only();
    type Input = Awaited;
    type Output = Reachable;

    async fn execute(&self, attempt: Attempt, of: Awaited) -> Result<Reachable, StepError> {
        let path = format!("/v2/load_balancers/{}", of.load_balancer_id);
        let found: Value = self.cloud.find(&path).await?.unwrap_or_default();
        let balancer = &found["load_balancer"];
        let ip = text(balancer, "ip");
        if balancer["status"] == "active" && !ip.is_empty() {
            return Ok(Reachable { load_balancer_ip: ip });
        }
        let passed = attempt.waited().as_secs();
        if balancer["status"] == "errored"
            || balancer.is_null() && passed > super::VANISHED.as_secs()
        {
            let id = &of.load_balancer_id;
            return refused(format_args!(
                "load balancer `{id}` was accepted and could not be made"
            ));
        }
        not_longer_than(
            LONGEST,
            &attempt,
            format_args!("load balancer `{}`", of.load_balancer_id),
        )?;
        attempt.progress(passed.min(119), 120);
        Err(StepError::not_yet(self.cloud.look() * 3))
    }
}

/// Which load balancer, with which certificate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Served {
    /// The load balancer.
    pub load_balancer_id: String,
    /// Its name.
    pub load_balancer_name: String,
    /// The region.
    pub region: String,
    /// Whatever carries this tag.
    pub run_tag: String,
    /// The private network.
    pub vpc_id: String,
    /// The certificate.
    pub certificate_id: String,
}

impl ServeHttps {
    async fn set(cloud: &Client, of: &Served, certificate: Option<&str>) -> Result<(), StepError> {
        let mut document = document(&of.region, &of.run_tag, &of.vpc_id, certificate);
        document["name"] = json!(of.load_balancer_name);
        let path = format!("/v2/load_balancers/{}", of.load_balancer_id);
        Ok(cloud.put::<Value>(&path, &document).await.map(drop)?)
    }
}

impl Step for ServeHttps {
    const NAME: &'static str = "serve_https";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Served;
    type Output = ();

    async fn execute(&self, _: Attempt, of: Served) -> Result<(), StepError> {
        Self::set(&self.cloud, &of, Some(&of.certificate_id)).await
    }

    async fn compensate(&self, _: Attempt, of: Served, _: Effect<()>) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let path = format!("/v2/load_balancers/{}", of.load_balancer_id);
        if cloud.find::<Value>(&path).await?.is_none() {
            return Ok(());
        }
        Self::set(&cloud, &of, None).await
    }
}
