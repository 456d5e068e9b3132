//! A reserved address. It has neither name nor tags: it is known to be ours by the run's own project.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::{absent_for_sure, is_under_way, missing, on_account, refused, remove, thing};

on_account! {
    /// Reserves an address in the run's project.
    ReserveIp;
    /// Assigns the address to a droplet, and waits until it is.
    AssignIp;
}

/// Where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The region.
    pub region: String,
    /// The run's project, in which nobody else reserves any.
    pub project_id: String,
}

/// An address.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Reserved {
    /// The address.
    pub reserved_ip: String,
}

#[derive(Deserialize)]
struct One {
    reserved_ip: Found,
}

#[derive(Deserialize)]
struct Found {
    ip: String,
    project_id: Option<String>,
    droplet: Option<On>,
    locked: bool,
}

#[derive(Deserialize)]
struct On {
    id: Option<u64>,
}

impl Found {
    fn on(&self) -> Option<u64> {
        self.droplet.as_ref()?.id
    }
}

async fn find(cloud: &Client, wanted: &Wanted) -> Result<Option<String>, ApiError> {
    let all: Vec<Found> = cloud.list("/v2/reserved_ips", "reserved_ips").await?;
    let ours = |found: &Found| found.project_id.as_ref() == Some(&wanted.project_id);
    Ok(all.into_iter().find(ours).map(|found| found.ip))
}

async fn read(cloud: &Client, ip: &str) -> Result<Option<Found>, ApiError> {
    Ok(cloud.find::<One>(&format!("/v2/reserved_ips/{ip}")).await?.map(|one| one.reserved_ip))
}

async fn act(cloud: &Client, attempt: &Attempt, ip: &str, body: &Value) -> Result<(), StepError> {
    let path = format!("/v2/reserved_ips/{ip}/actions");
    let kind = body["type"].as_str().unwrap_or_default();
    if !is_under_way(cloud, attempt, &path, kind).await? {
        cloud.post::<Value>(&path, body).await?;
    }
    Err(StepError::not_yet(cloud.look()))
}

impl Step for ReserveIp {
    const NAME: &'static str = "reserve_ip";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Wanted;
    type Output = Reserved;

    async fn execute(&self, _: Attempt, wanted: Wanted) -> Result<Reserved, StepError> {
        if let Some(reserved_ip) = find(&self.cloud, &wanted).await? {
            return Ok(Reserved { reserved_ip });
        }
        let body = json!({"region": wanted.region, "project_id": wanted.project_id});
        let made: One = self.cloud.post("/v2/reserved_ips", &body).await?;
        Ok(Reserved { reserved_ip: made.reserved_ip.ip })
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        wanted: Wanted,
        effect: Effect<Reserved>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let ip = match effect.known() {
            Some(reserved) => Some(reserved.reserved_ip),
            None => find(&cloud, &wanted).await?,
        };
        let Some(ip) = ip else { return absent_for_sure(&cloud, &attempt) };
        let Some(found) = read(&cloud, &ip).await? else {
            return absent_for_sure(&cloud, &attempt);
        };
        if found.project_id.as_ref() != Some(&wanted.project_id) {
            let text = format!("address {ip} is no longer in the project it was reserved for");
            return refused(text);
        }
        remove(&cloud, &format!("/v2/reserved_ips/{ip}")).await
    }

    async fn probe(&self, _: Attempt, wanted: Wanted) -> Result<Probe<Reserved>, StepError> {
        let found = find(&self.cloud, &wanted).await?;
        Ok(found.map_or(Probe::Absent, |reserved_ip| Probe::Present(Reserved { reserved_ip })))
    }

    fn provisions(&self, wanted: &Self::Input, reserved: &Reserved) -> Option<Provision> {
        thing("reserved_ip", &reserved.reserved_ip, &serde_json::to_value(wanted).ok()?)
    }
}

/// What belongs where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Assignment {
    /// The address.
    pub reserved_ip: String,
    /// The droplet.
    pub droplet_id: u64,
}

impl Step for AssignIp {
    const NAME: &'static str = "assign_ip";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Assignment;
    type Output = ();

    async fn execute(&self, attempt: Attempt, to: Assignment) -> Result<(), StepError> {
        let ip = &to.reserved_ip;
        let found = read(&self.cloud, ip).await?;
        match found.map(|found| found.on()) {
            None => missing(&self.cloud, &attempt, format_args!("address {ip}")),
            Some(Some(on)) if on == to.droplet_id => Ok(()),
            Some(Some(on)) => {
                let text = format!("address {ip} is assigned to droplet {on}");
                refused(text)
            }
            Some(None) => {
                let body = json!({"type": "assign", "droplet_id": to.droplet_id});
                act(&self.cloud, &attempt, ip, &body).await
            }
        }
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        to: Assignment,
        _: Effect<()>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        match read(&cloud, &to.reserved_ip).await? {
            // It may just be being assigned.
            Some(found) if found.locked => return Err(StepError::not_yet(cloud.look())),
            Some(found) if found.on() == Some(to.droplet_id) => {}
            _ => return Ok(()),
        }
        act(&cloud, &attempt, &to.reserved_ip, &json!({"type": "unassign"})).await
    }
}
