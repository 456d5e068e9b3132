//! A private network, unique by its name, which carries the run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::steps::named::{Kind, text};
use crate::steps::{named_thing, on_account};

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
#[expect(
    clippy::struct_field_names,
    reason = "in the context they stand beside those of other steps"
)]
pub struct Vpc {
    /// Its id.
    pub vpc_id: String,
    /// Its name.
    pub vpc_name: String,
    /// Its addresses.
    pub vpc_range: String,
}

const VPCS: Kind = Kind { many: "vpcs", one: "vpc" };

fn read(found: &Value) -> Vpc {
    let text = |name| text(found, name);
    Vpc { vpc_id: text("id"), vpc_name: text("name"), vpc_range: text("ip_range") }
}

impl Step for CreateVpc {
    const NAME: &'static str = "create_vpc";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Place;
    type Output = Vpc;

    async fn execute(&self, attempt: Attempt, place: Place) -> Result<Vpc, StepError> {
        let name = attempt.resource_name(&place.name);
        let members = json!({ "region": place.region });
        Ok(read(&VPCS.ensure(&self.cloud, &name, members).await?))
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        place: Place,
        effect: Effect<Vpc>,
    ) -> Result<(), StepError> {
        let name = attempt.resource_name(&place.name);
        let known = effect.known().map(|vpc| vpc.vpc_id);
        VPCS.undo(&self.cloud.undoing(), &attempt, &name, known).await
    }

    async fn probe(&self, attempt: Attempt, place: Place) -> Result<Probe<Vpc>, StepError> {
        VPCS.probe(&self.cloud, &attempt.resource_name(&place.name), read).await
    }

    fn provisions(&self, wanted: &Self::Input, vpc: &Vpc) -> Option<Provision> {
        let spec = json!({"ip_range": vpc.vpc_range, "region": wanted.region});
        named_thing("vpc", &vpc.vpc_id, &vpc.vpc_name, &spec)
    }
}
