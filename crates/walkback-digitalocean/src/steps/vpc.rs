//! A private network, unique by its name, which carries the run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Json, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::{PROVIDER, on_account, taken, undo};

on_account! {
    /// Creates a private network.
    CreateVpc;
}

/// Where, and what for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The site.
    pub name: String,
    /// The region.
    pub region: String,
}

/// A private network.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Vpc {
    /// Its id.
    pub vpc_id: String,
    /// Its addresses.
    pub vpc_range: String,
}

#[derive(Deserialize)]
struct Found {
    id: String,
    name: String,
    ip_range: String,
}

async fn find(cloud: &Client, name: &str) -> Result<Option<Vpc>, ApiError> {
    let vpcs: Vec<Found> = cloud.list("/v2/vpcs", "vpcs").await?;
    let found = vpcs.into_iter().find(|vpc| vpc.name == name);
    Ok(found.map(|found| Vpc { vpc_id: found.id, vpc_range: found.ip_range }))
}

impl Step for CreateVpc {
    const NAME: &'static str = "create_vpc";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Place;
    type Output = Vpc;

    async fn execute(&self, attempt: Attempt, place: Place) -> Result<Vpc, StepError> {
        let name = attempt.resource_name(&place.name);
        if let Some(vpc) = find(&self.cloud, &name).await? {
            return Ok(vpc);
        }
        let body = json!({"name": name, "region": place.region});
        let made: Value = self.cloud.post("/v2/vpcs", &body).await.map_err(taken)?;
        let text = |name: &str| made["vpc"][name].as_str().unwrap_or_default().to_owned();
        Ok(Vpc { vpc_id: text("id"), vpc_range: text("ip_range") })
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        place: Place,
        effect: Effect<Vpc>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let name = attempt.resource_name(&place.name);
        let id = |vpc: Vpc| vpc.vpc_id;
        let find = async { Ok(find(&cloud, &name).await?.map(id)) };
        undo(&cloud, &attempt, "vpcs", effect.known().map(id), find).await
    }

    async fn probe(&self, attempt: Attempt, place: Place) -> Result<Probe<Vpc>, StepError> {
        let found = find(&self.cloud, &attempt.resource_name(&place.name)).await?;
        Ok(found.map_or(Probe::Absent, Probe::Present))
    }

    fn provisions(&self, vpc: &Vpc) -> Option<Provision> {
        let spec = Json::of(&json!({"ip_range": vpc.vpc_range})).ok()?;
        Some(Provision::new(PROVIDER, "vpc", &vpc.vpc_id, spec))
    }
}
