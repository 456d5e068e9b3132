//! The example of the guide, as it stands there.
#![allow(clippy::unused_async, reason = "a real cloud is waited for")]
#![allow(clippy::duration_suboptimal_units, reason = "the guide is the same for older compilers")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkback::{
    Attempt, Effect, Engine, MemoryStore, Options, Order, Registry, Retry, Saga, Status, Step,
    StepError, StepRef, Steps, step_fn,
};

use crate::site::{context, run};

/// A cloud: what it holds, by the key it was made under.
#[derive(Clone, Default)]
struct Cloud(Arc<Mutex<BTreeMap<String, String>>>);

impl Cloud {
    async fn ensure(&self, kind: &str, place: &str, key: String) -> Result<String, StepError> {
        if place == "nowhere" {
            return Err(StepError::permanent(format_args!("no {kind} in `{place}`")).clean());
        }
        let mut held = self.0.lock().unwrap();
        let id = format!("{kind}-{}", held.len());
        Ok(held.entry(key).or_insert(id).clone())
    }

    async fn ensure_vpc(&self, place: &str, key: String) -> Result<String, StepError> {
        self.ensure("vpc", place, key).await
    }

    async fn find(&self, key: String) -> Result<Option<String>, StepError> {
        Ok(self.0.lock().unwrap().get(&key).cloned())
    }

    async fn delete(&self, id: &str) -> Result<(), StepError> {
        self.0.lock().unwrap().retain(|_, held| held != id);
        Ok(())
    }
}

/// A private network for the site's machines.
struct CreateVpc {
    cloud: Cloud,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Place {
    region: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Vpc {
    vpc_id: String,
}

impl Step for CreateVpc {
    const NAME: &'static str = "create_vpc";
    const OPTIONS: Options = Options::new()
        .timeout(Duration::from_secs(30))
        .retry(Retry::attempts(8).backoff(Duration::from_secs(2), Duration::from_secs(60)));

    type Input = Place;
    type Output = Vpc;

    async fn execute(&self, attempt: Attempt, place: Place) -> Result<Vpc, StepError> {
        let vpc_id = self.cloud.ensure_vpc(&place.region, attempt.idempotency_key()).await?;
        Ok(Vpc { vpc_id })
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        _: Place,
        effect: Effect<Vpc>,
    ) -> Result<(), StepError> {
        let vpc_id = match effect {
            Effect::Known(vpc) => Some(vpc.vpc_id),
            Effect::Unknown => self.cloud.find(attempt.execute_key()).await?,
        };
        if let Some(vpc_id) = vpc_id {
            self.cloud.delete(&vpc_id).await?;
        }
        Ok(())
    }
}

/// A machine in it.
struct CreateDroplet {
    cloud: Cloud,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Droplet {
    droplet_id: String,
}

impl Step for CreateDroplet {
    const NAME: &'static str = "create_droplet";

    type Input = Vpc;
    type Output = Droplet;

    async fn execute(&self, attempt: Attempt, vpc: Vpc) -> Result<Droplet, StepError> {
        let key = attempt.idempotency_key();
        Ok(Droplet { droplet_id: self.cloud.ensure("droplet", &vpc.vpc_id, key).await? })
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        _: Vpc,
        _: Effect<Droplet>,
    ) -> Result<(), StepError> {
        if let Some(id) = self.cloud.find(attempt.execute_key()).await? {
            self.cloud.delete(&id).await?;
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Domain {
    domain: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Record {
    record_id: String,
}

async fn point_domain(dns: Cloud, attempt: Attempt, site: Domain) -> Result<Record, StepError> {
    let record_id = dns.ensure("record", &site.domain, attempt.idempotency_key()).await?;
    Ok(Record { record_id })
}

async fn unpoint_domain(
    dns: Cloud,
    attempt: Attempt,
    _: Domain,
    _: Effect<Record>,
) -> Result<(), StepError> {
    if let Some(id) = dns.find(attempt.execute_key()).await? {
        dns.delete(&id).await?;
    }
    Ok(())
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct WebSite {
    domain: String,
    region: String,
}

impl Saga for WebSite {
    const KIND: &'static str = "web_site";
    fn steps(&self) -> Steps {
        Steps::new()
            .then(CreateVpc::NAME)
            .then_all([
                StepRef::new(CreateDroplet::NAME).scope("web"),
                StepRef::new(CreateDroplet::NAME).scope("db"),
            ])
            .then("point_domain")
    }
}

fn site(cloud: &Cloud) -> Engine {
    let (cloud, dns) = (cloud.clone(), cloud.clone());
    let registry = Registry::new()
        .step(CreateVpc { cloud: cloud.clone() })
        .step(CreateDroplet { cloud })
        .step(step_fn("point_domain", dns, point_domain).compensate(unpoint_domain))
        .saga::<WebSite>();
    Engine::new(registry, MemoryStore::new()).unwrap()
}

#[tokio::test]
async fn the_web_site_of_the_guide_is_put_up() {
    let cloud = Cloud::default();
    let (domain, region) = ("example.org".to_owned(), "fra".to_owned());
    let saga = run(&site(&cloud), WebSite { domain, region }).await;
    assert_eq!(saga.status, Status::Completed);
    assert_eq!(cloud.0.lock().unwrap().len(), 4);
    assert_eq!(context(&saga, "/record_id"), "record-3");
}

#[tokio::test]
async fn the_web_site_of_the_guide_is_walked_back() {
    let cloud = Cloud::default();
    let (domain, region) = ("nowhere".to_owned(), "fra".to_owned());
    let saga = run(&site(&cloud), WebSite { domain, region }).await;
    assert_eq!(saga.status, Status::RolledBack);
    assert_eq!(cloud.0.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn the_same_list_as_data_is_the_same_saga() {
    let cloud = Cloud::default();
    let steps = r#"["create_vpc", [{"step": "create_droplet", "scope": "web"},
        {"step": "create_droplet", "scope": "db"}], "point_domain"]"#;
    let steps: Steps = serde_json::from_str(steps).unwrap();
    let (domain, region) = ("example.org".to_owned(), "fra".to_owned());
    assert_eq!(WebSite { domain, region }.steps(), steps);
    let order = Order::list("web_site", steps).input(r#"{"domain": "x.org", "region": "fra"}"#);
    assert_eq!(run(&site(&cloud), order).await.status, Status::Completed);
}
